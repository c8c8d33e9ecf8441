"""Record a block of Python from within: hooks only, nothing rewritten, and cheap."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tensortoll.capture.text.sources import Sources, all_but_libraries
from tensortoll.capture.watch import Watch, notice
from tensortoll.recording import Recording


class Record:
    """Records the conversions of a block that the libraries' hooks see.

    NumPy's own methods (`a.astype(...)`) are not among them: nothing can be hooked into C code,
    and the block is compiled already. `run_source` and `%%tensorcost` see those too.
    """

    def __init__(self, sources: Sources | None = None) -> None:
        """Prepare to record; ``sources`` are all files but those of libraries where None."""
        self._watch = Watch(sources or all_but_libraries())

    def __enter__(self) -> Self:
        """Start.

        Raises:
            AlreadyWatchingError: If a watch is on in this process.
        """
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; an error of the block goes on its way."""
        if error is not None:
            notice(error)
        self._watch.stop()

    @property
    def recording(self) -> Recording:
        """What was seen so far, or altogether once the block has ended."""
        return self._watch.recording()


def record() -> Record:
    """Return a context manager that records the conversions of its block.

    ```python
    with tensortoll.record() as recorder:
        train(model, arrays)
    print(recorder.recording.bytes_written)
    ```
    """
    return Record()
