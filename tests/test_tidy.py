"""House rules as tests: names, sizes, dead modules, one place for schemas and for the environment."""

import ast
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("shared", "config", "storage", "ingestion", "etl", "scripts")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
BANNED = {"manager", "handler", "utils", "helpers", "base", "common", "core"}
NAMED_BY_ARCHITECTURE = {"etl/core/__init__.py", "etl/core/base.py", "storage/base.py"}
LINES_MAX, FUNCTION_LINES_MAX = 300, 70


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= LINES_MAX
    assert "FIXME" not in text
    assert "TODO" not in text
    assert not text.strip() or ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_names_say_something(path: Path) -> None:
    if name_of(path) in NAMED_BY_ARCHITECTURE:
        return
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    words = {path.stem.lower(), *(name.lower() for name in classes)}
    assert not [word for word in words for banned in BANNED if word == banned or word.endswith("_" + banned)]
    assert not [name for name in classes if name.endswith(("Manager", "Handler", "Utils", "Helper"))]


def test_every_module_is_imported_by_something() -> None:
    imported = set()
    for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    text = "\n".join(path.read_text() for path in SOURCES) + (ROOT / "Makefile").read_text()
    dead = []
    for path in SOURCES:
        module = name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found_by_name = module in text or '__name__ == "__main__"' in path.read_text()
        discovered = (
            module.startswith(("etl.bars.", "etl.features.families.", "etl.transforms.", "ingestion.exchanges."))
            or path.name == "__init__.py"
        )
        if module not in imported and not found_by_name and not discovered:
            dead.append(module)
    assert dead == []


def test_schemas_and_the_environment_have_one_place_each() -> None:
    schemas = [name_of(path) for path in SOURCES if "pa.schema(" in path.read_text()]
    assert schemas == ["shared/tables.py"]
    environment = [name_of(path) for path in SOURCES if "os.environ" in path.read_text()]
    assert set(environment) <= {
        "config/config.py",
        "config/sources.py",
        "scripts/demo/processes.py",
        "scripts/supervisor/children.py",  # handed on
        "shared/notify.py",  # the protocol of systemd
    }


def test_no_installed_package_owns_our_flat_names() -> None:
    ours = {*ROOMS, "research", "tests"}
    for distribution in distributions():
        if distribution.metadata["Name"] == "daedalus-lake":
            continue
        top = {str(file).split("/")[0] for file in distribution.files or () if str(file).endswith(".py")}
        assert not ours & top, distribution.metadata["Name"]


def test_all_assertions_of_ours_stay_on() -> None:
    assert __debug__, "assertions guard our own invariants: never run with -O"


def test_kernels_are_kept_by_the_one_who_knows_what_they_call() -> None:
    """Numba's cache does not see that a callee in another file has changed: `etl.compiled.kernel` does."""
    assert [name_of(path) for path in SOURCES if "njit" in path.read_text()] == ["etl/compiled.py"]


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "README.md").read_text()
    assert [page.name for page in sorted((ROOT / "docs").glob("*.md")) if f"(docs/{page.name})" not in index] == []
