"""What calls do with the memory of what they are given, as far as their names tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WRITING_METHODS: Final = frozenset(
    "fill sort put partition resize itemset setfield setflags byteswap assign assign_add "
    "assign_sub scatter_nd_update shuffle setitem setdiag eliminate_zeros sum_duplicates "
    "interpolate putmask load_state_dict zero_grad requires_grad_ share_memory_ resize_".split()
)
"""Methods that write what they are called on; those of torch are told by their last `_`."""
WRITING_FUNCTIONS: Final[Mapping[str, int]] = {
    "copyto": 0, "put": 0, "place": 0, "putmask": 0, "fill_diagonal": 0, "put_along_axis": 0,
    "shuffle": 0, "Parameter": 0, "vector_to_parameters": 1, "at": 0, "swap_tensors": 0,
    "setitem": 0, "readinto": 0, "recv_into": 0, "random_shuffle": 0, "numpy_function": 1,
    "py_function": 1, "SGD": 0, "Adam": 0, "AdamW": 0, "LBFGS": 0, "RMSprop": 0,
    "setattr": 2,
}  # fmt: skip
"""Functions that write one of their arguments, or have it written, by name and position."""
IN_PLACE: Final = frozenset(("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__"))
ASKS_TO_WRITE: Final = frozenset(("in_place", "inplace", "overwrite_a", "overwrite_b"))
"""Keywords that let a function write what it is given."""
CONTAINERS: Final = frozenset(
    "append extend insert add update setdefault appendleft put put_nowait push "
    "register_buffer register_parameter".split()
)
"""Methods after which their receiver holds what they were given."""
FRESH: Final = frozenset(
    (
        # results of their own
        "abs add all allclose amax amin any arange argmax argmin argsort array array_equal astype "
        "bincount cat clip clone concatenate constant convert_to_tensor copy cos count_nonzero "
        "cross_entropy cumsum diff divide dot einsum empty empty_like equal exp eye full histogram "
        "item interp isclose isfinite isnan len linspace log log_softmax lu matmul max maximum "
        "mean median min minimum mm mse_loss multiply nanmean nanmax nanmin norm normal numel ones "
        "ones_like percentile pow power prod quantile rand randint randn random randperm "
        "reduce_max reduce_mean reduce_min reduce_sum relu repeat roll round searchsorted sigmoid "
        "sin size softmax solve sort sqrt square stack std str subtract sum svd tanh tensor tile "
        "tobytes tolist topk uniform unique var vstack hstack where zeros zeros_like float int "
        "bool repr print isinstance type id format complex backward save savez dump dumps"
    ).split()
)
"""Functions and methods whose result is memory of its own, or none at all."""
NUMBERS: Final = frozenset(
    "shape dtype ndim size nbytes itemsize device strides name names".split()
)
"""Attributes that are no arrays."""
LIBRARIES: Final = frozenset(
    "numpy torch tensorflow keras jax jaxlib pandas polars pyarrow scipy sklearn PIL xarray math "
    "time matplotlib seaborn tqdm statistics itertools functools collections operator json "
    "logging warnings pathlib os sys random".split()
)
"""Libraries that write only what the tables above say."""
