"""One test, watched as a cell is."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import pytest

from tensortoll.capture.watch import Watch
from tensortoll.errors import TensortollError
from tensortoll.pytest_plugin import SESSION, TOLD
from tensortoll.pytest_plugin.failing import Problem
from tensortoll.pytest_plugin.markers import broken_limits
from tensortoll.pytest_plugin.modules import Modules
from tensortoll.recording import Recording

_TEST: Final = pytest.StashKey["Test"]()
_MODULES: Final = pytest.StashKey[Modules]()


class Test:
    """A test that is watched while it is called: not its fixtures."""

    __test__ = False  # it is none that pytest should collect

    def __init__(self, item: pytest.Item) -> None:
        """Prepare; nothing is changed before it is entered."""
        self.item = item
        config = item.config
        self._modules = config.stash.setdefault(_MODULES, Modules(config))
        self._watch: Watch | None = None
        self._final: Recording | None = None
        self.annotations: list[dict[str, Any]] = []
        """What to show at which line of a pull request; see `annotations`."""
        self.asked: list[str] = []
        """Recordings that it was held against, by path."""
        self.written: list[str] = []
        """Those of them that it wrote."""

    @property
    def is_watched(self) -> bool:
        """Say whether its call is running."""
        return self._watch is not None

    def __enter__(self) -> Self:
        """Watch from here on."""
        watch = Watch(self._modules.sources)
        try:
            watch.start()
        except TensortollError as error:
            self.fail(Problem(f"{self.item.nodeid} can't be watched: {error}"))
        self._watch = watch
        self._modules.rewrite(watch, getattr(self.item, "module", None))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; an error goes on its way."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()
            self._final = watch.recording()

    @property
    def recording(self) -> Recording:
        """What was seen so far, or in the whole call once that has ended."""
        if self._watch is not None:
            return self._watch.recording()
        return self._final or Recording()

    def hold(self) -> None:
        """Fail if the call went beyond a limit, or costs more than it did."""
        recording = self.recording
        problems = [*broken_limits(self.item, recording)]
        session = self.item.config.pluginmanager.get_plugin(SESSION)
        if session is not None and not problems:
            problems = [*session.increase(self)]
        if problems:
            self.fail(*problems)

    def fail(self, *problems: Problem) -> NoReturn:
        """Fail the test; the annotated lines stand under the last of several problems."""
        for one in problems:
            first = one.message.partition("\n")[0]
            lines = dict.fromkeys((place.source.name, place.line) for place in one.places)
            self.annotations += (
                {"file": file, "line": line, "message": first} for file, line in lines
            )
        *others, last = problems
        pytest.fail("\n".join([*(one.message for one in others), str(last)]), pytrace=False)

    def told(self) -> dict[str, Any]:
        """Return what the test's report carries."""
        names = ("annotations", "asked", "written")
        carried: dict[str, Any] = {name: found for name in names if (found := getattr(self, name))}
        session = self.item.config.pluginmanager.get_plugin(SESSION)
        if self._final is not None and session is not None and session.all_tests:
            carried["recording"] = json.dumps(self._final.to_dict())
        return carried


def test_of(item: pytest.Item) -> Test:
    """Return what is known of a test; the same for its fixtures and for its call."""
    test = item.stash.get(_TEST, None)
    if test is None:
        test = item.stash[_TEST] = Test(item)
        item.stash[TOLD] = test.told
    return test
