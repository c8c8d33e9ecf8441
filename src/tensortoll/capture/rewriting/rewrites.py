"""What a library tells the rewriter: which expressions of the user's source can convert."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final


@dataclass(frozen=True)
class Rewrites:
    """Which expressions of a library can convert.

    The rules say what a call does with its arrays: `convert` makes the result of its first one;
    `reorder` likewise, and copies only to change the order of its elements; `swap` turns the bytes
    of its elements round; `walk` takes the elements of its first one as Python objects, one by one,
    also where they lie in memory; `into` writes its second one into its first; `export` hands the
    memory of its first one out; `gather` is `convert` for a first argument that may be a dict, list
    or tuple of arrays; `take` makes the result of its first one too, and a hook counts it; `name`
    takes in columns by name, as pandas' `insert` and `assign` do.
    """

    methods: Mapping[str, str] = field(default_factory=dict)
    """Rule by the name of a method, whatever object it is called on."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Rule by the name of an attribute that converts when it is read: `values`."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Rule by the dotted name of a function, as the library knows it: `numpy.asarray`."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """Where a function's data stand among its arguments, if not first. What may be left out before
    them counts: of `Series("name", data)` and `Series(data)`, the last one up to there is taken."""
    readers: frozenset[str] = frozenset()
    """Libraries whose functions read arrays of other libraries through a protocol in C."""
    read_from: frozenset[str] = frozenset()
    """Libraries whose arrays are read in that way: if none is in play, `readers` are let be."""
    keyed: frozenset[str] = frozenset()
    """Libraries that take in columns by name, `table["name"] = array`, as a dict does."""
    rarely: Mapping[str, Rewrites] = field(default_factory=dict)
    """What is worth a look only where a library is in play, by its import name: `get`, `data`."""
    takers: frozenset[str] = frozenset()
    """Libraries whose compiled functions take arrays in C: where a text uses one, all its calls
    are looked at; see `handing`."""

    def joined(self, other: Rewrites) -> Rewrites:
        """Return what either knows."""
        return Rewrites(
            {**self.methods, **other.methods},
            {**self.attributes, **other.attributes},
            {**self.functions, **other.functions},
            {**self.positions, **other.positions},
            self.readers | other.readers,
            self.read_from | other.read_from,
            self.keyed | other.keyed,
            {**self.rarely, **other.rarely},
            self.takers | other.takers,
        )

    def where(self, in_play: Callable[[str], bool]) -> Rewrites:
        """Return what holds where some libraries are in play and others are not."""
        known = replace(self, rarely={})
        return reduce(
            Rewrites.joined,
            (more for library, more in self.rarely.items() if in_play(library)),
            known,
        )


DATA_NAMES: Final = frozenset(
    "a arg1 arr arrays data data_vars df iter mapping obj object values x".split()
)
"""What libraries call the argument that holds the data."""


LOOKS_ONLY: Final = frozenset(
    "shape ndim size result_type dtype iscomplexobj isrealobj isscalar issubdtype can_cast "
    "promote_types broadcast_shapes zeros_like ones_like empty_like full_like min_scalar_type "
    "iterable common_type typename may_share_memory shares_memory "
    "array2string array_repr array_str".split()
)
"""NumPy's functions that ask an array for its shape or dtype, or show it, and compute nothing."""


def data_argument(node: ast.Call, position: int) -> ast.expr | None:
    """Return the argument of a call that holds its data; None where it is not written out.

    Args:
        node: The call.
        position: See `Rewrites.positions`.
    """
    by_name = [one.value for one in node.keywords if one.arg in DATA_NAMES]
    if by_name and (position or not node.args):
        return by_name[0]
    if not node.args:
        return None
    found = node.args[min(position, len(node.args) - 1)]
    return None if isinstance(found, ast.Starred) else found


def ruled(node: ast.Call, rule: str, name: str) -> str:
    """Return the rule of a call; one that copies anyway does not show by that what it reorders."""
    if rule != "reorder":
        return rule
    given = [*node.args, *(one.value for one in node.keywords if one.arg == "order")]
    in_columns = any(isinstance(one, ast.Constant) and one.value == "F" for one in given)
    always = name == "flatten" or any(one.arg in {"copy", None} for one in node.keywords)
    return "convert" if always and not in_columns else rule
