"""The house as it is meant to be: imports run one way, files and functions stay small, each module is tested."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("chat", "tasks", "uploads")
CODE = sorted(
    path
    for path in (ROOT / "app.py", ROOT / "wsgi.py", *(each for room in ROOMS for each in (ROOT / room).rglob("*.py")))
)
NAMES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in CODE}
MODULES = {name: path for path, name in NAMES.items()}

LINES = 300  # of a file; the tables, which are one, may be longer
LINES_OF = {"chat.models": 400}
BODY = 60  # lines of a function without its docstring
USUAL_BODY = 30  # nine in ten have fewer

# Who may be imported by whom: each layer by those above it. A module belongs to the first layer that names it.
LAYERS = [
    ("entry", r"wsgi|chat\.webserver(\..*)?|chat\.launcher\.supervisor|tasks\.worker"),
    ("app", r"app"),
    ("doors", r"chat\.(transports|routes|dialects|cli|demo|rest|openapi|asyncapi|papers)(\..*)?|uploads\.routes"),
    ("node", r"chat\.(node|auth|dispatch|sending)"),
    ("commands", r"chat\.(commands|persons)(\..*)?"),
    ("services", r"chat\.services(\..*)?"),
]
PURE = [
    "chat.frames", "chat.outbox", "chat.gate", "chat.cursor", "chat.limits", "chat.errors", "chat.transports.framing", "chat.ids",  # noqa: E501
    "chat.text", "chat.times", "chat.messages", "chat.protocols", "chat.protocols.native", "chat.message_types", "chat.message_types.text",  # noqa: E501
    "chat.message_types.image", "chat.message_types.file", "chat.media_address", "uploads.blocks", "uploads.inspection", "uploads.names",  # noqa: E501
    "chat.pace", "uploads.places", "chat.storage_address", "uploads.storage.keys", "uploads.storage.presigned",
    "chat.session", "chat.audience", "chat.watchers", "chat.watermark", "chat.outgoing",
]  # fmt: skip
BESIDE_TASKS = ("uploads.images", "uploads.storage", "uploads.survey")  # of the upload service, what Celery uses too
OUTSIDE = {
    "flask",
    "gevent",
    "redis",
    "sqlalchemy",
    "psycopg",
    "celery",
    "requests",
    "socket",
    "select",
    "subprocess",
    "threading",
    "asyncio",
}
SERVICES_KNOW_NOTHING_OF = {"flask", "gevent", "redis", "psycopg", "celery", "socket"}
SQL = {"sqlalchemy", "psycopg", "flask_sqlalchemy"}
PATCH = re.compile(r"\bmonkey\b|patch_all|patch_socket|patch_thread")
ENVIRONMENT = re.compile(r"\bos\.(environ|getenv)\b")
WITHOUT_A_HOME = {"utils", "helpers", "common", "base", "manager", "core", "misc", "util", "helper"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path, *, top: bool = False) -> Iterator[str]:
    """Return the modules that a file imports; `top`: only those that it imports as soon as it is imported."""
    whole = tree(path)
    for_types = {id(node) for found in ast.walk(whole) if _for_types(found) for node in ast.walk(found)}
    nodes = ast.iter_child_nodes(whole) if top else ast.walk(whole)
    for node in nodes:
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in found)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def packages(path: Path) -> set[str]:
    """Return the first names of what a file imports."""
    return {name.partition(".")[0] for name in imports(path)}


def layer(name: str) -> int:
    """Return the place of a module among the layers, the lowest for what stands below the services."""
    return next((place for place, (_, pattern) in enumerate(LAYERS) if re.fullmatch(pattern, name)), len(LAYERS))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Return name and length of every function of a file, without its docstring."""
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = (
                node.body[1:] if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1 else node.body
            )
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1


modules = pytest.mark.parametrize("path", CODE, ids=NAMES.values())


# Imports.


@modules
def test_imports_run_one_way(path: Path) -> None:
    own = layer(NAMES[path])
    upwards = [
        name for name in imports(path) if name in MODULES and layer(name) < own and not _by_the_launcher(path, name)
    ]
    assert upwards == []


def _by_the_launcher(path: Path, name: str) -> bool:
    """`python app.py` is the launcher: the file is the application's and the supervisor's entry in one."""
    return NAMES[path] == "app" and name == "chat.launcher.supervisor"


