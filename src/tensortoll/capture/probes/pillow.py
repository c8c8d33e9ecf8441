"""Pillow: the cell's own expressions.

Not seen: the bytes that Pillow writes twice on its way to NumPy, for an image larger than a block
of its encoder; decoding a file, which is no conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensortoll.capture.arrays.arrow import exported_array
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import Describe
from tensortoll.model import Kind, Span

MAKERS: Final = "fromarray frombuffer frombytes fromarrow".split()
METHODS: Final = "tobytes copy".split()
_DTYPES: Final = {"1": "bool", "I": "int32", "F": "float32", "I;16": "uint16", "I;16B": "uint16"}
"""Of the array that NumPy makes of an image, by its mode; `uint8` for all others."""
_SIZES: Final = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2}
_ELSEWHERE: Final = Span(0, 0)
"""Where an image lies that Pillow keeps in several blocks, or has not read from its file yet.

No array can lie there: neither blocks apart nor what does not exist are an array's memory."""


class PillowProbe(DescribedProbe):
    """Watches Pillow."""

    library = "PIL"
    explicit = frozenset((*MAKERS, *METHODS))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={f"PIL.Image.{name}": "convert" for name in MAKERS},
        positions={"PIL.Image.frombytes": 2, "PIL.Image.frombuffer": 2},
    )

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how images are described."""
        from PIL import Image

        return {Image.Image: describe_image}


def describe_image(image: Any) -> Seen:
    """Return an image in numbers. One that was not read from its file yet stays so."""
    width, height = image.size
    kind = Kind("PIL", _DTYPES.get(image.mode, "uint8"))
    bands = len(image.getbands())
    shape = (height, width, bands) if bands > 1 else (height, width)
    core = getattr(image, "_im", None)
    memory = _memory(core)
    payload = width * height * bands * _SIZES.get(image.mode, 1)
    known = memory[0] is not _ELSEWHERE
    return Seen(
        kind,
        memory[0] if known else None,
        memory[0].stop - memory[0].start if known else payload,
        shape,
        (),
        swapped=False,
        identity=id(image),
        pieces=() if known else memory,
        handed=payload,
    )


def _memory(core: Any) -> tuple[Span, ...]:
    try:
        return exported_array(core.__arrow_c_schema__(), core.__arrow_c_array__()).pieces
    except (AttributeError, ValueError, MemoryError):
        # Not read yet, in several blocks, or a Pillow before 11.2, which tells nobody.
        return (_ELSEWHERE,)
