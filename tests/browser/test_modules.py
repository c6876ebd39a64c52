"""The page's pure modules, tested under node: each test of the `.mjs` files beside this one is a test here."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = sorted(HERE.glob("*.test.mjs"))
NAMED = re.compile(r"^test\('(.+?)', ", re.MULTILINE)
CASES = [(module.name, name) for module in MODULES for name in NAMED.findall(module.read_text())]


@cache
def outcomes(module: str) -> dict[str, str]:
    command = ["node", "--test", "--no-warnings", module]
    run = subprocess.run(command, cwd=HERE, check=False, capture_output=True, text=True, timeout=60)
    found = re.findall(r"^(ok|not ok) \d+ - (.+)$", run.stdout, re.MULTILINE)
    return {name: result if result == "ok" else run.stdout for result, name in found}


@pytest.mark.node
@pytest.mark.parametrize(("module", "name"), CASES, ids=[name for _, name in CASES])
def test_module(module: str, name: str) -> None:
    assert outcomes(module).get(name) == "ok"


def test_the_page_names_all_its_modules_and_styles() -> None:
    """So that the browser fetches them side by side instead of finding one through the other."""
    web = HERE.parents[1] / "chat" / "web"
    page = (web / "index.html").read_text()
    named = set(re.findall(r'"/web/([\w./-]+\.(?:js|css))"', page))
    there = {file.relative_to(web).as_posix() for kind in ("js", "css") for file in web.rglob(f"*.{kind}")}
    assert named == there


def test_no_module_can_turn_text_into_markup() -> None:
    web = HERE.parents[1] / "chat" / "web"
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setHTML|DOMParser")
    assert [file.name for file in web.rglob("*.js") if ways.search(file.read_text())] == []
