"""What a library tells the rewriter: which expressions of the user's source can convert."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rewrites:
    """Which expressions of a library can convert.

    The rules say what a call does with its arrays: `convert` makes the result of its first one;
    `reorder` likewise, and copies only to change the order of its elements; `swap` turns the bytes
    of its elements round; `into` writes its second one into its first; `export` hands the memory
    of its first one out.
    """

    methods: Mapping[str, str] = field(default_factory=dict)
    """Rule by the name of a method, whatever object it is called on."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Rule by the dotted name of a function, as the library knows it: `numpy.asarray`."""
    readers: frozenset[str] = frozenset()
    """Libraries whose functions read arrays of other libraries through a protocol in C."""
    read_from: frozenset[str] = frozenset()
    """Libraries whose arrays are read in that way: if none is in play, `readers` are let be."""

    def joined(self, other: Rewrites) -> Rewrites:
        """Return what either knows."""
        return Rewrites(
            {**self.methods, **other.methods},
            {**self.functions, **other.functions},
            self.readers | other.readers,
            self.read_from | other.read_from,
        )


def ruled(node: ast.Call, rule: str, name: str) -> str:
    """Return the rule of a call; one that copies anyway does not show by that what it reorders."""
    if rule != "reorder":
        return rule
    given = [*node.args, *(one.value for one in node.keywords if one.arg == "order")]
    in_columns = any(isinstance(one, ast.Constant) and one.value == "F" for one in given)
    always = name == "flatten" or any(one.arg in {"copy", None} for one in node.keywords)
    return "convert" if always and not in_columns else rule
