"""
Many recordings of one program are read fast, and read as strictly as ever.
"""

import json
import tracemalloc

import pytest

import tensortoll
from tensortoll.errors import RecordingFormatError
from tensortoll.model import Conversion, Kind, Place, Proof, Route, Source, Span, Totals
from tensortoll.recording import Recording, load, merged, sum_of
from tensortoll.rereading import Tally

SOURCE = Source("train.py", 't = torch.tensor(x)  # ], "lines": [ and {"source": 0, "count": 1\n')


def rank(number, places=2):
    rows = []
    for line in range(1, places + 1):
        expression = f'f(x[{line}], ", \\"count\\": ", "], ")'
        place = Place(SOURCE, line, line, 4, 9, expression)
        route = Route(
            place, "f", "copy", ("cast",), False, Kind("numpy", "float64"), Kind("torch", "float32")
        )
        start = 4096 * (number + 1)
        proof = Proof(Span(start, start + 8), Span(start + 64, start + 68)) if number % 2 else None
        totals = Totals(number, number + 1, 8 * number, 4 * number, 1000 + number)
        rows.append(Conversion(route, totals, (line,), proof))
    return Recording(tuple(rows), (SOURCE,), elapsed_ns=number)


def content(recording):
    return json.dumps(recording.to_dict()).encode()


def test_what_a_program_says_again_is_read_the_fast_way():
    """
    Recordings of the same places, as they are saved, take that way; none is read wrongly.
    """
    tally = Tally()
    for number in range(4):
        rest = tally.add(content(rank(number)))

        assert rest is not None
        assert rank(number).elapsed_ns == rest["elapsed_ns"]
        assert merged(map(rank, range(number + 1))).conversions == (
            merged([Recording(tally.conversions())]).conversions
        )


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: text.replace('"count": 1,', '"count": true,'),
        lambda text: text.replace('"count": 1,', '"count": 01,'),
        lambda text: text.replace('"count": 1,', '"count": -1,'),
        lambda text: text.replace('"line": 1,', '"line": true,'),
        lambda text: text.replace('"line": 1,', '"line": 1.0,'),
        lambda text: text.replace('"source": 0, "line"', '"source": 7, "line"'),
        lambda text: text.replace('"outcome": "copy"', '"outcome": "moved"'),
        lambda text: text.replace('"via": null', '"via": 5'),
        lambda text: text.replace('"origin": [8192, 8200]', '"origin": [8200, 8192]'),
        lambda text: text.replace('"where": "main"', '"where": "main", "count": "many"'),
        lambda text: text[: len(text) // 2],
        lambda text: text[:-2],
    ],
)
def test_what_is_wrong_is_refused_as_without_it(tmp_path, spoilt):
    """
    Having read sound ones before makes no damaged one pass, and the error is the same.
    """
    sound, path = tmp_path / "sound.json", tmp_path / "run.json"
    rank(1).save(sound)
    text = content(rank(1)).decode()
    path.write_text(spoilt(text))

    assert text != path.read_text()
    with pytest.raises(RecordingFormatError) as alone:
        load(path)
    with pytest.raises(RecordingFormatError) as among_others:
        sum_of([sound, path])
    assert str(alone.value) == str(among_others.value)


def test_nothing_of_a_refused_file_is_added():
    """
    A row that is wrong at the end keeps the ones before it out of the sum.
    """
    tally = Tally()
    tally.add(content(rank(1)))
    before = tally.conversions()
    text = content(rank(3, places=5)).decode()
    cut = text.rindex('"count": 3')
    spoilt = text[:cut] + '"count": -3' + text[cut + len('"count": 3') :]

    assert tally.add(spoilt.encode()) is None
    assert before == tally.conversions()


@pytest.mark.parametrize(
    "other",
    [
        lambda text: json.dumps(json.loads(text), indent=1),
        lambda text: text.replace('"count": 1,', '"mood": [1, 2], "count": 1,'),
        lambda text: text.replace('"via": null', '"via": null, "count": 9'),
        lambda text: '{"inner": ' + text + ", " + text[1:],
    ],
)
def test_another_layout_is_read_all_the_same(tmp_path, other):
    """
    Unknown keys, other spaces and keys that stand twice are read as JSON has them.
    """
    sound, path = tmp_path / "sound.json", tmp_path / "run.json"
    rank(1).save(sound)
    path.write_text(other(content(rank(1)).decode()))

    assert merged([rank(1), load(path), load(path)]) == sum_of([sound, path, path])


def test_memory_of_a_merge_does_not_grow_with_the_number_of_recordings(tmp_path):
    """
    It grows with the number of places; if recordings were held, four times as many took four times.
    """
    path = tmp_path / "run.json"
    rank(1, places=300).save(path)

    def peak(number):
        tracemalloc.start()
        try:
            sum_of([path] * number)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what is made once

    assert peak(24) < 2 * peak(6)


def test_many_files_are_merged_by_several_processes(tmp_path, monkeypatch, capsys):
    """
    The sum is the same as that of one process, and a damaged file among them is named.
    """
    from tensortoll import cli
    from tensortoll.cli import files

    monkeypatch.setattr(files, "WORTH_A_PROCESS", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    paths = [tmp_path / f"{number}.json" for number in range(5)]
    for number, path in enumerate(paths):
        rank(number).save(path)
    arguments = ["merge", *map(str, paths), "-o", str(tmp_path / "sum.json")]

    assert 0 == cli.main(arguments)
    assert merged(map(rank, range(5))) == tensortoll.load(tmp_path / "sum.json")

    paths[3].write_text("{")

    assert 2 == cli.main(arguments)
    assert "3.json" in capsys.readouterr().err
