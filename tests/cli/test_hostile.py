"""
Two hundred damaged or hostile files: each gets one clear error, or a report that does no harm.
"""

import json
import random
from html.parser import HTMLParser

import pytest

from tensortoll import cli
from tensortoll.model import (
    Conversion,
    Failure,
    Finding,
    Hazard,
    Kind,
    Place,
    Route,
    Source,
    Totals,
)
from tensortoll.recording import Recording

EVIL = (
    "\x1b[2J\x1b]0;owned\x07",
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</pre></td></table><iframe src=//evil>",
    "<!--",
    "]]>&#60;script&#62;",
    "`](javascript:alert(1))",
    "[31mred[/]",
    "\u202e\u2066txt.exe",
    "\x00\x08\x7f\x9b31m",
    "\udcff",
    "a\r\nb\x0bc\u2028d",
    "%s%n{0.__class__}",
    "%%tensorcost --html /etc/x",
    "::error file=x::injected",
    "x" * 50_000,
    "日" * 9_000,
    "",
)
NUMBERS = (-1, 2**63, 2**64 - 1, 2**64, 10**400, 0.5, 1e308, True, None, "7", [], {})


def innocent():
    source = Source("train.py", "import torch\nt = torch.tensor(x)\nu = f(t)\n" * 30)
    place = Place(source, 2, 2, 4, 19, "torch.tensor(x)")
    kinds = Kind("numpy", "float64"), Kind("torch", "float32")
    route = Route(place, "torch.tensor", "copy", ("cast",), False, *kinds, via="a/b.py:3")
    return Recording(
        (
            Conversion(route, Totals(1, 1, 80_000, 40_000, 5_000), (10_000,)),
            Conversion(route._replace(implicit=True), Totals(3, 3, 9_000, 9_000), None),
        ),
        (source,),
        10**6,
        failures=(Failure(source, 3, "f(t)", "ValueError: no", "ragged", "why", "do"),),
        hazards=(Hazard(source, 2, 3, "x", "t", "detail"),),
        findings=(Finding("TT101", source, 2, "title", "write this", True, 9, 9, ("but",)),),
        blind_spots=("something",),
        faults=("a hook (x2)",),
    ).to_dict()


def leaves(value, path=()):
    """
    Every place in a document, each with its value.
    """
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    if path:
        yield path, value


def with_(document, path, value):
    """
    The document with another value in one place.
    """
    copied = json.loads(json.dumps(document))
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return copied


def files():
    """
    Contents of files, two hundred of them.
    """
    dice = random.Random(6)
    document = innocent()
    whole = json.dumps(document).encode()
    places = list(leaves(document))
    texts = [path for path, value in places if isinstance(value, str) and path[0] != "format"]
    numbers = [path for path, value in places if type(value) is int and path != ("version",)]
    for evil in EVIL:  # one in every text at once, and each alone somewhere
        worst = document
        for path in texts:
            if path[-1] != "outcome" and "effects" not in path:
                worst = with_(worst, path, evil)
        yield json.dumps(worst).encode()
        yield json.dumps(with_(document, dice.choice(texts), evil)).encode()
    for path in numbers:
        yield json.dumps(with_(document, path, dice.choice(NUMBERS))).encode()
        yield json.dumps(with_(document, path, 2**64 - 1)).encode()
    for path, _ in places[::3]:
        yield json.dumps(with_(document, path, dice.choice(NUMBERS))).encode()
    for _ in range(25):
        yield whole[: dice.randrange(len(whole))]
    for _ in range(25):
        spoilt = bytearray(whole)
        spoilt[dice.randrange(len(whole))] = dice.randrange(256)
        yield bytes(spoilt)
    for depth in (500, 100_000):
        for opening in (b"[", b'{"a":'):
            yield opening * depth
            yield whole[:-1] + b', "deep": ' + opening * depth
    yield b'{"format": "tensortoll-recording", "version": ' + b"9" * 9_000 + b"}"
    yield json.dumps({**document, "version": 2}).encode()
    yield b"\xff\xfe" + whole
    yield whole + whole
    yield b"\x00" * 1_000


class _Tags(HTMLParser):
    """
    The tags and attributes of a page.
    """

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        assert not any("javascript:" in (value or "") for _, value in attrs)


HARMLESS_TAGS = set(
    "html head meta title style body div p strong span table thead tbody tr th td pre u ul li "
    "code br".split()
)
HARMLESS_ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "style", "scope"} | {
    "colspan"
}


def assert_harmless_text(text):
    """
    Nothing that a terminal obeys, and nothing that turns the order of what is read.
    """
    assert not [one for one in text if one < " " and one != "\n"]
    assert not set(text) & set("\x7f\x9b\u202e\u2066\u2028")


def assert_harmless_page(text):
    parser = _Tags()
    parser.feed(text)

    assert parser.tags <= HARMLESS_TAGS
    assert parser.attributes <= HARMLESS_ATTRIBUTES
    assert "default-src 'none'" in text
    assert len(text) < 1_000_000


def strings(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


CONTENTS = list(files())


def test_there_are_two_hundred():
    """
    And one that is sound, so that not all are refused for the same reason.
    """
    assert len(CONTENTS) >= 200


@pytest.mark.parametrize("share", range(8))
def test_a_hostile_file_gets_one_clear_error_or_a_harmless_report(share, tmp_path, capsys):
    """
    Status 0 or 2, one line that names the file, and no escape, script or half-written file.
    """
    sound = tmp_path / "sound.json"
    sound.write_text(json.dumps(innocent()))
    accepted = 0
    for number, content in enumerate(CONTENTS[share::8]):
        evil = tmp_path / f"evil{number}.json"
        evil.write_bytes(content)
        out = {kind: tmp_path / f"{number}.{kind}" for kind in ("html", "flame", "sarif", "sum")}
        commands = (
            ("view", "--html", out["html"], "--speedscope", out["flame"], evil),
            ("view", "--markdown", "--sarif", out["sarif"], evil),
            ("compare", "--html", out["html"], "--sarif", out["sarif"], sound, evil),
            ("compare", evil, sound),
            ("merge", "--no-source", sound, evil, "-o", out["sum"]),
        )
        for command in commands:
            status = cli.main([str(one) for one in command])
            told = capsys.readouterr()

            assert_harmless_text(told.out + told.err)
            if status:
                assert 2 == status
                assert "" == told.out
                assert told.err.startswith("tensortoll: ")
                assert evil.name in told.err
                assert told.err.count("\n") == 1
                assert len(told.err) < 500
                continue
            assert "" == told.err
            accepted += 1
            if out["html"].exists():
                assert_harmless_page(out["html"].read_text(encoding="utf-8"))
            for kind in ("flame", "sarif"):
                if out[kind].exists():
                    for text in strings(json.loads(out[kind].read_text())):
                        assert_harmless_text(text)
        assert not list(tmp_path.glob(".*tmp"))

    assert accepted
