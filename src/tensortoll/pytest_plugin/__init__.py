"""Conversions held in tests: a fixture, limits as markers, recordings kept beside tests.

pytest finds this module by its entry point in every run. It imports nothing but pytest, and what
it does for a test that does not ask for it is to look at the test's markers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tensortoll.pytest_plugin.fixture import Tensorcost
    from tensortoll.pytest_plugin.notebooks import NotebookFile

__all__ = ["tensorcost"]

MODES: Final = ("create", "fix", "trim")
"""What `--tensorcost-record` may do with recordings that tests keep."""
MARKERS: Final = {
    "limit_copies(size)": (
        "fail the test if copies write more in its call than this, '24 MB' or bytes. Here and "
        "below a function of the test's parameters may stand for the limit, None for none."
    ),
    "limit_casts(number)": "the same for conversions that change the dtype; or a size, in bytes.",
    "limit_transfers(number, direction=None)": (
        "the same for conversions that change the device; or a size, '8 MB'. The direction is "
        "'h2d', 'd2h' or 'd2d'; all of them where None."
    ),
    "no_hazards": "fail the test if it writes to memory that a conversion shares.",
}
INI: Final = "tensorcost_"
"""How the names of settings begin: `tensorcost_limit_copies = 24 MB` for every test."""
SESSION: Final = "tensortoll-session"
"""The name of the plugin that is there where a whole run has something to do."""
REPORTED: Final = "tensorcost"
"""The attribute of a test's report that says what was seen: strings and numbers."""
TOLD: Final = pytest.StashKey[Callable[[], dict[str, Any]]]()
"""Returns it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings."""
    group = parser.getgroup("tensorcost", "tensor conversions (tensortoll)")
    group.addoption(
        "--tensorcost-record",
        type=_modes,
        default=frozenset(),
        metavar="MODES",
        help="write the recordings that tests keep: `create` missing ones, `fix` stale ones, "
        "`trim` those that no test asks for; several with a comma. Without it, none is written.",
    )
    group.addoption(
        "--tensorcost-report",
        action="store_true",
        help="show at the end what each test's conversions cost, on the lines that made them.",
    )
    group.addoption(
        "--tensorcost-json",
        type=Path,
        metavar="F",
        help="write the recording of all tests together there.",
    )
    group.addoption(
        "--tensorcost-fail-on-increase",
        action="store_true",
        help="fail a test that converts more than when it last passed under this option; what "
        "that was is kept in pytest's cache.",
    )
    group.addoption(
        "--tensorcost-notebooks",
        action="store_true",
        help="run notebooks in a real kernel, and hold each %%%%tensorcost cell against the "
        "recording beside the notebook.",
    )
    for name in ("copies", "casts", "transfers"):
        marker = f"limit_{name}"
        parser.addini(f"{INI}{marker}", f"the limit for tests without the marker {marker}.", None)
    parser.addini(f"{INI}no_hazards", "hold all tests to no_hazards.", "bool", default=False)


def _modes(text: str) -> frozenset[str]:
    modes = frozenset(one.strip() for one in text.split(",") if one.strip())
    if not modes or not modes <= set(MODES):
        message = f"{text!r} is not some of {', '.join(MODES)}, with commas between them"
        raise argparse.ArgumentTypeError(message)
    return modes


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; start what a whole run needs, if it was asked for."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    options = config.option
    whole = (
        options.tensorcost_report or options.tensorcost_json or options.tensorcost_fail_on_increase
    )
    defaults = any(
        config.getini(f"{INI}{name}")
        for name in ("limit_copies", "limit_casts", "limit_transfers", "no_hazards")
    )
    if whole or defaults or options.tensorcost_record:
        from tensortoll.pytest_plugin.session import Session

        session = Session(config, all_tests=bool(whole or defaults))
        config.pluginmanager.register(session, SESSION)


def is_asked(item: pytest.Item) -> bool:
    """Say whether a test is to be watched."""
    if "tensorcost" in getattr(item, "fixturenames", ()):
        return True
    if any(item.get_closest_marker(name.partition("(")[0]) is not None for name in MARKERS):
        return True
    session = item.config.pluginmanager.get_plugin(SESSION)
    return session is not None and session.all_tests


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the test's call, and hold it to its limits once it has passed."""
    if not isinstance(item, pytest.Function) or not is_asked(item):
        return (yield)
    from tensortoll.pytest_plugin.watching import test_of

    test = test_of(item)
    with test:
        result = yield
    test.hold()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report carry what was seen, also out of a worker process."""
    report = yield
    told = item.stash.get(TOLD, None)
    if told is not None and call.when == "call":
        setattr(report, REPORTED, told())
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Have a pull request show what went wrong at its line, where GitHub runs the tests."""
    import os

    if os.environ.get("GITHUB_ACTIONS") == "true":
        from tensortoll.pytest_plugin.annotations import write_annotations

        write_annotations(terminalreporter)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> NotebookFile | None:
    """Collect notebooks, if they were asked for."""
    if file_path.suffix != ".ipynb" or not parent.config.option.tensorcost_notebooks:
        return None
    from tensortoll.pytest_plugin.notebooks import NotebookFile

    return NotebookFile.from_parent(parent, path=file_path)


@pytest.fixture
def tensorcost(request: pytest.FixtureRequest) -> Tensorcost:
    """Record conversions in a block of a test, and hold them against a recording.

    ```python
    def test_load(tensorcost):
        with tensorcost:
            batch = load()
        tensorcost.matches("load")
        assert tensorcost.recording.copies == 0
    ```
    """
    from tensortoll.pytest_plugin.fixture import Tensorcost
    from tensortoll.pytest_plugin.watching import test_of

    return Tensorcost(test_of(request.node))
