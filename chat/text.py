"""What text can be kept, shown on one line, searched for, and taken as an address. Pure."""

import unicodedata

__all__ = ["is_address", "is_keepable", "is_line", "is_seen", "line_of", "search_key"]

# Unicode's classes.
UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}  # controls, lone surrogates, line and paragraph separators
OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # turn text around: a name poses as another
ADDRESS_CHARACTERS = 2_048  # what every browser and proxy takes
# What takes no ink: controls and blanks, Unicode's Default_Ignorable_Code_Point (joiners, marks of direction, variation
# selectors, Hangul fillers, tags), anchors of annotations, a note head that is none, a Braille cell without a dot.
# Not all of class Cf: the number signs of Arabic are of it, and are seen.
INKLESS_RANGES = (
    (0x00, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x1680, 0x1680),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800),
    (0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
INKLESS = frozenset(chr(code) for first, last in INKLESS_RANGES for code in range(first, last + 1))


def is_keepable(text: str) -> bool:
    """Tell whether the database can keep it: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_seen(text: str) -> bool:
    """Tell whether any of it can be seen. Ends at the first sign that can, mostly the first of all."""
    return not INKLESS.issuperset(text)


def is_line(text: str) -> bool:
    """Tell whether it can be shown as a name: on one line, leaving the text around it alone."""
    return all(_stands_on_a_line(sign) for sign in text)


def line_of(text: str, most: int) -> str:
    """Return as much of a foreign text as can be shown as a name; may be empty."""
    return "".join(sign for sign in text[: 4 * most] if _stands_on_a_line(sign)).strip()[:most].strip()


def search_key(text: str, most: int) -> str:
    """Return text without regard to case and form (NFKC, case folded, twice because one can undo the other)."""
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", text)[:most]


def is_address(text: str) -> bool:
    """Tell whether it can stand as the address of a picture: http(s), or a path of this server."""
    if len(text) > ADDRESS_CHARACTERS or any(unicodedata.category(sign)[0] in "CZ" for sign in text):
        return False
    return text.startswith(("https://", "http://")) or (text.startswith("/") and not text.startswith(("//", "/\\")))


def _stands_on_a_line(sign: str) -> bool:
    return unicodedata.category(sign) not in UNPRINTED and sign not in OVERRIDES
