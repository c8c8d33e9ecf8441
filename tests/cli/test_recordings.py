"""
`view`, `compare` and `merge` read recordings, and say in one line what they can't read.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import tensortoll
from tensortoll import cli
from tensortoll.model import Conversion, Failure, Hazard, Kind, Place, Route, Source, Totals
from tensortoll.recording import Recording

SOURCE = Source("train.py", "import torch\nt = torch.tensor(x)\nu = torch.from_numpy(x)\n")


def row(expression="torch.tensor(x)", line=2, nbytes=80_000, outcome="copy", source=SOURCE):
    place = Place(source, line, line, 4, 4 + len(expression), expression)
    kinds = Kind("numpy", "float64"), Kind("torch", "float64")
    route = Route(place, expression.partition("(")[0], outcome, (), False, *kinds)
    totals = Totals(1, 1, nbytes, nbytes, 5_000) if outcome == "copy" else Totals(1)
    return Conversion(route, totals)


KEPT = Recording(
    (row(), row("torch.from_numpy(x)", 3, outcome="view")), (SOURCE,), elapsed_ns=1_000_000
)
WORSE = replace(KEPT, conversions=(row(nbytes=160_000), KEPT.conversions[1]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    KEPT.save("kept.json")
    WORSE.save("worse.json")
    return tmp_path


def ran(capsys, *arguments):
    """
    The exit status, standard output and standard error of a command.
    """
    try:
        status = cli.main([str(one) for one in arguments])
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_recording_is_viewed_as_it_was_shown(folder, capsys):
    """
    The annotated source is there, and nothing on standard error.
    """
    status, out, err = ran(capsys, "view", "kept.json")

    assert (0, "") == (status, err)
    assert "t = torch.tensor(x)" in out
    assert "80.0 kB" in out
    assert "\x1b" not in out


def test_several_recordings_are_viewed_as_their_sum(folder, capsys):
    """
    Counts and bytes of the same place are added up.
    """
    _, out, _ = ran(capsys, "view", "kept.json", "kept.json")

    assert "160 kB" in out
    assert "explicit copy ×2" in out


def test_a_view_can_be_written_in_every_format(folder, capsys):
    """
    A page, Markdown, the recording itself and what other viewers read.
    """
    status, out, _ = ran(
        capsys,
        *("view", "--markdown", "--html", "r.html", "--json", "r.json"),
        *("--speedscope", "r.flame", "--sarif", "r.sarif", "kept.json"),
    )

    assert 0 == status
    assert "`t = torch.tensor(x)`" in out
    assert "torch.tensor(x)" in Path("r.html").read_text()
    assert tensortoll.load("r.json") == tensortoll.merged([KEPT])
    assert "sampled" in Path("r.flame").read_text()
    assert "2.1.0" == json.loads(Path("r.sarif").read_text())["version"]


def test_quiet_prints_nothing(folder, capsys):
    """
    Files are written all the same.
    """
    assert (0, "", "") == ran(capsys, "view", "--quiet", "--html", "r.html", "kept.json")
    assert Path("r.html").is_file()


def test_nothing_worse_is_no_failure(folder, capsys):
    """
    A recording is not worse than itself; one that got better is told, and is no failure.
    """
    status, out, err = ran(capsys, "compare", "--fail-on-increase", "kept.json", "kept.json")

    assert (0, "") == (status, err)
    assert "Nothing changed: 2 conversions" in out

    status, out, err = ran(capsys, "compare", "--fail-on-increase", "worse.json", "kept.json")

    assert (0, "") == (status, err)
    assert "1 place changed at no more cost" in out
    assert "160 kB → 80.0 kB" in out


def test_an_increase_fails_where_that_is_asked_for(folder, capsys):
    """
    The status is 1, the line is shown, and what it was and is.
    """
    status, out, _ = ran(capsys, "compare", "--fail-on-increase", "kept.json", "worse.json")

    assert 1 == status
    assert "1 place costs more." in out
    assert "t = torch.tensor(x)" in out
    assert "80.0 kB → 160 kB written" in out
    assert 0 == ran(capsys, "compare", "kept.json", "worse.json")[0]


def test_numbers_that_differ_never_look_alike(folder, capsys):
    """
    A difference of one byte is told in bytes.
    """
    replace(KEPT, conversions=(row(nbytes=80_001),)).save("more.json")
    _, out, _ = ran(capsys, "compare", "kept.json", "more.json")

    assert "80,000 B → 80,001 B written" in out


def test_new_failures_and_hazards_fail_too(folder, capsys):
    """
    What raises now, and memory that is written now, are told with their source.
    """
    failure = Failure(SOURCE, 2, "torch.tensor(x)", "ValueError: no", "ragged", "why", "do this")
    hazard = Hazard(SOURCE, 3, 4, "x", "u", "in place")
    replace(KEPT, failures=(failure,), hazards=(hazard,)).save("bad.json")
    status, out, _ = ran(capsys, "compare", "--fail-on-increase", "kept.json", "bad.json")

    assert 1 == status
    assert "ValueError: no" in out
    assert "x is written, u shares its memory" in out
    assert "train.py" in out


def test_increases_are_written_as_annotations(folder, capsys):
    """
    `--sarif` has one result for each place that got worse, at its line and columns.
    """
    ran(capsys, "compare", "--sarif", "s.json", "kept.json", "worse.json")
    (result,) = json.loads(Path("s.json").read_text())["runs"][0]["results"]
    where = result["locations"][0]["physicalLocation"]

    assert "costs-more" == result["ruleId"]
    assert {"uri": "train.py"} == where["artifactLocation"]
    assert {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 20} == where["region"]
    assert "80.0 kB → 160 kB written" in result["message"]["text"]


def test_merging_does_not_depend_on_order(folder, capsys):
    """
    The file is the same, byte for byte.
    """
    ran(capsys, "merge", "kept.json", "worse.json", "-o", "one.json")
    ran(capsys, "merge", "worse.json", "kept.json", "-o", "other.json")

    assert Path("one.json").read_bytes() == Path("other.json").read_bytes()
    assert KEPT.bytes_written + WORSE.bytes_written == tensortoll.load("one.json").bytes_written
    assert 1 == len(tensortoll.load("one.json").sources)


def test_the_source_can_be_left_out(folder, capsys):
    """
    No line of it is in the file but the expressions; places that only differed in it are one.
    """
    other = Source("train.py", "# secret\n" + SOURCE.text)
    Recording((row(source=other),), (other,)).save("edited.json")
    status, *_ = ran(capsys, "merge", "--no-source", "kept.json", "edited.json", "-o", "bare.json")
    bare = tensortoll.load("bare.json")

    assert 0 == status
    assert (Source("train.py", None),) == bare.sources
    assert "secret" not in Path("bare.json").read_text()
    assert "import torch" not in Path("bare.json").read_text()
    assert 2 == bare.of_line(2)[0].totals.count


def test_what_has_no_source_is_compared_and_viewed(folder, capsys):
    """
    The expressions stand for the lines.
    """
    KEPT.without_text().save("bare.json")

    assert 0 == ran(capsys, "compare", "--fail-on-increase", "bare.json", "kept.json")[0]
    assert "torch.tensor(x)" in ran(capsys, "view", "bare.json")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("view", "absent.json"),
        ("view", "."),
        ("view", "text.json"),
        ("compare", "kept.json", "absent.json"),
        ("compare", "newer.json", "kept.json"),
        ("merge", "kept.json", "text.json", "-o", "sum.json"),
        ("merge", "kept.json", "-o", "absent/sum.json"),
        ("view", "kept.json", "--html", "absent/r.html"),
        ("view", "kept.json", "--speedscope", "absent/r.json"),
    ],
)
def test_what_can_not_be_read_or_written_is_said_in_one_line(folder, capsys, arguments):
    """
    Status 2, the file's name, and nothing half done.
    """
    Path("text.json").write_text("no recording")
    Path("newer.json").write_text('{"format": "tensortoll-recording", "version": 99}')
    status, out, err = ran(capsys, *arguments)
    guilty = [one for one in arguments if one.startswith(("absent", "text", "newer")) or one == "."]

    assert (2, "") == (status, out)
    assert err.startswith("tensortoll: ")
    assert 1 == err.count("\n")
    assert guilty[0] in err
    assert not Path("sum.json").exists()


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda one: one.name)
def test_every_command_teaches_itself(capsys, command):
    """
    The help says what it does, gives examples, and names the exit statuses.
    """
    status, out, _ = ran(capsys, command.name, "--help")

    assert 0 == status
    assert "Examples:" in out
    assert f"tensortoll {command.name}" in out
    assert "Exit status: " in out
