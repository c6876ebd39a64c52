from itertools import pairwise

import pytest

from chat.cli import DOCS
from chat.config import SETTINGS
from chat.errors import CODES, CloseReason
from chat.papers import papers


@pytest.mark.parametrize("name", sorted(papers()))
def test_docs_are_as_the_code_says(name):
    assert (DOCS / name).read_text() == papers()[name], f"run `flask --app app docs` for docs/{name}"


def test_every_setting_code_and_ending_has_its_line():
    made = papers()
    assert all(f"| `{setting.name}` |" in made["settings.md"] for setting in SETTINGS)
    assert all(f"| `{code}` |" in made["errors.md"] for code in CODES)
    assert all(f"| `{reason.code}` | {reason.number} |" in made["errors.md"] for reason in CloseReason)


def test_lines_of_a_table_stay_lines():
    for made in papers().values():
        for before, line in pairwise(made.splitlines()):
            if before.startswith("|") and line.startswith("|"):
                assert _bars(line) == _bars(before)


def _bars(line: str) -> int:
    return line.count("|") - line.count("\\|")
