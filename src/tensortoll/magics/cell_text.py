"""The text of a cell: whether it begins with the magic, and how IPython will number its lines."""

from __future__ import annotations

from IPython.core.inputtransformer2 import leading_indent

from tensortoll.magics.options import MAGIC, is_runnable


def magic_line(raw: str) -> str:
    """Return what stands behind the magic's name on the first line."""
    return raw.lstrip().split("\n", 1)[0].removeprefix(MAGIC)


def is_native(raw: str) -> bool:
    """Say whether a cell can be run by IPython itself, without the magic's line."""
    first, _, body = raw.lstrip().partition("\n")
    word, _, line = first.partition(" ")
    return word.strip() == MAGIC and is_runnable(line) and not body.lstrip().startswith("%%")


def as_run(raw: str) -> str:
    """Return a cell with the lines and columns that IPython will give to its code.

    IPython drops empty lines at the top, and the indentation of a cell that is indented.
    """
    lines = raw.splitlines(keepends=True)
    while lines and not lines[0].strip():
        del lines[0]
    lines = leading_indent(lines)
    if is_native(raw):
        lines[1:] = leading_indent(lines[1:])
    return "".join(lines)
