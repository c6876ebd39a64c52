"""The page's pure modules, tested under node: each test of the `.mjs` files beside this one is a test here."""

import re
import shutil
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
    node = shutil.which("node")
    assert node, "node is needed for the tests of the page"
    run = subprocess.run([node, "--test", "--no-warnings", module], cwd=HERE, capture_output=True, text=True, timeout=60)
    found = re.findall(r"^(ok|not ok) \d+ - (.+)$", run.stdout, re.MULTILINE)
    return {name: result if result == "ok" else run.stdout for result, name in found}


@pytest.mark.parametrize(("module", "name"), CASES, ids=[name for _, name in CASES])
def test_module(module: str, name: str) -> None:
    assert outcomes(module).get(name) == "ok"
