"""How the package is laid out: what may import what, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensortoll

ROOT = Path(tensortoll.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = (
    {"errors", "model", "sizes"},
    {"document"},
    {"format_observed"},  # a part of a document
    {"format", "store"},
    {"merging", "rereading"},
    {"recording", "luck", "trace"},
    {"verdict", "comparison", "limits"},
    {"capture", "report"},
    {"advice"},  # reads what capture saw and tries other ways under a watch; draws nothing
    {"notebook", "magics", "cli", "pytest_plugin", "guarding", "__main__"},
    {""},
)
"""From low to high; "" is the package itself."""
INSIDE_A_LAYER = {
    ("recording", "store"),
    ("cli", "notebook"),
    ("magics", "notebook"),
    ("magics", "guarding"),
    ("pytest_plugin", "notebook"),
    ("__main__", "cli"),
}
MOST_LINES = 320
STILL_TOO_LONG: dict[str, int] = {}
"""To be split; none may grow."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Yield every module of ours that a file imports, also inside functions; not for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                yield inner if inner in NAMES else node.module


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name in NAMES}


def part(name: str) -> str:
    return name.removeprefix("tensortoll").removeprefix(".").partition(".")[0]


def layer(name: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if part(name) in names]
    assert found, f"{name} stands in no layer: name it in LAYERS"
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down_only(name: str) -> None:
    """A module imports from its own part, or from a lower layer, and from no other part."""
    for other in ours(NAMES[name]):
        if part(other) == part(name) or other == "tensortoll":
            continue  # the package itself, for its version: it imports nothing when it is loaded
        allowed = layer(other) < layer(name) or (part(name), part(other)) in INSIDE_A_LAYER
        assert allowed, f"{name} imports {other}"


def test_capture_and_report_do_not_know_each_other() -> None:
    """What sees and what shows meet in the recording only."""
    for name, path in NAMES.items():
        if part(name) in {"capture", "report"}:
            other = {"capture": "report", "report": "capture"}[part(name)]
            assert other not in {part(one) for one in ours(path)}, name


def test_no_module_imports_itself_by_way_of_others() -> None:
    """There is an order in which all modules can be read."""
    edges = {name: ours(path) - {name, "tensortoll"} for name, path in NAMES.items()}
    done: set[str] = set()

    def visit(name: str, on_the_way: tuple[str, ...]) -> None:
        assert name not in on_the_way, " -> ".join((*on_the_way, name))
        if name not in done:
            for other in sorted(edges[name]):
                # A package that only hands on the names of its modules is no step of its own.
                if not name.startswith(f"{other}."):
                    visit(other, (*on_the_way, name))
            done.add(name)

    for name in NAMES:
        visit(name, ())


HEAVY = "torch tensorflow keras jax numpy pandas memray line_profiler"


@pytest.mark.parametrize(
    "code",
    [
        "import tensortoll",
        (
            "import tensortoll, IPython; shell = IPython.InteractiveShell.instance();"
            "before = set(sys.modules); tensortoll.load_ipython_extension(shell);"
            "[sys.modules.pop(one) for one in before & set(heavy)]"
        ),
    ],
)
def test_loading_us_loads_nobody_else(code: str) -> None:
    """Neither the import nor `%load_ext` costs the import of a framework or an observer."""
    loaded = "print([one for one in heavy if one in sys.modules])"
    text = f"import sys; heavy = {HEAVY!r}.split(); {code}; {loaded}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    """No file is long, and none has a name that says nothing."""
    most = STILL_TOO_LONG.get(str(path.relative_to(ROOT)), MOST_LINES)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most
    assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}
