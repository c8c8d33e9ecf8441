"""
What holds of any recording: it survives saving, merging is a sum, and comparing finds what differs.
"""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tensortoll.comparison import compare
from tensortoll.model import (
    Conversion,
    Environment,
    Failure,
    Finding,
    Hazard,
    Kind,
    LineCost,
    Peak,
    Place,
    Proof,
    Route,
    Source,
    Span,
    Totals,
)
from tensortoll.recording import Recording, merged
from tensortoll.rereading import Tally

from_dict, to_dict = Recording.from_dict, Recording.to_dict

texts = st.text(st.characters(), max_size=12)  # Lone surrogates and control characters as well.
naturals = st.integers(0, 2**63)
maybe = st.none() | naturals
sources = st.builds(Source, texts, st.none() | texts)
kinds = st.builds(Kind, texts, texts, texts)
effects = st.sets(st.sampled_from(["cast", "h2d", "layout", "unbox"])).map(
    lambda found: tuple(sorted(found))
)
routes = st.builds(
    Route,
    st.builds(Place, sources, naturals, naturals, maybe, maybe, texts),
    texts,
    st.sampled_from(["view", "copy", "failed"]),
    effects,
    st.booleans(),
    kinds,
    kinds,
    st.none() | texts,
    texts,
)
spans = st.tuples(naturals, naturals).map(lambda ends: Span(*sorted(ends)))
conversions = st.builds(
    Conversion,
    routes,
    st.builds(Totals, naturals, naturals, naturals, naturals, naturals),
    st.none() | st.lists(naturals, max_size=3).map(tuple),
    st.none() | st.builds(Proof, spans, spans),
)
some_texts = st.lists(texts, max_size=2).map(tuple)


def some(strategy):
    return st.lists(strategy, max_size=2).map(tuple)


def by_kind(kinds):
    """
    Numbers by some of the kinds, in the order of their names.
    """
    return st.dictionaries(st.sampled_from(kinds), naturals).map(lambda d: tuple(sorted(d.items())))


aparts = by_kind(["mapped", "objects", "tensorflow", "threads"])


def with_all_sources(recording):
    """
    The same recording, with every source that something in it names.
    """
    named = [one.route.place.source for one in recording.conversions]
    for part in (recording.lines, recording.failures, recording.hazards, recording.findings):
        named += [one.source for one in part]
    return Recording(
        **{
            **{name: getattr(recording, name) for name in Recording.__slots__},
            "sources": tuple(dict.fromkeys([*recording.sources, *named])),
        }
    )


recordings = st.builds(
    Recording,
    some(conversions),
    some(sources),
    naturals,
    some(st.builds(LineCost, sources, *[naturals] * 9, st.none() | texts, aparts)),
    some(st.builds(Failure, sources, naturals, *[texts] * 5)),
    some(st.builds(Hazard, sources, naturals, naturals, *[texts] * 3)),
    some(
        st.builds(
            Finding,
            texts,
            sources,
            naturals,
            texts,
            texts,
            st.booleans(),
            st.integers(-(2**60), 2**60),
            st.integers(-(2**60), 2**60),
            some_texts,
        )
    ),
    naturals,
    some_texts,
    some_texts,
    st.builds(
        Environment,
        texts,
        texts,
        st.dictionaries(texts, texts, max_size=2),
        maybe,
        maybe,
        st.none() | texts,
    ),
    by_kind(["hooks", "memory", "time"]),
    st.none() | st.builds(Peak, naturals, naturals, naturals),
).map(with_all_sources)


few = settings(max_examples=60, deadline=None)


@few
@given(recordings)
def test_what_is_written_is_read(one):
    """
    A recording is the same after a way through JSON, whatever texts and numbers it holds.
    """
    assert one == from_dict(json.loads(json.dumps(to_dict(one))))


@few
@given(recordings, recordings)
def test_merging_is_commutative(one, other):
    """
    It does not matter which of two comes first.
    """
    assert one.merge(other) == other.merge(one)


@few
@given(recordings, recordings, recordings)
def test_merging_is_associative(one, other, third):
    """
    It does not matter which two are merged first, or whether all are at once.
    """
    assert one.merge(other).merge(third) == one.merge(other.merge(third))
    assert merged((one, other, third)) == one.merge(other).merge(third)


@few
@given(recordings)
def test_merging_has_a_zero(one):
    """
    The empty recording changes nothing in a sum.
    """
    assert one.merge(Recording()) == merged([one])
    assert merged([merged([one])]) == merged([one])


@few
@given(recordings, recordings)
def test_merging_adds_all_numbers(one, other):
    """
    Nothing is lost and nothing invented.
    """
    both = one.merge(other)

    assert one.totals.plus(other.totals) == both.totals
    assert one.elapsed_ns + other.elapsed_ns == both.elapsed_ns


@few
@given(recordings)
def test_a_recording_does_not_differ_from_itself(one):
    """
    Comparing a recording with itself finds nothing, nor with what merging makes of it.
    """
    assert not compare(one, one)
    assert not compare(one, merged([one]))
    assert not compare(one, one).is_worse


@few
@given(recordings, st.data(), st.integers(1, 2**40))
@pytest.mark.parametrize("name", ["count", "copies", "bytes_read", "bytes_written"])
def test_one_other_number_is_named(name, one, data, more):
    """
    Of two recordings that differ in one number, the place and the number are named.
    """
    assume(one.conversions)
    number = data.draw(st.integers(0, len(one.conversions) - 1))
    rows = [*one.conversions]
    totals = rows[number].totals
    changed = totals._replace(**{name: getattr(totals, name) + more})
    rows[number] = replace(rows[number], totals=changed)
    (change,) = compare(one, replace(one, conversions=tuple(rows))).changes
    (difference,) = change.differences

    assert name == difference.name
    assert more == difference.new - difference.old
    assert rows[number].route.place == change.place


@few
@given(st.lists(recordings, max_size=3))
def test_adding_up_while_reading_is_merging(several):
    """
    What is added up row by row is the sum of the recordings, or left to the ordinary way.
    """
    tally = Tally()
    parts = []
    for one in [*several, *several]:
        rest = tally.add(json.dumps(to_dict(one)).encode())
        parts.append(one if rest is None else Recording(**rest))

    assert merged([*several, *several]) == merged([*parts, Recording(tally.conversions())])