def test_no_module_reaches_itself_by_its_imports() -> None:
    graph = {
        name: {other for other in imports(path, top=True) if other in MODULES} - {name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way, name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_knows_nothing_of_the_outside(name: str) -> None:
    seen: set[str] = set()
    todo = [name]
    while todo:
        path = MODULES[todo.pop()]
        assert packages(path) & OUTSIDE == set(), path
        more = {other for other in imports(path) if other in MODULES} - seen
        seen |= more
        todo += more


@modules
def test_services_and_verbs_know_neither_request_nor_socket(path: Path) -> None:
    if NAMES[path].startswith(("chat.services", "chat.commands")):
        assert packages(path) & SERVICES_KNOW_NOTHING_OF == set()


@modules
def test_carriers_and_wire_languages_know_no_database(path: Path) -> None:
    if NAMES[path].startswith(("chat.transports", "chat.protocols", "chat.message_types")):
        assert packages(path) & SQL == set()


@modules
def test_tasks_know_nothing_of_gevent(path: Path) -> None:
    if NAMES[path].startswith(("tasks", *BESIDE_TASKS)):
        assert "gevent" not in packages(path)


@modules
def test_the_core_knows_nothing_of_the_upload_service(path: Path) -> None:
    if NAMES[path].startswith("chat"):
        assert "uploads" not in packages(path)


def test_only_the_first_line_of_wsgi_patches() -> None:
    assert (ROOT / "wsgi.py").read_text().startswith("from gevent import monkey; monkey.patch_all()")
    patching = [NAMES[path] for path in CODE for name in imports(path) if PATCH.search(name)]
    calls = [NAMES[path] for path in CODE if re.search(r"patch_(all|socket|thread|ssl)\(", path.read_text())]
    assert set(patching + calls) == {"wsgi"}


@modules
def test_only_transaction_and_writer_tell_of_what_they_commit(path: Path) -> None:
    """Nobody else opens a unit of work that tells; services only emit."""
    if NAMES[path].startswith("chat.services"):
        assert not re.search(r"(node|teller|hub)\.tell\(|\.commit\(|\.begin\(", path.read_text())


# Size and words.


@modules
def test_no_file_is_longer_than_one_can_hold_in_mind(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_OF.get(NAMES[path], LINES)


@modules
def test_no_function_is_longer_than_a_page(path: Path) -> None:
    assert [(name, length) for name, length in functions(path) if length > BODY] == []


def test_nine_functions_in_ten_are_short() -> None:
    lengths = sorted(length for path in CODE for _, length in functions(path))
    assert lengths[len(lengths) * 9 // 10] < USUAL_BODY
    assert lengths[len(lengths) // 2] <= 8


@modules
def test_every_module_says_what_it_is(path: Path) -> None:
    if path.name == "wsgi.py":
        return  # its first line patches, and says so
    text = ast.get_docstring(tree(path))
    assert text
    assert text[0].isupper() or text[0] in "`'"


@modules
def test_no_module_is_a_place_for_what_has_no_home(path: Path) -> None:
    assert path.stem not in WITHOUT_A_HOME
    assert path.parent.name not in WITHOUT_A_HOME


@modules
def test_every_public_name_is_there(path: Path) -> None:
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and [target.id for target in node.targets if isinstance(target, ast.Name)] == [
            "__all__"
        ]:
            public = ast.literal_eval(node.value)
            defined = {name.id for name in ast.walk(tree(path)) if isinstance(name, ast.Name)}
            defined |= {each.name for each in tree(path).body if isinstance(each, (ast.FunctionDef, ast.ClassDef))}
            defined |= {
                alias.asname or alias.name
                for each in tree(path).body
                if isinstance(each, ast.ImportFrom)
                for alias in each.names
            }
            assert set(public) <= defined
            assert sorted(public) == sorted(set(public))


@modules
def test_settings_are_read_in_one_place(path: Path) -> None:
    allowed = {
        "chat.config",
        "chat.launcher.stores",
        "chat.launcher.supervisor",
        "chat.webserver.settings",
        "chat.launcher.embedded_postgres",
        "chat.launcher.embedded_redis",
        "chat.launcher.child",
        "tasks.worker",
    }
    if NAMES[path] not in allowed:
        assert not ENVIRONMENT.search(path.read_text())


@modules
def test_every_module_has_its_test(path: Path) -> None:
    if path.name == "__init__.py":
        return  # a folder's list; what is in it is tested
    mirror = ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}"
    assert mirror.exists()
