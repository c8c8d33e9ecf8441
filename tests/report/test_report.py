"""
What a report says is true, and follows from the numbers alone.
"""

import time
from dataclasses import replace

import pytest

from tensortoll.model import Conversion, Hazard, Kind, Peak, Place, Route, Source, Totals
from tensortoll.recording import Recording
from tensortoll.report import build, build_all
from tensortoll.report.bars import bar
from tensortoll.report.renderers import html, terminal
from tensortoll.report.values import Fold, Line


def row(source, line, nbytes, *, count=1, outcome="copy", effects=(), read=0, **rest):
    return Conversion(
        Route(
            Place(source, line, line, None, None, "f(x)"),
            "f",
            outcome,
            effects,
            rest.pop("implicit", False),
            rest.pop("origin", Kind("numpy", "float64")),
            rest.pop("target", Kind("torch", "float64")),
            **rest,
        ),
        Totals(count, count if outcome == "copy" else 0, read, nbytes, 0),
    )


def numbered(lines):
    return Source("script.py", "\n".join(f"f(x)  # {n}" for n in range(1, lines + 1)))


def line_of(report, number):
    return next(one for one in report.lines if isinstance(one, Line) and one.number == number)


def messages_of(report, number):
    return [one for note in line_of(report, number).notes for one in note.messages]


def cell_of(report, number, key):
    place = [column.key for column in report.columns].index(key)
    return line_of(report, number).cells[place]


def test_headline(samples):
    """
    The headline has the time, the number of conversions, the copied bytes and their share.
    """
    report = build(samples.costly(), title="cell [7]")

    assert "cell [7]" == report.title
    assert (
        "1.84 s",
        "69 conversions",
        "1.21 GB copied",
        "37 % of the time in conversions",
    ) == report.facts


def test_share_above_the_whole_is_explained():
    """
    Where threads convert at once, their times add up to more than the clock's, and that is said.
    """
    source = numbered(1)
    one = row(source, 1, 10_000)
    slow = replace(one, totals=Totals(1, 1, 0, 10_000, 3_000_000))
    report = build(Recording((slow,), (source,), 1_000_000), title="t")

    assert "3.0 ms in conversions, all threads added up" == report.facts[-1]


def test_verdict_names_the_costliest_line(samples):
    """
    The verdict has the sum, the number of lines, and the line that wrote most.
    """
    report = build(samples.costly(), title="t")

    assert "hot" == report.tone
    assert (
        "1.21 GB was copied by 65 conversions on 2 lines; line 6 alone wrote 1.17 GB."
    ) == report.verdict


def test_verdict_on_one_line_names_the_cast():
    """
    Where all was copied on one line by one cast, the verdict names both.
    """
    source = numbered(2)
    one = row(source, 2, 8_000, effects=("cast",), target=Kind("torch", "float32"))
    report = build(Recording((one,), (source,)), title="t")

    assert "8.00 kB was copied by 1 conversion on line 2 (float64 → float32)." == report.verdict


def test_verdict_promises_only_what_was_tried_out(samples):
    """
    Savings of findings that were not tried out are not in the verdict.
    """
    report = build(samples.costly(observed=True), title="t")

    assert report.verdict.endswith("Up to 40.0 MB and 610 ms can go: 1 line to change, tried out.")
    assert "585" not in report.verdict


@pytest.mark.parametrize(
    ("conversions", "expected"),
    [
        ((), "No conversions."),
        (
            (("view", 0, 3),),
            "Nothing worth a line: 3 conversions, all shared, 0 B copied.",
        ),
        ((("view", 0, 1),), "Nothing worth a line: 1 conversion, shared, 0 B copied."),
        (
            (("view", 0, 1), ("copy", 120, 1)),
            "Nothing worth a line: 2 conversions, 1 shared, 120 B copied.",
        ),
        ((("copy", 4095, 1),), "Nothing worth a line: 1 conversion, 4.10 kB copied."),
    ],
)
def test_healthy_cell_gets_one_line(conversions, expected):
    """
    A cell that copied nothing of 4,096 bytes gets one quiet line and no source.
    """
    source = numbered(3)
    rows = tuple(row(source, 1, n, count=c, outcome=o) for o, n, c in conversions)
    report = build(Recording(rows, (source,), 12_000_000, overhead_ns=5), title="cell [8]")

    assert expected == report.verdict
    assert report.is_quiet
    assert f" cell [8]   12 ms   {expected}" == terminal.render(report, width=100, color=False)


