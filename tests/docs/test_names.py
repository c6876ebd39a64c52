"""What the documents name is there: chapters, files, settings."""

import re
from pathlib import Path

import pytest

from chat.config import SETTINGS
from tests.deployment import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_PROCESSES = {"HOST", "PORT", "WORKERS", "LOG_LEVEL"}
PLACES = {"DATA_DIR/environment", "DATA_DIR/jwt-secret", "DATA_DIR/metrics", "DATA_DIR/uploads"}
OF_OTHERS = {"FLUSHALL", "HUP", "AWS_CA_BUNDLE"}  # commands of Redis and gunicorn, a setting of botocore


def chapters(document: Path) -> set[str]:
    """Return the anchors of a document's titles, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if not link.startswith(("http:", "https:")):
            file, _, chapter = link.partition("#")
            there = document.parent / file if file else document
            assert there.exists(), link
            assert not chapter or chapter in chapters(there), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_are_named_exist(document: Path) -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]{3,}(?:/[a-z-]+)?)(?:=[^`]*)?`", document.read_text()))
    assert named <= {setting.name for setting in SETTINGS} | OF_PROCESSES | PLACES | OF_OTHERS
