"""tests/core.txt, which is run on Debian's servers, names the tests of every module that speaks SQL or Lua."""

import re
from pathlib import Path

import pytest

from tests.deployment import ROOT

SPEAKS = re.compile(r"\btext\(|\bStatement\(|\bregister_script\(")
LEFT_OUT = {  # and why
    "chat/cli.py": "one UPDATE that any PostgreSQL knows",
    "chat/health.py": "SELECT 1",
    "tasks/offline.py": "real workers, for minutes; its statement is tried by test_catchup.py",
    "tasks/presence.py": "real workers, for minutes; its Lua is tried by test_leases.py",
}
NAMED = {line for line in (ROOT / "tests" / "core.txt").read_text().splitlines() if not line.startswith("#")}
MODULES = [path.relative_to(ROOT) for folder in ("chat", "tasks", "uploads") for path in (ROOT / folder).rglob("*.py")]


def is_named(module: Path) -> bool:
    test = Path("tests", module.parent, f"test_{module.name}")
    return str(test) in NAMED or any(str(folder) in NAMED for folder in test.parents)


@pytest.mark.parametrize("module", [str(path) for path in MODULES if SPEAKS.search((ROOT / path).read_text())])
def test_whatever_speaks_sql_or_lua_is_run_on_debians_servers_too(module: str) -> None:
    assert is_named(Path(module)) or module in LEFT_OUT, f"{module} is missing in tests/core.txt"


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_name_is_there(name: str) -> None:
    assert (ROOT / name).exists()