def test_memory_shared_in_another_cell_is_told_with_that_cell():
    """
    A line's number alone would be taken for one of this cell's.
    """
    source = Source("cell [2]", "x = 1\na[3] = 5")
    hazard = Hazard(source, 7, 2, "a", "t", "written", "cell [1]")
    recording = Recording(sources=(source,), hazards=(hazard,))

    report = build(Recording.from_dict(recording.to_dict()), title="t")
    shown = " ".join(terminal.render(report, width=200, color=False).split())

    assert "since cell [1] line 7" in shown
    assert "since line 7" not in shown


def test_small_copies_of_a_line_add_up():
    """
    Many small copies on one line are as much as a large one; on many lines they are not.
    """
    source = numbered(2)
    same = (row(source, 1, 4_000), row(source, 1, 96, via="a.py:1"))
    apart = (row(source, 1, 4_000), row(source, 2, 96))

    assert not build(Recording(same, (source,)), title="t").is_quiet
    assert build(Recording(apart, (source,)), title="t").is_quiet


def test_unboxing_is_worth_a_line():
    """
    Data that was turned into Python objects is told by what was read, as nothing was written.
    """
    source = numbered(1)
    one = row(source, 1, 0, read=80_000_000, effects=("unbox",), target=Kind("python", "float64"))
    report = build(Recording((one,), (source,)), title="t")

    assert "80.0 MB was turned into Python objects on line 1." == report.verdict
    assert "unbox" == cell_of(report, 1, "copied")


def test_quiet_report_still_tells_its_faults():
    """
    What was not seen and what went wrong in looking is told also where all seems well.
    """
    faults = ("no shape (x2)", "no address (x1)")
    recording = Recording(blind_spots=("a worker process",), faults=faults)
    report = build(recording, title="t")

    assert (
        "Not seen: a worker process",
        "tensortoll failed to look 3 times: no shape (x2); no address (x1)",
    ) == report.footer


@pytest.mark.parametrize("part", ["failures", "hazards", "findings"])
def test_nothing_broken_is_healthy(samples, part):
    """
    A failure, a hazard or a finding makes a report, even if nothing was copied.
    """
    sample = samples.costly(observed=True) if part == "findings" else samples.loop()
    recording = Recording(sources=sample.sources, **{part: getattr(sample, part)})
    report = build(recording, title="t")

    assert not report.is_quiet
    assert 1 == len(report.sections)


def test_note_says_what_happened(samples):
    """
    A note has the manner, the ends, the bytes, the copies, the speed, the library and addresses.
    """
    report = build(samples.costly(), title="t")

    (copy,) = messages_of(report, 4)
    assert "explicit copy" == copy.head
    assert (
        "numpy:float64 → torch:float32",
        "80.0 MB read, 40.0 MB written",
        "31 ms at 2.6 GB/s",
        "0x7f…010\N{EN DASH}410 │ 0x7f…040\N{EN DASH}a40",
    ) == copy.parts
    (loop,) = messages_of(report, 6)
    assert "implicit copy \N{MULTIPLICATION SIGN}64" == loop.head
    assert "2 copies each" in loop.parts
    assert "via layers/layer.py:272" in loop.parts
    (view,) = messages_of(report, 5)
    assert ("shares memory", "both at 0x7f…010\N{EN DASH}410") == view.parts[-2:]


def test_note_names_devices_threads_and_waits(samples):
    """
    Devices are named where not all is on the CPU, and so is another thread.
    """
    report = build(samples.loop(), title="t")

    assert "torch:float64@cpu → torch:float64@cuda:0" == messages_of(report, 5)[0].parts[0]
    assert {"host to device", "non-blocking"} <= set(messages_of(report, 5)[0].parts)
    assert "thread Thread-3 (worker), waited for here" in messages_of(report, 4)[0].parts


def test_note_stands_under_its_expression(samples):
    """
    A note spans the characters of its expression in the line as it is shown.
    """
    report = build(samples.loop(), title="t")
    line = line_of(report, 6)

    assert "labels.astype(np.float32)" == line.text[line.notes[0].start : line.notes[0].stop]


def test_expression_of_several_lines_says_where_it_ends():
    """
    An expression that goes on is underlined to the end of its first line.
    """
    source = Source("s", "y = f(\n  x,\n)")
    place = Place(source, 1, 3, 4, 1, "f(\n  x,\n)")
    one = row(source, 1, 9_999)
    one = replace(one, route=one.route._replace(place=place))
    report = build(Recording((one,), (source,)), title="t")
    (note,) = line_of(report, 1).notes

    assert (4, 6) == (note.start, note.stop)
    assert "to line 3" in note.messages[0].parts


