"""
Two recordings of the same code are compared by expression, whatever lines it stands in now.
"""

from dataclasses import replace

import pytest

from tensortoll.comparison import compare
from tensortoll.model import Conversion, Failure, Hazard, Kind, Place, Route, Source, Totals
from tensortoll.recording import Recording

CELL = Source("cell [1]", None)
NUMPY, TORCH, TF = Kind("numpy", "float64"), Kind("torch", "float64"), Kind("tensorflow", "float64")


def row(
    expression,
    line=1,
    *,
    source=CELL,
    outcome="copy",
    effects=(),
    implicit=False,
    target=TORCH,
    operation="torch.tensor",
    shape=(100,),
    totals=None,
    count=1,
    copies=None,
):
    copies = count if copies is None else copies
    if totals is None:
        nbytes = 800 * copies
        totals = Totals(count, copies, nbytes, nbytes)
    if outcome == "view":
        totals = Totals(count)
    place = Place(source, line, line, 0, len(expression), expression)
    route = Route(place, operation, outcome, effects, implicit, NUMPY, target)
    return Conversion(route, totals, shape)


def recording(*rows, **more):
    return Recording(rows, tuple({one.route.place.source for one in rows}), **more)


def said(comparison):
    return [
        (one.place.expression, one.place.line, [tuple(found) for found in one.differences])
        for one in comparison.changes
    ]


def test_code_that_only_moved_is_the_same():
    """
    Other lines, another cell and another formatting are no difference.
    """
    old = recording(row("torch.tensor(x, dtype=d)", 3), row("f(a)", 5))
    other = Source("cell [9]", "whatever")
    new = recording(
        row("f( a )", 1, source=other), row("torch.tensor(\n    x,\n    dtype=d,\n)", 8)
    )

    assert not compare(old, new)


def test_times_and_addresses_and_threads_are_not_compared():
    """
    What differs between machines is no difference.
    """
    one = row("f(a)")
    two = one.route._replace(where="a thread", via="torch/x.py:9", operation="torch.as_tensor")

    assert not compare(
        recording(one), recording(Conversion(two, one.totals._replace(elapsed_ns=9)))
    )


def test_a_changed_number_is_told_with_its_place():
    """
    What was 1 and is 2 is named, where it stands now, and is worse.
    """
    comparison = compare(recording(row("f(a)", 3)), recording(row("f(a)", 7, count=2)))

    assert [
        (
            "f(a)",
            7,
            [
                ("count", 1, 2),
                ("copies", 1, 2),
                ("bytes_read", 800, 1600),
                ("bytes_written", 800, 1600),
            ],
        )
    ] == said(comparison)
    assert comparison.changes == comparison.worse


def test_less_is_a_change_and_not_worse():
    """
    A saving is told, and does not count as worse.
    """
    comparison = compare(recording(row("f(a)", count=3)), recording(row("f(a)")))

    assert 1 == len(comparison.changes)
    assert () == comparison.worse
    assert not comparison.is_worse


def test_a_view_that_became_a_copy_is_one_change():
    """
    Another outcome, or another dtype, of the same expression is told as such.
    """
    view = row("torch.as_tensor(x)", outcome="view")
    comparison = compare(recording(view), recording(row("torch.as_tensor(x)")))
    ((_, _, found),) = said(comparison)

    assert ("outcome", "view", "copy") == found[0]
    assert comparison.is_worse
    assert not compare(recording(row("torch.as_tensor(x)")), recording(view)).is_worse


def test_the_same_expression_in_two_places_is_told_apart():
    """
    The one that got worse is named, and not the one that merely looks like it.
    """
    cells = [Source(f"cell [{number}]", None) for number in range(9, 12)]
    old = recording(*(row("f(a)", source=cell) for cell in cells))
    new = recording(
        row("f(a)", source=cells[0]),
        row("f(a)", source=cells[1], count=5),
        row("f(a)", 3, source=cells[2]),
    )
    (change,) = compare(old, new).changes

    assert "cell [10]" == change.place.source.name
    assert change.old.route.place.source == change.place.source


def test_what_is_new_or_gone_is_told():
    """
    A conversion that only one of them has has no other side.
    """
    comparison = compare(recording(row("f(a)")), recording(row("g(a)"), row("f(a)")))
    (change,) = comparison.changes

    assert change.old is None
    assert "g(a)" == change.place.expression
    assert comparison.is_worse

    comparison = compare(recording(row("f(a)"), row("g(a)")), recording(row("f(a)")))
    (change,) = comparison.changes

    assert change.new is None
    assert not comparison.is_worse


