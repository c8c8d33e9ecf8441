"""Pillow: arrays become images, and images arrays."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tensortoll.capture.probes.pillow import PillowProbe

START = """
import io
import numpy as np
from PIL import Image
rgb = np.arange(36000, dtype=np.uint8).reshape(120, 100, 3); grey = np.zeros((200, 100), np.uint8)
rgba = np.zeros((64, 64, 4), np.uint8); deep = np.zeros((50, 60), np.uint16)
f = np.zeros((64, 64), np.float32)
image = Image.fromarray(rgb); mask = Image.fromarray(grey); bits = Image.new("1", (64, 64))
large = Image.new("RGB", (4000, 2000)); raw = bytes(20000); file = io.BytesIO()
image.save(file, "png")
"""
TABLE = """
Image.fromarray(rgb) | rgb | copy | 36000 48000 | numpy:uint8 PIL:uint8
Image.fromarray(grey) | grey | view | 0 0 | numpy:uint8 PIL:uint8
Image.fromarray(grey[::2]) | grey | copy | 10000 10000 | numpy:uint8 PIL:uint8
Image.fromarray(rgba) | rgba | view | 0 0 | numpy:uint8 PIL:uint8
Image.fromarray(deep) | deep | view | 0 0 | numpy:uint16 PIL:uint16
Image.fromarray(f) | f | copy | 16384 16384 | numpy:float32 PIL:float32
Image.frombytes("L", (100, 200), raw) | raw | copy | 20000 20000 | python:uint8 PIL:uint8
Image.frombuffer("L", (100, 200), raw, "raw", "L", 0, 1) | raw | view | 0 0 | python:uint8 PIL:uint8
np.asarray(image) | image | copy | 48000 36000 | PIL:uint8 numpy:uint8
np.asarray(mask) | mask | copy | 20000 20000 | PIL:uint8 numpy:uint8
np.asarray(bits) | bits | copy | 4096 4096 | PIL:bool numpy:bool
np.asarray(large) | large | copy | 24000000 24000000 | PIL:uint8 numpy:uint8
image.tobytes() | image | copy | 48000 36000 | PIL:uint8 python:uint8
image.copy() | image | copy | 48000 48000 | PIL:uint8 PIL:uint8
"""
SILENT = """
image.resize((32, 32)); image.convert("L"); image.crop((0, 0, 10, 10)); image.rotate(90)
image.split(); image.getpixel((0, 0))
image.histogram(); Image.merge("RGB", image.split()); image.transpose(Image.Transpose.ROTATE_90)
image.thumbnail((50, 50)); Image.new("RGB", (9, 9))
Image.open(file); image.save(io.BytesIO(), "png"); image.size; image.mode; repr(image)
image.putpixel((0, 0), (1, 2, 3)); image.load()
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []


_file = io.BytesIO()
Image.new("RGB", (9, 9)).save(_file, "png")
PNG = _file.getvalue()
TWICE = {
    "np.array(image)": 72000,
    "np.array(large)": 48_000_000,
    "np.array(Image.open(file))": 72000,
    "np.asarray(image, dtype=np.float32)": 180_000,
}


@pytest.mark.parametrize("text", TWICE)
def test_an_array_of_its_own_is_written_twice(text: str, loud: Any) -> None:
    """Pillow writes the elements out as bytes; NumPy copies these once more to own or cast them."""
    [(_, outcome, totals)] = loud(text)
    assert (outcome, totals.copies, totals.bytes_written) == ("copy", 2, TWICE[text])


def test_an_image_is_not_read_by_looking_at_it() -> None:
    """A file is decoded when the user asks, and not before."""
    image = Image.open(io.BytesIO(PNG))
    seen = PillowProbe().describe(image)
    assert (seen.nbytes, image._im) == (3 * 9 * 9, None)