def test_many_rows_of_a_line_are_folded_with_their_sum():
    """
    Beyond the six costliest, the rows of a line are told as one, with what they add up to.
    """
    source = numbered(1)
    rows = tuple(row(source, 1, 10_000 + n, count=2, via=f"lib/f.py:{n}") for n in range(18))
    report = build(Recording(rows, (source,)), title="t")
    *first, more = messages_of(report, 1)

    assert 6 == len(first)
    assert ("and 12 more", ("24 conversions", "120 kB copied")) == (more.head, more.parts)


def test_long_source_is_folded():
    """
    In a long source, stretches without conversions are folded, and every line is accounted for.
    """
    source = numbered(200)
    report = build(Recording((row(source, 100, 9_999),), (source,)), title="t")
    shown = [one.number if isinstance(one, Line) else one.text for one in report.lines]

    assert [
        "98 lines without conversions",
        99,
        100,
        101,
        "99 lines without conversions",
    ] == shown


def test_lines_that_are_left_out_are_counted():
    """
    Of more lines than are shown, the costliest are, and folds tell what the others copied.
    """
    source = numbered(100)
    rows = tuple(row(source, n, 10_000 + n) for n in range(1, 101))
    report = build(Recording(rows, (source,)), title="t", max_lines=2)
    folds = [one.text for one in report.lines if isinstance(one, Fold)]

    assert ["97 lines, 97 of them with 97 conversions, 975 kB copied"] == folds
    assert [98, 99, 100] == [one.number for one in report.lines if isinstance(one, Line)]


def test_source_without_text_is_told_by_its_expressions():
    """
    Where the text of a source was left out, its expressions stand for the lines.
    """
    source = Source("secret.py", None)
    report = build(Recording((row(source, 12, 9_999),), (source,)), title="t")

    assert [(12, "f(x)")] == [(one.number, one.text) for one in report.lines[1:]] or [
        (12, "f(x)")
    ] == [(one.number, one.text) for one in report.lines]


def test_lines_beyond_the_source_are_harmless():
    """
    A line that the source does not have, and columns that a line does not have, draw all the same.
    """
    source = Source("s", "ab")
    one = row(source, 1, 9_999)
    odd = one.route.place._replace(column=50, end_column=2**63)
    rows = (
        replace(one, route=one.route._replace(place=odd)),
        row(source, 2**63, 9_999),
        row(source, 0, 9_999),
    )
    report = build(Recording(rows, (source,)), title="t")

    assert {0, 1, 2**63} == {line.number for line in report.lines if isinstance(line, Line)}
    assert terminal.render(report, width=80)
    assert html.render(report)


def test_columns_of_lines_appear_with_their_observations(samples):
    """
    Time, hits and memory have columns only if they were observed, and then lines have one time.
    """
    plain = [one.key for one in build(samples.costly(), title="t").columns]
    observed = build(samples.costly(observed=True), title="t")

    assert ["copied", "cast", "count", "converting"] == plain
    assert ["time", "hits", "allocated", "peak", "copied", "cast", "count"] == [
        one.key for one in observed.columns
    ]
    assert "1.20 s" == cell_of(observed, 6, "time")


def test_unexplained_memory_is_told(samples):
    """
    Memory that no conversion accounts for is told on its line, unless it is next to nothing.
    """
    report = build(samples.costly(observed=True), title="t")

    assert "unexplained" in [one.head for one in messages_of(report, 6)]
    assert "unexplained" not in [one.head for one in messages_of(report, 4)]


def test_findings_are_sorted_by_saving(samples):
    """
    The finding that saves most bytes comes first, with the line to write instead.
    """
    report = build(samples.costly(observed=True), title="t")
    (section,) = report.sections

    assert ["TT101", "TT203"] == [one.title[:5] for one in section.entries]
    assert "x = rng.random(10_000_000, dtype=np.float32)" == section.entries[1].code
    assert ("saves 40.0 MB, 610 ms", "tried out", "same to 1e-7") == section.entries[1].parts


def test_each_source_has_its_report(samples):
    """
    Of several sources each that has something to say is reported on, the costliest first.
    """
    parts = (samples.costly(), samples.healthy(), samples.loop())
    merged = Recording().merge(parts[0]).merge(parts[1]).merge(parts[2])
    reports = build_all(merged)

    assert ["cell [7]", "cell [9]"] == [one.title for one in reports]
    assert () == reports[0].footer
    assert reports[1].footer


