"""
A recording comes back from JSON as it was, and whatever else is in a file is refused in words.
"""

import os
import stat

import pytest

from tensortoll.errors import RecordingFormatError
from tensortoll.model import (
    Conversion,
    Kind,
    Place,
    Proof,
    Route,
    Source,
    Span,
    Totals,
)
from tensortoll.recording import Recording, load

from_dict, to_dict, save = Recording.from_dict, Recording.to_dict, Recording.save

SOURCE = Source("cell [1]", "t = torch.tensor(x)")


def recording():
    return Recording(
        (
            Conversion(
                Route(
                    Place(SOURCE, 1, 1, 4, 19, "torch.tensor(x)"),
                    "torch.tensor",
                    "copy",
                    ("cast",),
                    implicit=False,
                    origin=Kind("numpy", "float64"),
                    target=Kind("torch", "float32"),
                ),
                Totals(1, 1, 80_000, 40_000, 31_000),
                (10_000,),
                Proof(Span(4096, 84_096), Span(90_000, 130_000)),
            ),
        ),
        (SOURCE,),
        1_000_000,
    )


def test_document_has_the_agreed_keys():
    """
    The document is that of version 1, with the proof as an extra key.
    """
    document = to_dict(recording())

    assert ("tensortoll-recording", 1) == (document["format"], document["version"])
    assert {"pid": None, "rank": None, "host": None} == document["environment"]["process"]
    assert {
        "source": 0,
        "line": 1,
        "end_line": 1,
        "column": 4,
        "end_column": 19,
        "expression": "torch.tensor(x)",
        "operation": "torch.tensor",
        "outcome": "copy",
        "effects": ["cast"],
        "implicit": False,
        "from": {"library": "numpy", "dtype": "float64", "device": "cpu"},
        "to": {"library": "torch", "dtype": "float32", "device": "cpu"},
        "count": 1,
        "copies": 1,
        "bytes_read": 80_000,
        "bytes_written": 40_000,
        "elapsed_ns": 31_000,
        "via": None,
        "where": "main",
        "shape": [10_000],
        "proof": {"origin": [4096, 84_096], "target": [90_000, 130_000]},
    } == document["conversions"][0]


def test_unknown_keys_are_ignored():
    """
    What a later version adds does not disturb this one.
    """
    document = to_dict(recording())
    document["weather"] = {"sun": True}
    document["conversions"][0]["mood"] = [1, 2]

    assert recording() == from_dict(document)


def test_file_is_saved_and_loaded(tmp_path):
    """
    A file holds the recording, ends in a line end, and nothing is left beside it.
    """
    path = tmp_path / "run.json"
    save(recording(), path)

    assert recording() == load(path)
    assert path.read_text().endswith("}\n")
    assert [path] == list(tmp_path.iterdir())


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    """
    A save that fails at its last step leaves the file as it was, and no draft.
    """
    path = tmp_path / "run.json"
    path.write_text("old")

    def fail(*_):
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(recording(), path)

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_save_keeps_the_mode_and_follows_links(tmp_path):
    """
    A file keeps its permissions, and a link goes on pointing to it.
    """
    path, link = tmp_path / "run.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    save(recording(), link)

    assert link.is_symlink()
    assert recording() == load(path)
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b'{"format": "tensortoll-rec', "breaks off"),
        (b'{"format": "tensortoll-recording", "version": 1, "sources": [', "breaks off"),
        (b"PK\x03\x04\xff\xfe", "no recording"),
        (b"[]", "no tensortoll recording"),
        (b'{"nbformat": 4}', "no tensortoll recording"),
        (b"[" * 100_000, "deep"),
        (b'{"format": "tensortoll-recording", "version": ' + b"9" * 5_000 + b"}", "no recording"),
        (b'{"format": "tensortoll-recording", "version": NaN}', "NaN"),
        (b'{"format": "tensortoll-recording", "version": 2}', "pip install -U tensortoll"),
        (b'{"format": "tensortoll-recording"}', "version is missing"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, content, message):
    """
    Each way of not being a recording has an error that names the file and what is wrong.
    """
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordingFormatError, match=message) as caught:
        load(path)

    assert "run.json" in str(caught.value)


def test_every_way_of_being_cut_off_is_refused(tmp_path):
    """
    No first part of a recording is taken for a recording.
    """
    path = tmp_path / "run.json"
    save(recording(), path)
    content = path.read_bytes().rstrip()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(RecordingFormatError):
            load(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source", 1, r"conversions\[0\].source is 1"),
        ("line", -1, r"conversions\[0\].line is -1"),
        ("line", 1.0, r"conversions\[0\].line is 1.0"),
        ("count", True, r"conversions\[0\].count is True"),
        ("count", 2**64, "larger number"),
        ("count", None, "count is missing"),
        ("outcome", "moved", "one of view, copy, failed"),
        ("effects", ["melted"], "'melted'.*one of cast"),
        ("effects", "cast", "a list should be"),
        ("implicit", 0, "true or false"),
        ("from", "numpy", "an object should be"),
        ("expression", 7, "a text should be"),
        ("shape", [-1], "whole numbers"),
        ("proof", {"origin": [2, 1], "target": [1, 2]}, "the lower first"),
        ("proof", {"origin": [1], "target": [1, 2]}, "two addresses"),
        ("via", {"a": 1}, "is an object, where a text"),
    ],
)
def test_wrong_values_are_named(key, value, message):
    """
    The error for a wrong value says where it stands, what it is and what it should be.
    """
    document = to_dict(recording())
    document["conversions"][0][key] = value
    with pytest.raises(RecordingFormatError, match=message):
        from_dict(document)
