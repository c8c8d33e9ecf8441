"""Which libraries can be watched. Importing this package imports none of them.

To add one: write ``probes/<name>.py`` with a class that meets `Probe`, and name it in `KNOWN`.
A probe may also come from another package, through the entry point group `tensortoll.probes`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from tensortoll.capture.arrays.exports import Exports
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.counting.recorder import Recorder
from tensortoll.capture.patching import Patches
from tensortoll.capture.places import Places
from tensortoll.capture.rewriting.rewrites import Rewrites

ENTRY_POINTS: Final = "tensortoll.probes"

KNOWN: Final[Mapping[str, str]] = {
    "cupy": "tensortoll.capture.probes.cupy:CupyProbe",
    "jax": "tensortoll.capture.probes.jax:JaxProbe",
    "keras": "tensortoll.capture.probes.keras:KerasProbe",
    "numpy": "tensortoll.capture.probes.numpy:NumpyProbe",
    "pandas": "tensortoll.capture.probes.pandas:PandasProbe",
    "PIL.Image": "tensortoll.capture.probes.pillow:PillowProbe",
    "polars": "tensortoll.capture.probes.polars:PolarsProbe",
    "pyarrow": "tensortoll.capture.probes.pyarrow:PyarrowProbe",
    "scipy.sparse": "tensortoll.capture.probes.scipy:ScipyProbe",
    "sklearn": "tensortoll.capture.probes.sklearn:SklearnProbe",
    "tensorflow": "tensortoll.capture.probes.tensorflow:TensorflowProbe",
    "torch": "tensortoll.capture.probes.torch:TorchProbe",
    "xarray": "tensortoll.capture.probes.xarray:XarrayProbe",
}
"""Where the probe of each library stands, by the module that is imported before it has work."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a probe may use while a watch is on."""

    recorder: Recorder
    places: Places
    patches: Patches
    exports: Exports = field(default_factory=Exports)


class Probe(Protocol):
    """Knows at which points of one library array data crosses a border."""

    library: str
    """Import name, which stands in recordings."""
    explicit: frozenset[str]
    """Names of calls that ask for a conversion; under all others it is implicit."""
    rewrites: Rewrites
    """Expressions of the user's source that can convert and that no hook would see."""

    def install(self, context: Context) -> None:
        """Hook the library; what is changed goes through ``context.patches``."""

    def describe(self, value: Any) -> Seen | None:
        """Return an array of the library in numbers; None for what is none, or has no address."""


def known_libraries() -> dict[str, str]:
    """Return where the probes stand, those of other packages included, by module to wait for."""
    return {**_of_other_packages(tuple(sys.path)), **KNOWN}


@cache
def _of_other_packages(path: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001 - the cache's key
    # Reading what each installed package says of itself takes milliseconds, a watch must not.
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def is_loaded(name: str) -> bool:
    """Say whether a module was imported, to its end."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def load_probes(fault: Callable[[str, BaseException], None]) -> dict[str, Probe]:
    """Return a new probe of each library, by module to wait for. Imports none of the libraries.

    Args:
        fault: Told of a probe that can't be loaded; the others are not kept from their work.
    """
    loaded = {}
    for library, where in known_libraries().items():
        try:
            loaded[library] = _load(where)
        except Exception as error:
            fault(f"could not load the probe for {library}", error)
    return loaded


def _load(where: str) -> Probe:
    module, _, name = where.partition(":")
    made: Any = getattr(import_module(module), name)()
    if not (isinstance(made.explicit, frozenset) and isinstance(made.rewrites, Rewrites)):
        msg = f"{where} is no probe: `explicit` or `rewrites` is of the wrong type"
        raise TypeError(msg)
    probe: Probe = made
    return probe
