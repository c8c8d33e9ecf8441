"""Recordings that stand beside a test, and what `--tensorcost-record` may do with them.

Those of `test_load.py` are in `test_load.recordings/`, one file for each name. They hold what is
the same on every machine: no times, no addresses, no text, no host.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tensortoll.comparison import compare
from tensortoll.errors import RecordingFormatError
from tensortoll.model import Conversion, Environment
from tensortoll.pytest_plugin.failing import Problem, annotated
from tensortoll.recording import Recording, load, merged
from tensortoll.report.changes import compared
from tensortoll.store import write_document

if TYPE_CHECKING:
    from tensortoll.pytest_plugin.watching import Test

_NAME: Final = re.compile(r"\w[\w .,=@+\-\[\]()]*")
_USED: Final = pytest.StashKey[dict[Path, str]]()
"""Which test asked for a recording, in this run."""


def folder_of(module: Path) -> Path:
    """Return the folder with the recordings of a module's tests."""
    return module.with_name(f"{module.stem}.recordings")


def held(test: Test, name: str, recording: Recording) -> Problem | None:
    """Hold a recording against the one that a test keeps, or write it where that was asked for.

    Args:
        test: Whose it is.
        name: Of the recording.
        recording: What was seen.
    """
    if not _NAME.fullmatch(name):
        return Problem(f"{name!r} is no name for a recording: letters, digits and ' .,=@+-[]()'")
    item = test.item
    path = folder_of(item.path) / f"{name}.json"
    other = item.config.stash.setdefault(_USED, {}).setdefault(path, item.nodeid)
    if other != item.nodeid:
        return Problem(
            f"{other} keeps the recording {name!r} as well: one of the two must name another. "
            "In a parametrised test, let the name tell the parameters."
        )
    test.asked.append(str(path))
    problem = against(path, recording, mend=f'pytest "{item.nodeid}"')
    modes = item.config.option.tensorcost_record
    if problem is None or problem.mode not in modes:
        return problem
    keep(recording, path)
    test.written.append(str(path))
    return None


def keep(recording: Recording, path: Path, *, text: bool = False) -> None:
    """Write what is the same on every machine; with the ``text`` of the sources or without."""
    path.parent.mkdir(exist_ok=True)
    write_document(portable(recording, text=text).to_dict(), path, indent=1)


def against(
    path: Path,
    recording: Recording,
    *,
    mend: str,
    part: Callable[[Recording], Recording] = lambda whole: whole,
) -> Unkept | None:
    """Return in what a recording differs from the one in a file; None if in nothing.

    Args:
        path: Of the file, which need not be there.
        recording: What was seen.
        mend: The command that runs the test; the option is added to it.
        part: Returns what is to be compared of the one in the file.
    """
    try:
        kept = part(load(path))
    except FileNotFoundError:
        return Unkept(
            f"no recording {path.stem!r} is kept yet. Keep what the test converts now:\n"
            f"  {mend} --tensorcost-record=create",
            annotated(recording),
            mode="create",
        )
    except (RecordingFormatError, OSError) as error:
        return Unkept(
            f"the recording {path.stem!r} can't be read: {error}\nWrite it anew:\n"
            f"  {mend} --tensorcost-record=fix",
            mode="fix",
        )
    comparison = compare(kept, recording)
    if not comparison:
        return None
    return Unkept(
        f"the test converts otherwise than its recording {path.stem!r}. If that is right:\n"
        f"  {mend} --tensorcost-record=fix",
        compared(comparison, old=f"{path.stem} as kept", new="now"),
        tuple(dict.fromkeys(one.place for one in comparison.changes)),
        mode="fix",
    )


@dataclass(frozen=True, slots=True)
class Unkept(Problem):
    """That a recording is not there, or not as it should be."""

    mode: str = "fix"
    """Under which it is mended."""


def portable(recording: Recording, *, text: bool = False) -> Recording:
    """Return a recording without what belongs to one machine or one minute."""

    def bare(one: Conversion) -> Conversion:
        totals = one.totals._replace(elapsed_ns=0)
        return replace(one, route=one.route._replace(via=None), totals=totals, proof=None)

    kept = recording if text else recording.without_text()
    # Not those that only happened to be loaded: what is kept is the same in whatever process.
    at_work = {
        kind.library for one in kept.conversions for kind in (one.route.origin, one.route.target)
    }
    versions = recording.environment.libraries.items()
    return merged(
        (
            Recording(
                conversions=tuple(map(bare, kept.conversions)),
                sources=kept.sources,
                failures=kept.failures,
                hazards=kept.hazards,
                environment=Environment(
                    libraries={name: version for name, version in versions if name in at_work}
                ),
            ),
        )
    )
