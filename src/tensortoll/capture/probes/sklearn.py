"""scikit-learn as a consumer: `fit`, `predict` and `transform` bring what they are given to NumPy.

One function of its validation makes the array, whichever way in was taken. It is replaced there
and not where others could take it by name, so that nothing of ours stays behind.

Not seen: copies and casts that an estimator makes further inside, also in compiled code; data that
travel to worker processes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes import Context
from tensortoll.capture.rewriting.rewrites import Rewrites
from tensortoll.capture.runtime.crossing import counted

STEPS: Final = {"_asarray_with_order": "array", "_ensure_sparse_format": "sparse_container"}
"""What brings dense and sparse input to the form that an estimator wants, and its argument."""


class SklearnProbe:
    """Watches scikit-learn's validation of what it is given."""

    library = "sklearn"
    explicit: frozenset[str] = frozenset()
    rewrites = Rewrites()

    def install(self, context: Context) -> None:
        """Replace the two steps; a scikit-learn that has no such steps is left as it is."""
        from sklearn.utils import validation

        for name, keyword in STEPS.items():
            if hasattr(validation, name):
                make = partial(counted, context, keyword=keyword, only_changed=True)
                context.patches.replace(validation, name, make)
            else:
                context.recorder.blind_spot(
                    f"This scikit-learn has no `{name}`: what estimators make of what they are "
                    "given is not seen."
                )

    def describe(self, value: Any) -> Seen | None:  # noqa: ARG002 - it has no arrays of its own
        """Return None: scikit-learn's arrays are NumPy's and SciPy's."""
        return None
