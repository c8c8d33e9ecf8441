"""polars: the cell's own expressions, and its two ways to tensors.

Not seen: what a query does with its columns on the way; expressions and lazy frames hold no data.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from tensortoll.capture.arrays.arrow import exported_stream
from tensortoll.capture.arrays.seen import Part, Seen, UnknownLayoutError, joined
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.probes.torch.kinds import seen_tensor
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.containers import Gathered
from tensortoll.capture.runtime.crossing import counted
from tensortoll.capture.runtime.expressions import RUNNING, Describe

MAKERS: Final = (
    "Series DataFrame from_numpy from_pandas from_arrow from_dict from_dicts from_records "
    "from_torch from_dataframe"
).split()
METHODS: Final = "to_numpy to_list to_pandas to_arrow to_dict to_dicts rows item cast".split()
TO_TENSORS: Final = ("to_torch", "to_jax")


class PolarsProbe(DescribedProbe):
    """Watches polars."""

    library = "polars"
    explicit = frozenset((*MAKERS, *METHODS, *TO_TENSORS))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={f"polars.{name}": "gather" for name in MAKERS},
        positions={"polars.Series": 1},
    )

    def describers(self) -> Mapping[type, Describe | None]:
        """Return how frames and columns are described."""
        import polars as pl

        return {pl.Series: describe_column, pl.DataFrame: describe_frame}

    def install(self, context: Context) -> None:
        """Make frames and columns known to the rewritten expressions; replace four methods."""
        super().install(context)
        for owner in self.describers():
            for name in TO_TENSORS:
                context.patches.replace(
                    owner, name, lambda original: counted(context, original, look=_tensor)
                )


def describe_column(column: Any) -> Seen:
    """Return a column in numbers."""
    return joined("polars", [_part(column)], (column.len(),), id(column))


def describe_frame(frame: Any) -> Seen:
    """Return a frame in numbers."""
    return joined("polars", [_part(one) for one in frame.get_columns()], frame.shape, id(frame))


def _part(column: Any) -> Part:
    import polars as pl

    dtype = column.dtype
    if dtype in (pl.Categorical, pl.Enum):
        # Handed out as they are, categories are looked up anew; the numbers lie where they lie.
        return exported_stream(column.to_physical().__arrow_c_stream__())._replace(dtype="category")
    if dtype == pl.Object or (dtype.is_nested() and _holds_categories(dtype)):
        msg = f"a column of {dtype}"
        raise UnknownLayoutError(msg)
    return exported_stream(column.__arrow_c_stream__())


def _holds_categories(dtype: Any) -> bool:
    text = str(dtype)
    return "Categorical" in text or "Enum" in text or "Object" in text


def _tensor(value: Any) -> Seen | None:
    """Return a tensor, or a dict of them. Torch's hooks see them by themselves: no expression."""
    if type(value) is dict:
        held = Gathered()
        held.add(value, _tensor)
        return held.whole()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return seen_tensor(value)
    return RUNNING.describe(value)
