"""The rules of the house, read from its imports and its shape: a rule that is not tested is forgotten."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted([*ROOT.glob("chat/**/*.py"), *ROOT.glob("tasks/*.py"), ROOT / "app.py", ROOT / "wsgi.py"])
FILE_LINES = 300
BODY_LINES = 60  # of the longest function: a composition root
USUAL_LINES = 30  # of nine functions in ten

# Who must not import whom: (part of the house, what it knows nothing of).
FORBIDDEN = [
    (
        "chat/protocols/",
        ("gevent", "flask", "sqlalchemy", "redis", "socket", "time", "chat.node", "chat.hub", "chat.session"),
    ),
    ("chat/message_types/", ("gevent", "flask", "sqlalchemy", "redis", "chat.services", "chat.models")),
    (
        "chat/services/",
        ("gevent", "flask", "redis", "socket", "chat.node", "chat.routes", "chat.transports", "chat.hub"),
    ),
    ("chat/commands/", ("gevent", "flask", "socket", "chat.node", "chat.routes", "chat.transports")),
    (
        "chat/transports/",
        ("sqlalchemy", "psycopg", "redis", "chat.models", "chat.transaction", "chat.services", "chat.node"),
    ),
    ("chat/routes/", ("gevent", "chat.transports", "chat.hub", "chat.writer")),
    ("tasks/", ("gevent",)),
]
PURE = (
    "frames",
    "outbox",
    "gate",
    "cursor",
    "limits",
    "errors",
    "ids",
    "messages",
    "times",
    "receipts",
    "audience",
    "watermark",
)
KNOW_NOTHING = {"errors": (), "frames": (), "outbox": (), "limits": (), "times": (), "gate": ("chat.frames",)}
IO = ("gevent", "flask", "sqlalchemy", "psycopg", "redis", "socket", "threading", "time", "logging")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def below(names: set[str], roots: tuple[str, ...]) -> set[str]:
    return {name for name in names if any(name == root or name.startswith(root + ".") for root in roots)}


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("part", "unknown"), FORBIDDEN)
def test_imports_run_one_way(part, unknown):
    found = {place(path): below(imports(path), unknown) for path in CODE if place(path).startswith(part)}
    assert found, f"nothing lies in {part}"
    assert {name: bad for name, bad in found.items() if bad} == {}


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_do_no_io_and_have_no_clock(module):
    assert below(imports(ROOT / f"chat/{module}.py"), IO) == set()


@pytest.mark.parametrize(("module", "known"), KNOW_NOTHING.items())
def test_the_innermost_know_nothing_of_the_rest(module, known):
    assert below(imports(ROOT / f"chat/{module}.py"), ("chat",)) - {"chat.frames.Event"} == set(known)


def test_nothing_imports_the_node_but_the_application():
    users = {place(path) for path in CODE if below(imports(path), ("chat.node",))}
    assert users == {"app.py"}


def test_only_the_entry_of_the_web_server_patches_and_does_so_first():
    assert (ROOT / "wsgi.py").read_text().startswith("from gevent import monkey; monkey.patch_all()")
    patching = {place(path) for path in CODE if "patch_all" in path.read_text()}
    assert patching == {"wsgi.py"}


def test_only_units_of_work_and_their_like_commit():
    """Whatever is told was committed before, because nobody else can do either."""
    openers = {place(path) for path in CODE if ".begin()" in path.read_text()}
    assert openers <= {"chat/transaction.py", "chat/departures.py", "chat/presence.py", "chat/cli.py"}


@pytest.mark.parametrize("path", CODE, ids=place)
def test_every_file_is_small_and_says_what_it_is(path):
    lines = path.read_text().count("\n")
    assert lines < FILE_LINES
    if path.name != "wsgi.py":
        assert ast.get_docstring(tree(path)), "a module's first line says what lives here"


def bodies(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            found.append((lines, f"{place(path)}:{node.name}"))
    return found


def test_functions_are_short():
    found = sorted(body for path in CODE for body in bodies(path))
    assert [name for lines, name in found if lines > BODY_LINES] == []
    assert found[len(found) // 2][0] <= 8
    assert found[len(found) * 9 // 10][0] <= USUAL_LINES


@pytest.mark.parametrize("path", [path for path in CODE if path.name != "__init__.py"], ids=place)
def test_every_module_has_its_tests_where_its_name_says(path):
    mirrored = ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}"
    assert mirrored.exists(), place(mirrored)
