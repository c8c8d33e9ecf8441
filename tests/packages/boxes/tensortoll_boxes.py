"""Tells tensortoll what crosses the border of a box."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes.described import DescribedProbe
from tensortoll.capture.probes.numpy import describe_array
from tensortoll.capture.rewriting.rewrites import Rewrites


class BoxProbe(DescribedProbe):
    """Watches boxes."""

    library = "boxes"
    explicit = frozenset(("pack", "wrap", "unpack"))
    rewrites = Rewrites(
        methods={"unpack": "convert"}, functions={"boxes.pack": "convert", "boxes.wrap": "convert"}
    )

    def describers(self) -> Mapping[type, Callable[..., Seen]]:
        import boxes

        return {boxes.Box: describe_box}


def describe_box(box: object) -> Seen:
    seen = describe_array(box._held)
    return seen._replace(kind=seen.kind._replace(library="boxes"), identity=id(box))
