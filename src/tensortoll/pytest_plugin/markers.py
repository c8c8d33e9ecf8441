"""Limits that markers, or the settings for all tests, put on a test's call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tensortoll.limits import SUBJECTS, Limit, Subject, limit
from tensortoll.luck import least
from tensortoll.pytest_plugin import INI
from tensortoll.pytest_plugin.failing import Problem, annotated
from tensortoll.recording import Recording

_PLACES: Final = 3
"""So many of the costliest places are shown in a pull request."""


def limits_of(item: pytest.Item) -> Iterator[tuple[Limit, str]]:
    """Yield the limits of a test, and who set each: the innermost marker, or else the setting.

    Raises:
        ValueError: If one is no limit; the message says whose.
    """
    for subject in SUBJECTS:
        name = f"limit_{subject}"
        set_ = set()
        for marker in item.iter_markers(name):
            most, direction = _arguments(name, marker)
            if direction in set_:
                continue  # a class's or a module's, where the test has one of its own
            set_.add(direction)
            found = _limit(name, subject, _resolved(item, name, most), direction)
            if found is not None:
                yield found, f"the marker {name}"
        default = item.config.getini(INI + name)
        if default and not set_:
            found = _limit(INI + name, subject, default, None)
            if found is not None:
                yield found, f"the setting {INI}{name}"


def _arguments(name: str, marker: pytest.Mark) -> tuple[Any, Any]:
    known = {"direction"} if name == "limit_transfers" else set()
    if len(marker.args) != 1 or not marker.kwargs.keys() <= known:
        message = f"{name} takes one limit{' and a direction' if known else ''}: {name}('8 MB')"
        raise ValueError(message)
    return marker.args[0], marker.kwargs.get("direction")


def _limit(name: str, subject: Subject, most: object, direction: object) -> Limit | None:
    try:
        return None if most is None else limit(subject, most, direction)
    except ValueError as error:
        message = f"{name}: {error}"
        raise ValueError(message) from None


def _resolved(item: pytest.Item, name: str, most: Any) -> object:
    """Return a limit; one that is a function is asked with the test's parameters."""
    if not callable(most):
        return most
    known = {
        **getattr(item, "funcargs", {}),
        **getattr(getattr(item, "callspec", None), "params", {}),
    }
    wanted = inspect.signature(most).parameters
    missing = [one for one in wanted if one not in known]
    if missing:
        message = (
            f"{name} asks for {', '.join(missing)}, and the test has no such parameter: "
            f"there are {', '.join(sorted(known)) or 'none'}"
        )
        raise ValueError(message)
    return most(**{one: known[one] for one in wanted})


def broken_limits(item: pytest.Item, recording: Recording) -> Iterator[Problem]:
    """Yield what is to be said of each limit that a test's call has gone beyond.

    What an allocator decides is counted at its best, so that a limit is kept or broken on every
    machine alike.
    """
    try:
        limits = [*limits_of(item)]
    except ValueError as error:
        yield Problem(str(error))
        return
    for one, who in limits:
        counted = one.counted(recording.conversions)
        amount = sum(getattr(least(each), one.field) for each in counted)
        if amount > one.most:
            costly = sorted(counted, key=lambda each: -getattr(each.totals, one.field))
            places = dict.fromkeys(each.route.place for each in costly)
            yield Problem(
                f"{one.broken_by(amount)}, by {who}",
                annotated(recording),
                tuple(places)[:_PLACES],
            )
    held = item.get_closest_marker("no_hazards") or item.config.getini(f"{INI}no_hazards")
    if held and recording.hazards:
        lines = ", ".join(f"{one.source.name}:{one.write_line}" for one in recording.hazards)
        yield Problem(
            f"memory that a conversion shares is written in {lines}, and no_hazards forbids it",
            annotated(recording),
        )
