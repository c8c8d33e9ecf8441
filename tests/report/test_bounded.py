"""
However much there is to tell, a report stays short, quick to draw, and says what it leaves out.
"""

import time
from dataclasses import replace

from tensortoll.model import Failure, Hazard, Source
from tensortoll.recording import Recording
from tensortoll.report import build_all
from tensortoll.report.renderers import RENDERERS, html


def drawn(recording):
    """
    The reports, and each format's whole text.
    """
    reports = build_all(recording)
    return reports, {name: "\n".join(map(one.render, reports)) for name, one in RENDERERS.items()}


def rows(source, lines, each, samples):
    """
    So many conversions of other kinds on every line.
    """
    text = "torch.tensor(x)"
    return [
        samples.conversion(
            source,
            line,
            text,
            ("numpy", "float64"),
            ("torch", f"float{number}"),
            effects=("cast",),
            totals=(1, 1, 8_000, 4_100 + line, 1_000),
        )
        for line in range(1, lines + 1)
        for number in range(each)
    ]


def source(lines, name="cell [1]"):
    return Source(name, "t = torch.tensor(x)\n" * lines)


def test_a_cell_of_thousands_of_lines_and_groups_is_told_in_half_a_megabyte(samples):
    """
    The costliest lines are shown; the others are folded, with their conversions and bytes.
    """
    cell = source(500)
    recording = Recording(tuple(rows(cell, 500, 20, samples)), (cell,), 10**9)
    begun = time.process_time()
    _, texts = drawn(recording)

    assert time.process_time() - begun < 2
    assert all(len(text) < 700_000 for text in texts.values())
    assert "14 more" in texts["terminal"]
    for text in texts.values():
        assert "of them with" in text  # what is folded
        assert "43.5 MB" in text  # all of it, in the verdict


def test_the_costliest_line_is_told_however_little_room_there_is(samples):
    """
    It is the last to be left out.
    """
    cell = source(300)
    many = rows(cell, 300, 20, samples)
    many[150] = replace(many[150], totals=many[150].totals._replace(bytes_written=10**9))
    line = many[150].route.place.line
    report = build_all(Recording(tuple(many), (cell,)), max_lines=1)[0]

    assert line in [one.number for one in report.lines if getattr(one, "notes", ())]


def test_thousands_of_sources_make_a_page_of_three_megabytes(samples):
    """
    The costliest sources have reports; the rest is told in one sentence, with its bytes.
    """
    cells = [source(60, f"cell [{number}]") for number in range(400)]
    many = [one for cell in cells for one in rows(cell, 1, 1, samples)]
    recording = Recording(tuple(many), tuple(cells), 10**9)
    reports = build_all(recording)
    page = html.page(reports)
    left = len(cells) - len(reports)

    assert left > 0
    assert len(page) < 3_000_000
    assert f"And {left:,} more sources, not shown: {left:,} conversions" in page
    assert f"And {left:,} more sources" in reports[-1].footer[0]


def test_long_lists_say_how_many_they_leave_out(samples):
    """
    Failures and hazards are shown up to a number, and the rest is counted.
    """
    cell = source(9)
    failures = tuple(
        Failure(cell, 1, f"f({number})", "ValueError: no", "other", "why", "do")
        for number in range(4_832)
    )
    hazards = tuple(Hazard(cell, 1, 2, f"x{n}", "y", "") for n in range(4_832))
    _, texts = drawn(Recording((), (cell,), failures=failures, hazards=hazards))

    for text in texts.values():
        assert 2 == text.count("and 4,812 more")
        assert len(text) < 200_000
