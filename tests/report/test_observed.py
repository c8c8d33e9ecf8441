"""
What the observers saw of time and memory, as a reader finds it in the report.
"""

from dataclasses import replace

import pytest

from tensortoll.model import NO_LINE, LineCost, Peak, Source
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.renderers import html, markdown, terminal
from tensortoll.report.values import Line

CELL = Source("cell [1]", "x = 1\nmodel.fit(x)\ny = 2\n")


def hidden(nbytes):
    cost = LineCost(
        CELL, 2, 1, 5_000, nbytes, 1, nbytes, nbytes, hidden_bytes=nbytes, hidden_via="keras/a.py:7"
    )
    return Recording(sources=(CELL,), lines=(cost,), elapsed_ns=10_000_000)


def test_what_a_library_allocates_by_itself_has_a_row_with_its_own_line():
    """
    Also in a cell without any conversion, which would have got one quiet line.
    """
    (report,) = build_all(hidden(40_000_000))
    text = terminal.render(report, width=180, color=False)

    assert not report.is_quiet
    assert "keras/a.py:7 allocated 40.0 MB that no conversion explains" in text
    assert "Inside of libraries, line 2 allocated 40.0 MB that no conversion explains." in text
    assert "keras/a.py:7" in html.render(report)
    assert "keras/a.py" in markdown.render(report)


def test_a_little_that_a_library_allocates_is_no_news():
    """
    A cell stays healthy: every library has buffers of its own.
    """
    (report,) = build_all(hidden(999_999))

    assert report.is_quiet


def test_what_a_line_computes_is_no_row():
    """
    Allocating is what code does: only what a library hides is told.
    """
    cost = LineCost(CELL, 1, 1, 5_000, 80_000_000, 1, 80_000_000, 80_000_000)
    (report,) = build_all(Recording(sources=(CELL,), lines=(cost,), elapsed_ns=10_000_000))

    assert report.is_quiet


@pytest.mark.parametrize(
    ("peak", "told"),
    [
        (Peak(240_000_000, 80_000_000, 80_000_000), "peak 240 MB, 80.0 MB of it converted"),
        (Peak(240_000_000, 0, 80_000_000), "peak 240 MB, ≤ 80.0 MB of it converted"),
        (Peak(240_000_000, 7_000_000, 9_000_000), "peak 240 MB, 7.00 MB to 9.00 MB of it conv"),
        (Peak(240_000_000), "peak 240 MB"),
    ],
)
def test_the_top_tells_the_peak_and_what_conversions_had_of_it(samples, peak, told):
    """
    As far as it can be told: blocks of one line may be a conversion's or not.
    """
    (report,) = build_all(replace(samples.costly(observed=True), peak=peak))

    assert told in terminal.render(report, width=140, color=False)
    assert told in html.render(report)


def test_a_small_peak_is_not_told(samples):
    """
    Below a megabyte nobody has a question.
    """
    (report,) = build_all(replace(samples.costly(observed=True), peak=Peak(900_000)))

    assert "peak" not in " ".join(report.facts)


def test_at_100_columns_all_that_was_observed_stands_beside_the_source(samples):
    """
    Time, hits, allocated bytes and the share of the peak, and no line is wider.
    """
    (report,) = build_all(samples.costly(observed=True))
    rows = terminal.render(report, width=100, color=False).splitlines()
    (heading,) = [row for row in rows if "allocated  peak" in row]

    assert ["time", "hits", "allocated", "peak", "copied", "cast"] == heading.split()
    assert max(map(len, rows)) <= 100


def test_the_share_of_the_peak_is_a_bar(samples):
    """
    The line at the peak has a full one, in the terminal and in HTML.
    """
    (report,) = build_all(samples.costly(observed=True))
    levels = {one.number: one.level for one in report.lines if isinstance(one, Line)}
    text = terminal.render(report, width=100, color=False)
    page = html.render(report)

    assert {6: 1.0, 7: 0.0} == {line: levels[line] for line in (6, 7)}
    assert levels[3] == pytest.approx(80 / 190)
    assert "1.20 GB  ████" in text
    assert 5 == page.count("rgba(66, 133, 200, 0.55)")
    assert "190 MB" in page


def test_times_add_up_with_a_row_for_what_is_between_the_lines(samples):
    """
    The last row has no number, and what no line took.
    """
    (report,) = build_all(samples.costly(observed=True))
    last = report.lines[-1]

    assert NO_LINE == last.number
    assert "497 ms" in last.cells
    assert last.text.startswith("(between the lines")
    row = terminal.render(report, width=100, color=False).split("(between")[0].splitlines()[-1]
    assert ["497", "ms"] == row.split()


def test_memory_that_is_no_lines_own_doing_is_told_apart(samples):
    """
    It stands under the line where it shows, and in none of the columns.
    """
    kinds = ("mapped", "objects", "tensorflow", "threads")
    apart = tuple((kind, 5_000_000) for kind in kinds)
    cost = LineCost(samples.costly().sources[0], 3, 1, 1_000, apart=apart)
    (report,) = build_all(replace(samples.costly(), lines=(cost,)))
    text = terminal.render(report, width=200, color=False)

    assert "5.00 MB mapped by a library: scratch, a pool or a file" in text
    assert "5.00 MB in arenas for small Python objects" in text
    assert "5.00 MB by which TensorFlow's arena for tensors grew" in text
    assert "5.00 MB by threads of libraries, most likely for this line" in text
    assert "allocated" not in [column.heading for column in report.columns]


def test_the_cost_of_watching_is_told_by_its_parts(samples):
    """
    And that conversions were timed under it.
    """
    (report,) = build_all(samples.costly(observed=True))
    foot = " ".join(report.footer)

    assert "251 ms (14 % of the time): 21 ms conversions, 190 ms memory, 40 ms line times." in foot
    assert "taken while memory was watched" in foot
    (plain,) = build_all(samples.costly())
    assert "memory" not in " ".join(plain.footer)
