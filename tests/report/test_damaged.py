"""
Whatever is in a file, a reader gets one clear error or a harmless report.
"""

import copy
import random

from tensortoll.errors import RecordingFormatError
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.renderers import RENDERERS

from_dict, to_dict = Recording.from_dict, Recording.to_dict


def places_in(value, path=()):
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield (*path, key)
            yield from places_in(value[key], (*path, key))


def test_damaged_recordings_are_refused_or_harmless(samples):
    """
    A damaged recording gives the one error, or one that can be reported on without harm.
    """
    dice = random.Random(0)
    numbers = [-1, 0, 9, 10**6, 2**63, 2**64 - 1, 2**70, 1.5]
    texts = ["", "copy", "\x1b[2J<script>", "x" * 9_999]
    junk = [None, True, False, *numbers, *texts, [], {}, [[1]], {"a": []}]
    whole = [to_dict(samples.costly(observed=True)), to_dict(samples.loop())]
    paths = [list(places_in(one)) for one in whole]
    harmless = 0
    for _ in range(400):
        number = dice.randrange(len(whole))
        document = copy.deepcopy(whole[number])
        for path in dice.sample(paths[number], dice.choice([1, 1, 2])):
            parent = document
            try:
                for key in path[:-1]:
                    parent = parent[key]
                # Half of the damage is of the right type, to get past the reader.
                like = [one for one in junk if type(one) is type(parent[path[-1]])] or junk
                parent[path[-1]] = dice.choice(dice.choice([junk, like]))
            except (LookupError, TypeError):
                continue  # The first damage took the place of the second.
        try:
            damaged = from_dict(document)
        except RecordingFormatError:
            continue
        harmless += 1
        drawn = {
            name: "".join(renderer.render(one) for one in build_all(damaged))
            for name, renderer in RENDERERS.items()
        }
        assert not any("\x1b" in text for text in drawn.values())
        assert "<script" not in drawn["html"] + drawn["markdown"]

    assert harmless > 20
