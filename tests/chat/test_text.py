import pytest

from chat.text import is_address, is_keepable, is_line, line_of, search_key


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
