"""
Every format says the same, obeys nothing in a recorded text, and fits its room.
"""

import os
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

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
from tensortoll.report import Card, build
from tensortoll.report.renderers import RENDERERS, html, markdown, terminal
from tensortoll.report.shown import Shown

GOLDEN = Path(__file__).parent / "golden"
CARD = Card(
    "torch.tensor(x)",
    "A copy: 80.0 MB written, nothing is shared.",
    (("outcome", "copy, proven by memory"), ("time", "31 ms")),
    ("Cheaper: torch.from_numpy(x).",),
)
HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "<script>alert(1)</script>",
    "</pre></td><img src=x onerror=alert(1)>",
    "`</code><script>`",
    "| cell | cell |",
    "[link](javascript:alert(1)) ![i](http://x/y.png) https://example.org @everyone",
    "[bold red]markup[/] :boom:",
    "a\r\nb\u2028c\x00d\x08\u202eevil\u202c\ud800",
    "\\| \\` **bold** __x__ $x$ ~~y~~ # h",
    '" onmouseover="alert(1)',
]


def hostile(text, number=0):
    source = Source(text, f"x = 1\n{text}\n")
    place = Place(source, 2, 2, 0, len(text) + number, text)
    route = Route(
        place,
        text,
        "copy",
        ("cast",),
        implicit=True,
        origin=Kind(text, text, text),
        target=Kind("torch", "f"),
        via=text,
        where=text,
    )
    return Recording(
        (Conversion(route, Totals(1, 1, 9_999, 9_999, 10**6)),),
        (source,),
        10**9,
        failures=(Failure(source, 2, text, text, text, text, text),),
        hazards=(Hazard(source, 1, 2, text, text, text),),
        findings=(Finding(text, source, 2, text, text, verified=True, caveats=(text,)),),
        blind_spots=(text,),
        faults=(text,),
    )


def hostile_card(text):
    return Card(text, text, ((text, text),), (text,))


