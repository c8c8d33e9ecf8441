"""The aliases of this process, and who wrote to them.

After each line of the user's that can write, while an alias is alive, its elements are compared
with what they were before that line. So a hazard is proven by the memory itself, whatever wrote:
an assignment, a method, an optimizer, a library's C code. The time that this takes is limited;
beyond the limit lines go unseen, but no line is ever blamed for another's write.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Located
from tensortoll.capture.hazards.aliases import Alias, Handed, aliased
from tensortoll.capture.hazards.cuts import as_kept
from tensortoll.capture.hazards.sides import Describe
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.text.sources import Sources
from tensortoll.model import Hazard, Place, Source

GRACE_NS: Final = 150_000_000
"""So long may all looks of a watch take in any case,"""
SHARE: Final = 0.02
"""and this part of the time it has been on."""
MOST: Final = 256
"""Aliases looked at; the oldest are let go of first."""
_WAITING: Final = 1_024
_LONGEST: Final = 80
BLIND_SPOT: Final = (
    "Memory is shared, and looking at it after every line would take too long: some lines that "
    "write to it may be missing."
)
THREADS: Final = (
    "Memory is shared while several threads run the user's code: writes to it are not told."
)


_SEQUENCES: Final = frozenset((list, tuple, dict, float, int, bool, complex, str, type(None)))
_PYTHON: Final = _SEQUENCES | {bytes}
"""Types of what has no memory of its own to share."""
_Fresh = tuple[Located, weakref.ref[Any] | None, weakref.ref[Any], Seen | None]
"""The fields of what was `Handed`: to make one takes longer than all else that a call costs."""


class Flag:
    """Whether there is any reason to look. Baked into the code, where it is asked at each line."""

    __slots__ = ("__weakref__", "alive")

    def __init__(self) -> None:
        """Start without a reason."""
        self.alive = False

    def __reduce__(self) -> tuple[type[Flag], tuple[()]]:
        """Come out of a pickle as a flag that is never set."""
        return Flag, ()


FLAG: Final = Flag()
_ALIASES: Final[deque[Alias]] = deque(maxlen=MOST)
"""Of all watches: an array may be written in a later cell than it was shared in."""


def is_watching() -> bool:
    """Say whether memory is shared since an earlier cell."""
    return bool(_ALIASES)


def resume_looking() -> bool:
    """Have the watch that is on look again, as `progress.Check`; it need not be asked soon."""
    if RUNNING.writes is not None:
        RUNNING.writes.resume()
    return False


class Writes:
    """Looks at the aliases, for one watch."""

    def __init__(
        self,
        sources: Sources,
        describe: Describe,
        fault: Callable[[str, BaseException], None],
        blind_spot: Callable[[str], None],
    ) -> None:
        """Start without a hazard.

        Args:
            sources: What counts as the user's code.
            describe: Returns an array of any library in numbers.
            fault: Told of our own errors.
            blind_spot: Told of what could not be seen.
        """
        self._sources = sources
        self._describe: Describe = lambda value: describe(value) or RUNNING.describe(value)
        self._fault = fault
        self._blind_spot = blind_spot
        self._fresh: deque[_Fresh] = deque(maxlen=_WAITING)
        self._found: dict[tuple[Source, int, Place], Hazard] = {}
        self._lock = threading.Lock()
        self._thread = 0
        self._threads: set[int] = set()
        self._armed = False
        """Whether the states of all aliases are those right before what runs now."""
        self._is_paused = False
        """Whether looking has stopped until there is time for it."""
        self._has_waited = False
        """Whether pairs came meanwhile, of which nobody knows whether they share memory."""
        self._began_ns = time.perf_counter_ns()
        self.spent_ns = 0

    @property
    def found(self) -> tuple[Hazard, ...]:
        """The hazards so far."""
        return tuple(self._found.values())

    def start(self) -> None:
        """Look at what earlier cells left shared."""
        self._began_ns = time.perf_counter_ns()
        if _ALIASES:
            FLAG.alive = True
            self.look(None)

    def stop(self) -> None:
        """Have nothing looked at any more; what came in a pause is taken in for later cells."""
        FLAG.alive = False
        if self._has_waited:
            self._unseen(self._take_in)

    def shared_across(self, located: Located, given: tuple[Place, Any], result: Any) -> None:
        """Note what a call was given and what it made, if that can be two libraries' memory.

        Whether they do lie in the same memory is looked up later.

        Args:
            located: The call.
            given: Where something was given last, and what.
            result: What the call made.
        """
        where, origin = given
        kind = type(result)
        if (
            where is not located.place
            or kind in _PYTHON
            or type(origin) in _SEQUENCES
            or (kind is type(origin) and kind.__module__ == "numpy")
        ):
            return
        source = buffer = None
        try:
            made = weakref.ref(result)
        except TypeError:
            return
        try:
            source = None if origin is None else weakref.ref(origin)
        except TypeError:
            buffer = RUNNING.describe(origin) if type(origin) is bytearray else None
        self._fresh.append((located, source, made, buffer))
        if self._is_paused:
            self._has_waited = True
        else:
            FLAG.alive = True

    def look(self, place: Place | None, target: str = "") -> None:
        """Compare all aliases with what they were.

        Args:
            place: What the user's code did since the last look; None where that is not known.
            target: What is written there, as far as the text tells.
        """
        self._unseen(self._look, place, target)

    def _unseen(self, step: Callable[..., object], *args: object) -> None:
        """Take a step whose looking at arrays is no conversion, and whose errors are ours."""
        recorder = RUNNING.recorder
        if recorder is None or not self._lock.acquire(blocking=False):
            self._armed = False
            return
        table = recorder.local.table
        table.quiet += 1
        try:
            step(*args)
        except Exception as error:
            self._fault("looking at shared memory", error)
        finally:
            table.quiet -= 1
            self._lock.release()

    def _look(self, place: Place | None, target: str) -> None:
        began = time.perf_counter_ns()
        me = threading.get_ident()
        if me != self._thread:
            self._armed = False
            self._thread = me
            self._threads.add(me)
        if not self._is_affordable(began):
            # Not asked again at every line: `resume` says when there is time for it.
            self._armed = FLAG.alive = False
            self._is_paused, self._has_waited = True, bool(self._fresh)
            if _ALIASES:
                self._blind_spot(BLIND_SPOT)
            return
        known = place is not None and self._armed and not self._is_shared_by_threads()
        new = self._take_in()
        for alias in tuple(_ALIASES):
            if not alias.is_alive(self._describe):
                _ALIASES.remove(alias)
            elif alias.look() and known and alias not in new and place is not None:
                self._tell(alias, place, target, alias.look_at_versions())
            else:
                alias.look_at_versions()
        self._armed = True
        FLAG.alive = bool(_ALIASES) or bool(self._fresh)
        self.spent_ns += time.perf_counter_ns() - began

    def _is_affordable(self, now_ns: int) -> bool:
        return self.spent_ns <= GRACE_NS + SHARE * (now_ns - self._began_ns)

    def resume(self) -> None:
        """Look again from the next line on, if looking had stopped and there is time for it."""
        if (_ALIASES or self._fresh) and self._is_affordable(time.perf_counter_ns()):
            self._is_paused = False
            FLAG.alive = True

    def _is_shared_by_threads(self) -> bool:
        """Say whether another thread that runs the user's code is still alive."""
        if len(self._threads) == 1:
            return False
        living = {thread.ident for thread in threading.enumerate()}
        self._threads &= living
        if len(self._threads) > 1:
            self._blind_spot(THREADS)
            return True
        return False

    def _take_in(self) -> list[Alias]:
        new = []
        while self._fresh:
            kept = as_kept(Handed(*self._fresh.popleft()), self._sources)
            pair = kept and aliased(kept, self._describe, self._blind_spot)
            if pair is not None:
                _ALIASES.append(pair)
                new.append(pair)
        if new and self._has_waited:
            self._blind_spot(BLIND_SPOT)
        self._has_waited = False
        return new

    def _tell(self, alias: Alias, place: Place, target: str, counted: tuple[bool, bool]) -> None:
        key = (place.source, place.line, alias.place)
        if key in self._found:
            return
        origin, result = alias.names
        through_result = counted[1] if any(counted) else target == result
        if through_result and not counted[0]:
            written, other = result, origin
        else:
            written, other = origin, result
        if target and target not in {origin, result}:
            written = target  # another name, or another view of the same memory
        elsewhere = alias.place.source.name if alias.place.source != place.source else ""
        where = f"{elsewhere} line {alias.place.line}".strip()
        self._found[key] = Hazard(
            place.source,
            alias.place.line,
            place.line,
            written,
            other,
            f"line {place.line} (`{_first_line(place.expression)}`) wrote to memory that "
            f"`{alias.place.expression}` ({where}) shares: {other} changed with it. To keep them "
            "apart, copy there.",
            elsewhere,
        )

    def caller(self, frame: FrameType | None) -> Place | None:
        """Return the innermost line of the user's that a frame was called from."""
        while frame is not None:
            source = self._sources.of(frame.f_code.co_filename)
            if source is not None:
                return _line(source, frame.f_lineno or 0)
            frame = frame.f_back
        return None

    def raiser(self, error: BaseException) -> Place | None:
        """Return the innermost line of the user's that an error came from."""
        found = None
        entry = error.__traceback__
        while entry is not None:
            source = self._sources.of(entry.tb_frame.f_code.co_filename)
            if source is not None:
                found = _line(source, entry.tb_lineno)
            entry = entry.tb_next
        return found


def _line(source: Source, line: int) -> Place:
    lines = (source.text or "").splitlines()
    text = lines[line - 1].strip() if 1 <= line <= len(lines) else ""
    return Place(source, line, line, None, None, text)


def _first_line(text: str) -> str:
    first = text.partition("\n")[0]
    return first if len(first) <= _LONGEST else f"{first[: _LONGEST - 1]}…"
