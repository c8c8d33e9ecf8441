"""JSON documents in files: written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tensortoll.errors import RecordingFormatError


def read_document(path: str | os.PathLike[str]) -> object:
    """Return the JSON document that a file holds.

    Raises:
        RecordingFormatError: If the file holds no JSON, or not all of it.
        OSError: If the file can't be read at all.
    """
    return document_in(Path(path).read_bytes(), Path(path).name)


def document_in(content: bytes, name: str) -> object:
    """Return the JSON document that the content of a file is.

    Args:
        content: The whole file.
        name: What an error calls it.

    Raises:
        RecordingFormatError: If it is no JSON, or not all of it.
    """
    if not content.strip():
        message = f"{name} is empty: no recording was written to it"
        raise RecordingFormatError(message)
    try:
        document: object = json.loads(content, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if not error.doc[error.pos :].strip() or error.msg.startswith("Unterminated"):
            message = f"{name} breaks off in the middle: it was not written or copied whole"
        else:
            message = f"{name} is no recording: {error.msg} in line {error.lineno}"
        raise RecordingFormatError(message) from None
    except RecursionError:
        message = f"{name} is no recording: it is nested too deeply"
        raise RecordingFormatError(message) from None
    except ValueError as error:  # Not UTF-8, or an integer of more digits than Python will read.
        message = f"{name} is no recording: {error}"
        raise RecordingFormatError(message) from None

    return document


def write_document(
    document: object, path: str | os.PathLike[str], *, indent: int | None = None
) -> None:
    """Write a JSON document to a file: all of it, or nothing and the file as it was.

    Args:
        document: What to write.
        path: Of the file.
        indent: Spaces by level, for files that people compare line by line; None for one line.

    Raises:
        OSError: If the file can't be written.
    """
    # ASCII keeps lone surrogates, which a user's source may hold, writable and readable.
    content = (json.dumps(document, allow_nan=False, indent=indent) + "\n").encode("ascii")
    # A link is written through, not replaced.
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # A pipe or /dev/stdout can't be replaced.
        target.write_bytes(content)
        return
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o7777)
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no number that JSON knows"
    raise ValueError(message)