def test_code_written_anew_is_judged_as_a_whole():
    """
    A copy that stands for a larger one is no increase, though its place is new.
    """
    old = recording(row("torch.tensor(x)", count=4))

    assert not compare(old, recording(row("torch.tensor(x[:9])", count=2))).is_worse
    assert compare(old, recording(row("torch.tensor(x[:9])", count=5))).is_worse


def test_new_failures_and_hazards_are_worse():
    """
    What raises now, or writes into shared memory now, is told; what did before is not.
    """
    failure = Failure(CELL, 3, "f(a)", "ValueError: no", "ragged", "why", "do")
    hazard = Hazard(CELL, 1, 4, "x", "v", "detail")
    bad = recording(failures=(failure,), hazards=(hazard,))
    comparison = compare(recording(), bad)

    assert ((failure,), (hazard,)) == (comparison.new_failures, comparison.new_hazards)
    assert comparison
    assert comparison.is_worse
    assert not compare(bad, bad)
    moved = replace(bad, failures=(replace(failure, line=9),))

    assert not compare(bad, moved)


def tf(count, copies, **more):
    return recording(row("tf.constant(x)", target=TF, count=count, copies=copies, **more))


@pytest.mark.parametrize(("count", "copies"), [(1, 1), (1, 2), (5, 5), (5, 7), (5, 10)])
def test_luck_of_the_allocator_is_no_difference(count, copies):
    """
    TensorFlow copies an array once or twice: the same code, in both cases.
    """
    for other in range(count, 2 * count + 1):
        assert not compare(tf(count, copies), tf(count, other))


def test_luck_may_read_the_array_once_or_with_each_copy():
    """
    JAX reads the user's array once, however often it is copied after that.
    """
    jax = Kind("jax", "float64")
    once, twice = (
        recording(row("jnp.array(x)", target=jax, totals=Totals(1, copies, 800, copies * 800)))
        for copies in (1, 2)
    )

    assert not compare(once, twice)
    assert not compare(twice, once)


@pytest.mark.parametrize(("count", "copies"), [(1, 0), (1, 3), (2, 2), (5, 4), (5, 11)])
def test_luck_has_its_limits(count, copies):
    """
    More or fewer arrays, and more copies than luck makes, are a difference.
    """
    for kept in range(1, 3):
        assert compare(tf(1, kept), tf(count, copies))


def test_luck_does_not_change_sizes():
    """
    Copies of larger arrays differ, however often they were made; and bytes that no luck explains.
    """
    large = tf(5, 7, totals=Totals(5, 7, 7 * 808, 7 * 808), shape=(101,))
    odd = tf(5, 7, totals=Totals(5, 7, 5601, 5601))

    assert compare(tf(5, 6), large).is_worse
    assert not compare(large, tf(5, 10)).is_worse
    assert compare(tf(5, 7), odd)
    assert compare(tf(5, 7), tf(5, 7, totals=Totals(5, 7, 9999, 5600)))


def test_arrays_of_several_sizes_are_held_by_the_range_that_they_can_take():
    """
    A short last batch makes the bytes uncertain, not the comparison blind.
    """
    kept = tf(3, 4, totals=Totals(3, 4, 2800, 2800))  # 800, 800, 400; one 800 twice

    assert not compare(kept, tf(3, 4, totals=Totals(3, 4, 2400, 2400)))
    assert not compare(kept, tf(3, 6, totals=Totals(3, 6, 4000, 4000)))
    assert compare(kept, tf(3, 6, totals=Totals(3, 6, 8000, 8000)))
    assert compare(kept, tf(3, 3, totals=Totals(3, 3, 1000, 1000)))


def test_what_an_operation_reads_directly_may_be_shared_or_copied():
    """
    Where the user's own array happens to lie decides; how many there were does not change.
    """
    kept = tf(1, 1, implicit=True)
    shared = tf(1, 0, implicit=True, outcome="view")

    assert not compare(kept, shared)
    assert not compare(shared, kept)
    assert compare(kept, tf(2, 0, implicit=True, outcome="view"))


def test_only_what_luck_decides_is_lenient():
    """
    A cast, another library and DLPack are held to the byte.
    """
    for more in (
        {"target": TORCH},
        {"effects": ("cast",), "target": Kind("tensorflow", "float32")},
        {"target": TF, "operation": "tf.experimental.dlpack.from_dlpack"},
    ):
        one, other = (recording(row("f(a)", copies=copies, **more)) for copies in (1, 2))

        assert compare(one, other), more
