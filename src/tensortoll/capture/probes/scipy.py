"""SciPy's sparse arrays: the cell's own expressions. Nothing is hooked.

Not seen: arrays that are lists or dicts of Python objects inside (LIL, DOK); changes of format in
the middle of an operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tensortoll.capture.arrays.seen import Part, Seen, UnknownLayoutError, joined
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.probes.numpy import describe_array
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.expressions import Describe

FORMATS: Final = "csr csc coo bsr dia lil dok".split()
MAKERS: Final = [f"{name}_{kind}" for name in FORMATS for kind in ("array", "matrix")]
METHODS: Final = [
    *(f"to{name}" for name in FORMATS),
    *"asformat toarray todense astype copy".split(),
]
_INDICES: Final = {
    **dict.fromkeys(("csr", "csc", "bsr"), ("indices", "indptr")),
    "coo": ("coords",),
    "dia": ("offsets",),
}
"""What says where the elements stand, by format."""


class ScipyProbe(DescribedProbe):
    """Watches SciPy's sparse arrays."""

    library = "scipy"
    explicit = frozenset((*MAKERS, *METHODS))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={f"scipy.sparse.{name}": "gather" for name in MAKERS},
    )

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how sparse arrays are described."""
        from scipy import sparse

        return {sparse.spmatrix: describe_sparse, sparse.sparray: describe_sparse}


def describe_sparse(array: Any) -> Seen:
    """Return a sparse array in numbers: its elements, and what says where they stand."""
    arrays = list(_arrays(array))
    seen = [describe_array(one) for one in arrays]
    parts = [Part(one.kind.dtype, one.memory, one.nbytes) for one in seen]
    whole = joined("scipy", parts, array.shape, id(array))
    # The dtype is that of the elements, whatever the indices have.
    kind = whole.kind._replace(dtype=seen[0].kind.dtype)
    return whole._replace(kind=kind, dtypes=frozenset(), order=array.format)


def _arrays(array: Any) -> Iterator[Any]:
    names = _INDICES.get(array.format)
    if names is None:
        msg = f"a sparse array of the format {array.format}"
        raise UnknownLayoutError(msg)
    yield array.data
    for name in names:
        found = getattr(array, name)
        yield from found if isinstance(found, tuple) else (found,)
