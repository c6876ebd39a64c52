import pytest

from chat.text import is_address, is_keepable, is_line, is_seen, line_of, search_key


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff"])
def test_what_the_database_would_refuse_is_not_keepable(text):
    assert not is_keepable(text)


def test_any_language_line_break_and_emoji_is_keepable():
    assert is_keepable("李雷\nüñ 👩‍👩‍👧 \t")


@pytest.mark.parametrize("text", ["a\nb", "a\x7f", "\u202eevil", "a\u2028b", "\u2066x", "\ud800"])
def test_controls_and_overrides_do_not_stand_on_a_line(text):
    assert not is_line(text)


def test_a_family_emoji_stands_on_a_line():
    assert is_line("👩‍👩‍👧 O'Neil-李")


def test_a_foreign_line_is_cleaned_and_cut():
    assert line_of(" \x00Ann\n\u202eLee  ", 5) == "AnnLe"
    assert line_of("\n\t", 10) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("ANN", "ann"), ("Straße", "STRASSE"), ("ﬁnn", "finn"), ("e\u0301", "é"), ("Ⅷ", "viii"), ("\u0345", "\u03b9")],
)
def test_what_looks_alike_has_one_key(one, other):
    assert search_key(one, 200) == search_key(other, 200)


def test_a_key_is_cut_where_one_sign_unfolds_to_many():
    assert len(search_key("\ufdfa" * 64, 200)) == 200


@pytest.mark.parametrize("text", ["https://x.example/a.png", "http://x/a", "/uploads/a.png?e=1&s=2"])
def test_pictures_have_addresses_of_the_web_or_of_this_server(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "data:image/png,", "//evil.example/x", "/\\evil", "https://a b", "x.png", "https://\n", ""],
)
def test_anything_else_is_no_address(text):
    assert not is_address(text)
    assert not is_address("https://" + "a" * 2_048)


UNSEEN = (
    "\0\x1f\x85\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u202e\u2060\u2064"
)
UNSEEN += "\u2066\u2800\u3000\u3164\ufe0e\ufe0f\ufeff\uffa0\ufff9\U0001d173\U000e0001\U000e0041\U000e0100"


@pytest.mark.parametrize("sign", UNSEEN)
def test_signs_without_ink_are_not_seen_alone_or_together(sign):
    assert not is_seen(sign)
    assert not is_seen(f" {sign}\n{UNSEEN}")
    assert is_seen(f"{UNSEEN}.{sign}")


@pytest.mark.parametrize(
    "text", ["a", "0", "。", "가", "\u0600", "\u0301", "😀", "👩\u200d👩\u200d👧", "❤\ufe0f", "🏴\U000e0067\U000e007f"]
)
def test_whatever_has_ink_is_seen(text):
    assert is_seen(text)


def test_blanks_of_every_kind_are_without_ink():
    assert not [hex(code) for code in range(0x110000) if chr(code).isspace() and is_seen(chr(code))]