def test_healthy_sources_share_one_report(samples):
    """
    If no source has anything to say, one quiet report stands for all of them.
    """
    (report,) = build_all(samples.healthy(), title="run")

    assert "run" == report.title
    assert "Nothing worth a line: 3 conversions, all shared, 0 B copied." == report.verdict


def test_one_report_of_several_sources_says_what_it_leaves_out(samples):
    """
    A report on one source counts what was converted in the others.
    """
    both = samples.costly().merge(samples.loop())
    report = build(both, title="t")

    assert report.footer[0].startswith("Not shown here: 197 conversions in other sources, 134 MB")


def test_report_of_nothing():
    """
    The empty recording has a report.
    """
    report = build(Recording(), title="t")

    assert "No conversions." == report.verdict
    assert 1 == len(build_all(Recording()))


@pytest.mark.parametrize(
    ("share", "width", "expected"),
    [
        (0, 4, "    "),
        (1, 4, "████"),
        (0.5, 4, "██  "),
        (1e-9, 4, "▏   "),
        (0.28, 4, "█▏  "),
        (1, 1, "█"),
        (0.5, 1, "▄"),
    ],
)
def test_bars_are_proportional(share, width, expected):
    """
    A bar has eighths of a character, and something is never drawn as nothing.
    """
    assert expected == bar(share, width)


def test_thousand_rows_are_quick(samples):
    """
    A report of a thousand lines, each with a note, is built and drawn in a fraction of a second.
    """
    recording = samples.huge(1_000, 1_000, nbytes=5_000)
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        report = build(recording, title="t", max_lines=1_000)
        terminal.render(report, width=100, color=True)
        html.render(report)
        best = min(best, time.process_time() - begun)

    assert 1_000 == sum(isinstance(one, Line) for one in report.lines)
    # Both formats on a machine three times as slow as the one where it was measured.
    assert best < 0.6


def test_huge_recording_has_a_report_of_bounded_size(samples):
    """
    A hundred thousand rows give a report that a notebook can hold.
    """
    report = build(samples.huge(5_000, 100_000), title="t")

    assert len(html.render(report)) < 1_000_000
    assert len(terminal.render(report, width=100, color=False)) < 500_000


def test_lines_are_counted_as_python_counts_them():
    """
    A form feed or an exotic line separator in a source does not move the lines below it.
    """
    source = Source("s", 'a = "\u2028"\n\x0cb = 1\r\nc = f(x)\n')
    report = build(Recording((row(source, 3, 9_999),), (source,)), title="t")

    assert ["c = f(x)"] == [one.text for one in report.lines if one.number == 3]
    assert 3 == len(report.lines)


def test_joined_emoji_stay_readable():
    """
    What joins emoji is left out, as its width differs between terminals; the emoji remain.
    """
    source = Source("s", "f(x)  # 👩\u200d💻\ufe0f")
    report = build(Recording((row(source, 1, 9_999),), (source,)), title="t")

    assert "f(x)  # 👩💻" == line_of(report, 1).text


def test_time_and_peak_of_all_are_no_single_sources():
    """
    Of several cells together, none is said to have taken what all of them took.
    """
    cells = [Source("cell [1]", "torch.tensor(x)"), Source("cell [2]", "torch.tensor(x)")]
    rows = [row(one, 1, 20_000_000) for one in cells]
    recording = Recording(tuple(rows), tuple(cells), 3_000_000_000, peak=Peak(70_000_000))
    first, second = build_all(recording)

    assert not any("3.00 s" in fact or "70.0 MB" in fact for fact in (*first.facts, *second.facts))
    assert "In all: 3.00 s, peak 70.0 MB." in second.footer
    assert not any("In all" in line for line in first.footer)


def test_the_cell_that_ran_has_the_time_of_all():
    """
    Also where it called a function of an earlier cell, which lent no more than its lines.
    """
    cells = [Source("cell [1]", "torch.tensor(x)"), Source("cell [2]", "torch.tensor(x)")]
    rows = [row(one, 1, 20_000_000) for one in cells]
    recording = Recording(tuple(rows), tuple(cells), 3_000_000_000)
    reports = {one.title: one for one in build_all(recording, ran="cell [2]")}

    assert "3.00 s" in reports["cell [2]"].facts
    assert "3.00 s" not in reports["cell [1], run by cell [2]"].facts
    assert not any("In all" in line for one in reports.values() for line in one.footer)
