"""Pillow: the cell's own expressions.

Not seen: the bytes that Pillow writes twice on its way to NumPy, for an image larger than a block
of its encoder; decoding a file, which is no conversion.
"""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.arrow import exported_array
from tensortoll.capture.expressions import RUNNING
from tensortoll.capture.probes import Context
from tensortoll.capture.rewrites import Rewrites
from tensortoll.capture.seen import Seen
from tensortoll.model import Kind, Span

MAKERS: Final = "fromarray frombuffer frombytes fromarrow".split()
METHODS: Final = "tobytes getdata copy".split()
_DTYPES: Final = {"1": "bool", "I": "int32", "F": "float32", "I;16": "uint16", "I;16B": "uint16"}
"""Of the array that NumPy makes of an image, by its mode; `uint8` for all others."""
_SIZES: Final = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2}
_ELSEWHERE: Final = Span(0, 0)
"""Where an image lies that Pillow keeps in several blocks, or has not read from its file yet.

No array can lie there: neither blocks apart nor what does not exist are an array's memory."""


class PillowProbe:
    """Watches Pillow."""

    library = "PIL"
    explicit = frozenset((*MAKERS, *METHODS))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={f"PIL.Image.{name}": "convert" for name in MAKERS},
    )

    def install(self, context: Context) -> None:  # noqa: ARG002 - nothing of Pillow's is replaced
        """Make images known to the rewritten expressions."""
        from PIL import Image

        RUNNING.describers[Image.Image] = describe_image

    def describe(self, value: Any) -> Seen | None:
        """Return an image in numbers."""
        return RUNNING.describe(value)


def describe_image(image: Any) -> Seen:
    """Return an image in numbers. One that was not read from its file yet stays so."""
    width, height = image.size
    kind = Kind("PIL", _DTYPES.get(image.mode, "uint8"))
    bands = len(image.getbands())
    shape = (height, width, bands) if bands > 1 else (height, width)
    core = getattr(image, "_im", None)
    memory = _memory(core)
    span = memory[0] if len(memory) == 1 else None
    nbytes = width * height * bands * _SIZES.get(image.mode, 1)
    if span is not None and span is not _ELSEWHERE:
        nbytes = span.stop - span.start
    return Seen(kind, span, nbytes, shape, (), swapped=False, identity=id(image), pieces=memory)


def _memory(core: Any) -> tuple[Span, ...]:
    try:
        return exported_array(core.__arrow_c_schema__(), core.__arrow_c_array__()).pieces
    except (AttributeError, ValueError, MemoryError):
        # Not read yet, in several blocks, or a Pillow before 11.2, which tells nobody.
        return (_ELSEWHERE,)