class Tags(HTMLParser):
    """
    Collects the tags and attributes of a piece of HTML, and checks that they are closed in order.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = set(), set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in {"br", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


ALLOWED_TAGS = {
    *("div", "p", "strong", "span", "table", "thead", "tbody", "tr", "th", "td"),
    *("pre", "u", "ul", "li", "code", "br"),
}


def check_html(text):
    found = Tags(text)
    assert not found.open
    assert found.tags <= ALLOWED_TAGS
    assert {"style", "scope", "colspan"} >= found.attributes
    assert not set(text) & {"\x1b", "\x9b", "\x00", "\u202e", "\u2028"}
    text.encode()


def check_markdown(text):
    assert not set(text) & {"\x1b", "\x9b", "\x00", "\u202e", "\u2028"}
    text.encode()
    drawn = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    found = Tags(drawn)
    assert found.tags <= ALLOWED_TAGS
    assert {"style"} >= found.attributes


def check_terminal(text, width):
    assert all(one == "\n" or one.isprintable() for one in text)
    assert max(map(cell_len, text.split("\n"))) <= width


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [40, 100])
def test_recorded_texts_are_harmless(text, width):
    """
    No text that was recorded escapes into the format: no tags, no markup, no terminal escapes.
    """
    report = build(hostile(text), title=text)
    check_html(html.render(report))
    check_html(html.card(hostile_card(text)))
    check_markdown(markdown.render(report))
    check_markdown(markdown.card(hostile_card(text)))
    check_terminal(terminal.render(report, width=width, color=False), width)
    check_terminal(terminal.card(hostile_card(text), width=width, color=False), width)


@settings(max_examples=150, deadline=None)
@given(
    st.text(
        st.characters() | st.sampled_from("<>&\"'`|\\*_[]()!#$~\x1b\t日🎉\u200d\ufe0f\u0301 "),
        max_size=60,
    ),
    st.integers(-3, 3),
    st.integers(30, 160),
)
def test_any_text_is_harmless(text, number, width):
    """
    The same holds for any text at all, in any width.
    """
    report = build(hostile(text, max(number, -len(text))), title=text)
    check_html(html.render(report))
    check_markdown(markdown.render(report))
    check_terminal(terminal.render(report, width=width, color=False), width)
    check_terminal(terminal.card(hostile_card(text), width=width, color=False), width)


def test_coloured_text_has_our_escapes_only():
    """
    In colour, nothing but weights and colours reaches the terminal.
    """
    text = terminal.render(build(hostile(HOSTILE[0]), title="t"), width=100, color=True)

    assert "\x1b[" in text
    assert not text.replace("\x1b[", "").count("\x1b")
    assert "\x07" not in text
    assert "[2J" not in text.replace("␛[2J", "")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("name", ["costly", "healthy", "loop"])
def test_terminal_keeps_to_its_width(samples, name, width):
    """
    No row is wider than the terminal, and colour changes nothing in the text.
    """
    recording = getattr(samples, name)()
    report = build(recording, title="cell")
    plain = terminal.render(report, width=width, color=False)

    check_terminal(plain, width)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize(
    "text",
    [
        'y = f("日本", torch.tensor(x))',
        'y = f("🎉👩‍👩‍👧❤️👍🏽", torch.tensor(x))',
        "\ty =\tf(torch.tensor(x))",
        'y = f("e\u0301\x1b", torch.tensor(x))',
    ],
)
def test_underline_is_under_its_expression(samples, text, width):
    """
    Wide characters, emoji, tabs and accents before it do not move an underline.
    """
    source = Source("s", text)
    one = samples.conversion(
        source,
        1,
        "torch.tensor(x)",
        ("numpy", "float64"),
        ("torch", "float32"),
        totals=(1, 1, 9_999, 9_999, 0),
    )
    rows = terminal.render(
        build(Recording((one,), (source,)), title="t"), width=width, color=False
    ).split("\n")
    above, below = next((a, b) for a, b in pairwise(rows) if b.lstrip().startswith("└"))

    start = cell_len(below[: below.index("└")])
    assert start == cell_len(above[: above.index("torch.tensor(x)")])
    assert 15 == len(below) - len(below.replace("└", "").replace("─", ""))


def test_expression_beyond_the_edge_is_shown_again(samples):
    """
    An expression that a narrow terminal cuts off stands on a row of its own, underlined.
    """
    text = terminal.render(build(samples.loop(), title="t"), width=80, color=False)
    rows = text.split("\n")
    place = next(n for n, one in enumerate(rows) if "… labels.astype(np.float32)" in one)

    assert rows[place].index("labels") == rows[place + 1].index("└")


def test_columns_without_room_are_named(samples):
    """
    A narrow terminal leaves out columns, and says which.
    """
    report = build(samples.costly(observed=True), title="t")
    narrow = terminal.render(report, width=60, color=False)
    told = " ".join(narrow.split())

    assert "Left out for want of room: time, hits, allocated, peak, count." in told
    assert "Left out" not in terminal.render(report, width=160, color=False)


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(samples, monkeypatch, variables, colored):
    """
    There is colour on a terminal without NO_COLOR, and no escape anywhere else.
    """
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    report = build(samples.costly(), title="t")
    piped = terminal.render(report)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    assert "\x1b" not in piped
    assert colored == ("\x1b" in terminal.render(report))


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_tells_the_verdict(samples, name):
    """
    Each format has the title, the verdict, the costly line and the note on it.
    """
    text = RENDERERS[name].render(build(samples.costly(), title="cell 7"))
    told = " ".join((text if name == "terminal" else "".join(Tags(text).text)).split())

    for piece in (
        "cell 7",
        "line 6 alone wrote 1.17 GB",
        "model(b)",
        "implicit copy \N{MULTIPLICATION SIGN}64",
    ):
        assert piece in told.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_draws_cards(name):
    """
    Each format has all that is on a card.
    """
    text = RENDERERS[name].card(CARD)
    told = "".join(Tags(text).text) if name != "terminal" else text

    for piece in (CARD.title, CARD.verdict, *CARD.rows[0], *CARD.rows[1], *CARD.notes):
        assert piece in told


def test_page_is_complete_and_static(samples):
    """
    The page is a whole document that may fetch and run nothing, light or dark.
    """
    text = html.page([build(samples.costly(), title="<t>"), CARD], title="<b>")

    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "<b>" not in text
    assert not {"script", "iframe", "link", "img"} & Tags(text).tags


def test_notebook_gets_every_form_but_json(samples, monkeypatch):
    """
    A notebook is offered text, HTML and Markdown, and never JSON, which would hide them.
    """
    monkeypatch.setenv("COLUMNS", "100")  # whatever a terminal, or another test, has set
    shown = Shown(build(samples.costly(), title="t"), CARD)
    bundle = shown._repr_mimebundle_()

    assert {"text/plain", "text/html", "text/markdown"} == set(bundle)
    assert repr(shown) == bundle["text/plain"]
    assert all(CARD.verdict in one for one in bundle.values())


def test_repr_is_never_coloured(samples, monkeypatch):
    """
    What may end up in a log has no escapes, also on a terminal.
    """
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = Shown(build(samples.costly(), title="t"))

    assert "\x1b" not in repr(shown)
    assert "\x1b" in shown._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("60.txt", lambda one: terminal.render(one, width=60, color=False)),
        ("100.txt", lambda one: terminal.render(one, width=100, color=False)),
        ("html", html.render),
        ("md", markdown.render),
    ],
)
@pytest.mark.parametrize("sample", ["costly", "healthy", "loop", "empty", "observed"])
def test_golden_files(samples, sample, name, draw):
    """
    Reports look as they did when someone last looked; TENSORTOLL_GOLDEN=write draws them anew.
    """
    recording = {
        "costly": samples.costly,
        "healthy": samples.healthy,
        "loop": samples.loop,
        "empty": Recording,
        "observed": lambda: samples.costly(observed=True),
    }[sample]()
    drawn = draw(build(recording, title="cell [7]"))
    path = GOLDEN / f"{sample}.{name}"
    if os.environ.get("TENSORTOLL_GOLDEN") == "write":
        path.write_text(drawn, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == drawn
