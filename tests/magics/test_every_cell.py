"""`%tensorcost on` gives every cell one line, and `--trace` a timeline."""

import json

import pytest
from IPython.utils.capture import capture_output

from tensortoll.advice import advised
from tensortoll.magics import watching

CONVERTS = "import numpy as np\na = np.ones(1000)\nb = a.astype('f4')\nb.sum()"


def run(shell, cell):
    with capture_output() as caught:
        result = shell.run_cell(cell, store_history=True)
    return result, caught.stdout + caught.stderr, caught.outputs


@pytest.fixture
def on(shell):
    result, printed, _ = run(shell, "%tensorcost on")

    assert result.success
    assert "" == printed
    return shell


def test_every_later_cell_gets_one_line(on):
    """
    It tells number, bytes and time; the cell's own value is there as ever.
    """
    result, printed, _ = run(on, CONVERTS)
    (line,) = [one for one in printed.splitlines() if one.startswith("tensortoll:")]

    assert result.result == 1000
    assert "1 conversion, 4.00 kB copied" in line
    assert line.endswith("; %tensorcost last for the report")


def test_a_cell_that_converts_nothing_says_so(on):
    """
    The line is there, so that a reader knows that somebody looked.
    """
    assert "tensortoll: No conversions." in run(on, "x = 1 + 1")[1]


def test_the_line_stands_under_a_cell_that_fails(on):
    """
    What it converted before is told; its error is its own.
    """
    result, printed, _ = run(on, CONVERTS + "\n1 / 0")

    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert "1 conversion" in printed


def test_last_shows_the_report_of_the_cell_above(on):
    """
    Asking for it is no cell to report on.
    """
    run(on, CONVERTS)
    for _ in range(2):
        _, printed, (shown,) = run(on, "%tensorcost last")

        assert "1 conversion, 4.00 kB copied" in shown.data["text/plain"]
        assert "tensortoll:" not in printed


def test_advice_is_tried_out_once_it_is_asked_for(on, monkeypatch):
    """
    Not below each cell: that would take longer than most of them do.
    """
    tried = []

    def counted(*arguments):
        tried.append(arguments)
        return advised(*arguments)

    monkeypatch.setattr(watching, "advised", counted)
    run(on, "import numpy as np, torch\nx = np.ones((2_000, 1_000))\nt = torch.tensor(x)")

    assert not tried
    for _ in range(2):
        _, _, (shown,) = run(on, "%tensorcost last")

        assert "torch.from_numpy(x)" in shown.data["text/plain"]
        assert len(tried) == 1


def test_a_cell_with_the_magic_gets_its_report_and_no_line(on):
    """
    One report is enough.
    """
    _, printed, shown = run(on, "%%tensorcost\n" + CONVERTS)

    assert "tensortoll:" not in printed
    assert any("text/html" in one.data for one in shown)


def test_off_ends_it(on):
    """
    Later cells are not watched any more.
    """
    _, printed, _ = run(on, "%tensorcost off")
    _, later, _ = run(on, CONVERTS)

    assert "tensortoll" not in printed + later
    assert not on._tensortoll_session.recordings


def test_another_word_is_a_mistake(shell):
    """
    It is told which words there are.
    """
    result, printed, _ = run(shell, "%tensorcost of")

    assert not result.success
    assert "`on`, `off` and `last`" in printed


def test_a_cell_is_traced_where_that_is_asked_for(shell, tmp_path):
    """
    `--trace F` writes each conversion with its time.
    """
    path = tmp_path / "trace.json"
    result, _, _ = run(shell, f"%%tensorcost --quiet --trace {path}\n" + CONVERTS)
    slices = [one for one in json.loads(path.read_text())["traceEvents"] if one["ph"] == "X"]

    assert result.success
    assert ["a.astype('f4')"] == [one["name"] for one in slices]
    assert 4000 == slices[0]["args"]["bytes_written"]
