"""Arrays of Python objects, and sequences that would become one: what stands in their elements."""

from __future__ import annotations

from typing import Any, Final

from tensortoll.capture.failures.contents import Contents
from tensortoll.capture.failures.diagnosis import NOTE, Diagnosis, into, told


def of_objects(value: Any, inside: Contents, library: str, *, array: bool) -> Diagnosis | None:
    """Tell what stands in an object array, or in a sequence that is to become one."""
    numbers = "{x}.astype(np.float64)" if array else "np.array({x}, dtype=np.float64)"
    as_text = "{x}.astype(str)" if array else "np.array({x}, dtype=str)"
    codes = f"torch.from_numpy(np.unique({as_text}, return_inverse=True)[1]){CODES}"
    kind = "an array of Python objects" if array else "a sequence"
    if inside.missing is not None:
        return Diagnosis(
            "missing-values",
            f"Element {inside.missing} is {inside.missing_value}: there is no number for a value "
            "that is missing.",
            (
                into(library, f"{numbers}{NOTE}{inside.missing_value} becomes nan"),
                *(() if array else (into(library, _ZEROS),)),
            ),
            value,
            "Fill the gaps first, or write NaN for them.",
        )
    if inside.ragged is not None:
        one, other = inside.ragged
        lists = "{x}.tolist()" if array else "{x}"
        return Diagnosis(
            "ragged",
            f"The rows are of different lengths: {one}, {other}. A tensor is a full rectangle.",
            _for_ragged(library, lists),
            value,
        )
    gap = inside.number
    if inside.text is not None and gap is not None and _is_nan(gap[1]):
        return Diagnosis(
            "missing-values",
            f"Element {gap[0]} is nan, among text such as {told(inside.text[1])}: there is no "
            "text for what is missing, and no number for text.",
            (f"{codes}, and nan too",) if library == "torch" else (),
            value,
            "Fill the gaps first, then turn the text into numbers.",
        )
    if inside.text is not None and (inside.number or inside.truth):
        where, number = inside.number or inside.truth  # type: ignore[misc]
        # In a table the numbers would become codes along with the text.
        is_table = inside.text[0].count("[") > 1
        return Diagnosis(
            "mixed-types",
            f"Element {inside.text[0]} is the text {told(inside.text[1])}, and element {where} is "
            f"the number {told(number)}: a tensor has one dtype.",
            (
                into(library, numbers),
                *(() if is_table else (codes if library == "torch" else into(library, as_text),)),
                *(() if is_table else (as_text,)),
            ),
            value,
            "Turn the text into numbers first, column by column, or leave it out.",
        )
    if not array:
        return None
    what = inside.number or inside.truth or inside.text or inside.other
    example = f"element {what[0]} is {described(what[1])}" if what else "it is empty"
    text = codes if library == "torch" else into(library, as_text)
    return Diagnosis(
        "object-dtype",
        f"It is {kind} (dtype object, shape {value.shape}): {example}. NumPy stores references "
        "there, not numbers.",
        (into(library, numbers), f"{into(library, 'np.stack({x})')}", text),
        value,
    )


def _is_nan(number: Any) -> bool:
    return bool(number != number)  # noqa: PLR0124 - no other number is unlike itself


_ZEROS: Final = f"[0 if v is None else v for v in {{x}}]{NOTE}None becomes 0"
CODES: Final = f"{NOTE}each distinct text becomes a number"


def _for_ragged(library: str, lists: str) -> tuple[str, ...]:
    padded = f"[r + [0] * (max(map(len, {lists})) - len(r)) for r in {lists}]"
    if library == "tensorflow":
        return (f"tf.ragged.constant({lists})", into(library, padded))
    if library == "torch":
        rows = f"[torch.tensor(r) for r in {lists}]"
        return (f"torch.nn.utils.rnn.pad_sequence({rows}, batch_first=True)",)
    return into(library, f"np.array({padded})"), f"np.array({lists}, dtype=object)"


def described(value: Any) -> str:
    """Return a value with its type."""
    return f"{told(value)}, of type {type(value).__name__}"
