"""What a whole run of tests has to do: sum up, report, compare with the last run, trim."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tensortoll.comparison import compare
from tensortoll.errors import RecordingFormatError
from tensortoll.pytest_plugin import REPORTED
from tensortoll.pytest_plugin.failing import Problem, drawn, near
from tensortoll.pytest_plugin.kept import folder_of, portable
from tensortoll.pytest_plugin.watching import Test
from tensortoll.recording import Recording, merged
from tensortoll.report import build_all
from tensortoll.report.changes import compared
from tensortoll.sizes import format_bytes, format_count

PASSED: Final = "tensorcost/passed"
"""Where pytest's cache keeps what each test converted when it last passed."""
_SHOWN: Final = 20
"""So many tests are reported on."""


class Session:
    """One run. A worker process of xdist only holds tests; the sums are made where it began."""

    def __init__(self, config: pytest.Config, *, all_tests: bool) -> None:
        """Start.

        Args:
            config: Of the run.
            all_tests: Whether every test is watched, or only those that ask for it.

        Raises:
            pytest.UsageError: If an option can't be served.
        """
        self.all_tests = all_tests
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._recordings: dict[str, Recording] = {}
        """Of tests that passed or failed, by name."""
        self._passed: set[str] = set()
        self._asked: set[Path] = set()
        self._written: list[str] = []
        self._removed: list[str] = []
        self._collected: dict[str, list[str]] = {}
        """Names of tests by module, of modules that were collected whole."""
        self._partly: set[str] = set()
        target: Path | None = config.option.tensorcost_json
        if target is not None and not target.absolute().parent.is_dir():
            message = f"--tensorcost-json: there is no folder for {str(target)!r}"
            raise pytest.UsageError(message)
        self._last: dict[str, Any] = {}
        if config.option.tensorcost_fail_on_increase:
            self._last = _cache(config).get(PASSED, {})

    def increase(self, test: Test) -> Iterator[Problem]:
        """Yield why a test costs more than when it last passed."""
        try:
            last = Recording.from_dict(self._last[test.item.nodeid])
        except (KeyError, TypeError, RecordingFormatError):
            return
        comparison = compare(last, test.recording)
        if comparison.is_worse:
            yield Problem(
                "the test converts more than when it last passed. If that is right, start anew:\n"
                "  pytest --cache-clear --tensorcost-fail-on-increase",
                compared(comparison, old="when it last passed", new="now"),
                tuple(one.place for one in comparison.worse),
            )

    # ------------------------------------------------------------------------ collection

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Take note of what there is to run."""
        for item in items:
            self._collected.setdefault(str(item.path), []).append(item.nodeid)
        options = self._config.option
        if getattr(options, "lf", False) or any("::" in one for one in self._config.args):
            self._partly.update(self._collected)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Take note of what will not be run."""
        self._partly.update(str(item.path) for item in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what was seen of a test."""
        if report.when != "call":
            return
        told = getattr(report, REPORTED, {})
        if report.passed:
            self._passed.add(report.nodeid)
        self._asked.update(map(Path, told.get("asked", ())))
        self._written += told.get("written", ())
        if "recording" in told:
            found = Recording.from_dict(json.loads(told["recording"]))
            self._recordings[report.nodeid] = found

    # ------------------------------------------------------------------------- at the end

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Learn from a worker of xdist what it has collected."""
        del error
        told = getattr(node, "workeroutput", {}).get(REPORTED)
        if told:
            self._collected.update(told["collected"])
            self._partly.update(told["partly"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write what was asked for."""
        config = self._config
        if self._is_worker:
            told = {"collected": self._collected, "partly": sorted(self._partly)}
            config.workeroutput[REPORTED] = told  # type: ignore[attr-defined]
            return
        if config.option.tensorcost_json is not None:
            merged(self._recordings.values()).save(config.option.tensorcost_json)
        if config.option.tensorcost_fail_on_increase:
            passed = self._passed & self._recordings.keys()
            new = {one: portable(self._recordings[one]).to_dict() for one in sorted(passed)}
            _cache(config).set(PASSED, {**self._last, **new})
        if "trim" in config.option.tensorcost_record:
            self._removed = [*self._trimmed()]

    def _trimmed(self) -> Iterator[str]:
        """Remove the recordings that no test asks for, of modules whose tests all passed."""
        for module, tests in sorted(self._collected.items()):
            if module in self._partly or not self._passed.issuperset(tests):
                continue
            folder = folder_of(Path(module))
            for path in sorted(folder.glob("*.json")):
                if path not in self._asked:
                    path.unlink()
                    yield str(path)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what was asked for, and what was written."""
        if self._config.option.tensorcost_report:
            self._report(terminalreporter)
        for verb, paths in (("wrote", self._written), ("removed", self._removed)):
            for path in sorted(paths):
                terminalreporter.write_line(f"tensorcost: {verb} {self._short(path)}")

    def _report(self, reporter: Any) -> None:
        reporter.section("tensor conversions")
        costly = sorted(self._recordings.items(), key=lambda one: (-one[1].bytes_written, one[0]))
        telling = [one for one in costly if one[1].conversions]
        for name, recording in telling[:_SHOWN]:
            reporter.write_line(drawn(tuple(map(near, build_all(recording, title=name)))))
            reporter.write_line("")
        if len(telling) > _SHOWN:
            reporter.write_line(f"and {len(telling) - _SHOWN:,} more tests that convert less")
        total = merged(self._recordings.values())
        reporter.write_line(
            f"{format_count(len(self._recordings))} tests watched, "
            f"{format_count(total.count)} conversions, {format_bytes(total.bytes_written)} written"
        )

    def _short(self, path: str) -> str:
        root = self._config.rootpath
        return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path


def _cache(config: pytest.Config) -> pytest.Cache:
    if not config.pluginmanager.has_plugin("cacheprovider"):
        message = "--tensorcost-fail-on-increase needs pytest's cache: leave `-p no:cacheprovider`"
        raise pytest.UsageError(message)
    assert config.cache is not None
    return config.cache
