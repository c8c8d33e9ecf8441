"""polars: the cell's own expressions, and its two ways to tensors.

Not seen: what a query does with its columns on the way; expressions and lazy frames hold no data.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from tensortoll.capture.arrow import exported_stream
from tensortoll.capture.crossing import counted
from tensortoll.capture.expressions import RUNNING
from tensortoll.capture.probes import Context
from tensortoll.capture.probes.torch.kinds import seen_tensor
from tensortoll.capture.rewrites import Rewrites
from tensortoll.capture.seen import Part, Seen, UnknownLayoutError, joined

MAKERS: Final = (
    "Series DataFrame from_numpy from_pandas from_arrow from_dict from_dicts from_records "
    "from_torch from_dataframe"
).split()
METHODS: Final = "to_numpy to_list to_pandas to_arrow to_dict to_dicts rows row item cast".split()
TO_TENSORS: Final = ("to_torch", "to_jax")


class PolarsProbe:
    """Watches polars."""

    library = "polars"
    explicit = frozenset((*MAKERS, *METHODS, *TO_TENSORS))
    rewrites = Rewrites(
        methods=dict.fromkeys(METHODS, "convert"),
        functions={f"polars.{name}": "gather" for name in MAKERS},
        named=frozenset(("polars.Series",)),
    )

    def install(self, context: Context) -> None:
        """Make frames and columns known to the rewritten expressions; replace four methods."""
        import polars as pl

        RUNNING.describers[pl.Series] = describe_column
        RUNNING.describers[pl.DataFrame] = describe_frame
        for owner in (pl.Series, pl.DataFrame):
            for name in TO_TENSORS:
                context.patches.replace(
                    owner, name, lambda original: counted(context, original, look=_tensor)
                )

    def describe(self, value: Any) -> Seen | None:
        """Return a frame or a column in numbers."""
        return RUNNING.describe(value)


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
        return exported_stream(column.to_physical().__arrow_c_stream__())._replace(dtype="str")
    if dtype == pl.Object or (dtype.is_nested() and _holds_categories(dtype)):
        msg = f"a column of {dtype}"
        raise UnknownLayoutError(msg)
    return exported_stream(column.__arrow_c_stream__())


def _holds_categories(dtype: Any) -> bool:
    text = str(dtype)
    return "Categorical" in text or "Enum" in text or "Object" in text


def _tensor(value: Any) -> Seen | None:
    """Return a tensor in numbers. Torch's hooks see tensors by themselves: no expression does."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return seen_tensor(value)
    return RUNNING.describe(value)
