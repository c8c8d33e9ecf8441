"""CuPy: the cell's own expressions. Its classes are C code that nothing can be hooked into.

Written from https://docs.cupy.dev/en/stable/reference/. Arrays stay where they are until asked:
`numpy.asarray` of one raises, so all ways in and out are named here.

Not seen: memory that kernels of the user's own write; copies inside of CuPy's operations. Times
are those of the call, which for copies on the device ends before the copy does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensortoll.capture.arrays.addresses import reach
from tensortoll.capture.arrays.layouts import dtype_name
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import Describe
from tensortoll.model import Kind

MAKERS: Final = (
    "array asarray asanyarray ascontiguousarray asfortranarray copy asnumpy from_dlpack"
).split()


class CupyProbe(DescribedProbe):
    """Watches CuPy."""

    library = "cupy"
    explicit = frozenset((*MAKERS, "get", "set", "astype", "tolist", "item", "toDlpack"))
    rewrites = Rewrites(
        methods={"toDlpack": "export"},
        functions={
            **{f"cupy.{name}": "convert" for name in MAKERS},
            **dict.fromkeys(("cupy.ravel", "cupy.reshape"), "reorder"),
            "cupy.copyto": "into",
        },
        # A dict has a `get` too: it is rewritten only for those who use CuPy.
        rarely={"cupy": Rewrites(methods={"get": "convert", "set": "into"})},
    )

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how arrays on the device are described."""
        import cupy

        return {cupy.ndarray: describe_array}


def describe_array(array: Any) -> Seen:
    """Return an array on the device in numbers; its memory is not touched."""
    size = array.itemsize
    return Seen(
        Kind("cupy", dtype_name(array.dtype), f"cuda:{array.device.id}"),
        reach(array.data.ptr, array.shape, array.strides, size),
        array.nbytes,
        array.shape,
        tuple(step // size for step in array.strides),
        swapped=False,
        identity=id(array),
    )
