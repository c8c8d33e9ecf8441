"""The rules, one function each. To add one: write it into its family's file, and that file's table.

TT1xx: copies that can be left out. TT2xx: dtypes. TT3xx: devices. TT4xx: Python objects. TT5xx:
shared memory. TT6xx: conversions that would fail or end the process.
"""

from __future__ import annotations

from typing import Final

from tensortoll.advice.rules.aborts import ABORTS
from tensortoll.advice.rules.copies import COPIES
from tensortoll.advice.rules.detours import DETOURS
from tensortoll.advice.rules.devices import DEVICES
from tensortoll.advice.rules.dtypes import DTYPES
from tensortoll.advice.rules.loops import LOOPS
from tensortoll.advice.rules.models import MODELS
from tensortoll.advice.rules.objects import OBJECTS
from tensortoll.advice.rules.reading import READING
from tensortoll.advice.rules.rule import Rule
from tensortoll.advice.rules.steps import STEPS
from tensortoll.advice.rules.tables import TABLES

RULES: Final[tuple[Rule, ...]] = (
    *COPIES,
    *STEPS,
    *LOOPS,
    *DETOURS,
    *DTYPES,
    *MODELS,
    *TABLES,
    *READING,
    *DEVICES,
    *OBJECTS,
    *ABORTS,
)
