"""Names of files as users give them."""

import pytest

from uploads.names import disposition, shown_name


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/path.txt", "path.txt"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        (".htaccess", "htaccess"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("a\u200fb\u200ec\u061cd\u2067e.txt", "abcde.txt"),
        ("a\0b\nc\r\x1bd.txt", "abcd.txt"),
        ('a<b>c:d"e|f?g*.txt', "a_b_c_d_e_f_g_.txt"),
        ("später 晚安 👩\u200d👧.png", "später 晚安 👩\u200d👧.png"),
        ("trailing. . ", "trailing"),
    ],
)
def test_a_name_is_shown_without_what_could_deceive_or_lead_elsewhere(given: str, shown: str) -> None:
    assert shown_name(given) == shown


def test_a_long_name_is_cut_and_keeps_its_ending() -> None:
    shown = shown_name("x" * 1_000 + ".pdf")
    assert len(shown) == 120
    assert shown.endswith(".pdf")


def test_a_name_stands_in_the_header_in_two_forms() -> None:
    assert disposition("a b.txt") == "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"
    assert disposition("é.txt") == "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"


def test_a_name_cannot_leave_the_header() -> None:
    header = disposition('a"; filename="b.html')
    assert header.count('"') == 2
    assert "\n" not in disposition(shown_name("a\r\nSet-Cookie: x=y"))
