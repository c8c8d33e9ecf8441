"""A rewritten program does what the program does, and only what can convert is rewritten."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import re
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensortoll
from tensortoll.capture import running
from tensortoll.capture.arrays.seen import Seen
from tensortoll.capture.probes.numpy import NumpyProbe, describe_array
from tensortoll.capture.rewriting.rewriter import Rewritten, rewrite
from tensortoll.capture.runtime.expressions import Expression
from tensortoll.capture.runtime.moments import Moment
from tensortoll.capture.runtime.selections import is_basic, selected
from tensortoll.model import Source

# --------------------------------------------------------------- programs made up at random

TYPES = st.sampled_from(["'f4'", "'i8'", "float", "np.float32", "object", "'U3'"])
INDICES = st.sampled_from(
    "0 -1 1:3 ::2 ... : n None,0 [0,1] 'k' :,0 slice(1) True np.int64(1) -3:-1 ...,1:".split()
)
ATOMS = st.sampled_from(
    ["a", "b", "l", "d", "n", "2", "1.5", "None", "d['k']", "np.arange(4)", "[1, 2, 3]", "'text'"]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def made(form: str, **parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.fixed_dictionaries(parts).map(lambda chosen: form.format(**chosen))

    two = {"x": inner, "y": inner}
    return st.one_of(
        *(made(form, x=inner) for form in ONE),
        *(made(form, **two) for form in TWO),
        *(made(form, x=inner, t=TYPES) for form in TYPED),
        made("({x})[{i}]", x=inner, i=INDICES),
    )


ONE = (
    "({x}).copy()",
    "({x}).tolist()",
    "({x}).ravel()",
    "({x})\\\n    .reshape(-1)\\\n    .copy()",
    "({x}).item()",
    "np.asarray({x})",
    "np.array(object={x})",
    "np.atleast_2d({x})",
    "np.float32({x})",
    "-({x})",
    "f({x})",
    "(lambda q: q.copy())({x})",
    "[w.copy() for w in [{x}, a]]",
    "{{**{{'k': {x}}}}}",
    "(v := {x})",
    "f'{{({x})!r:>3}}'.strip()",
    "np.array(*[{x}])",
    "list(map(np.asarray, [{x}]))",
)
TWO = (
    "({x} + {y})",
    "({x} if {y} is None else {y})",
    "np.asarray({x}) * {y}",
    "np.full_like({x}, {y})",
    "say({x}).reshape(say({y}))",
    "(0 or {x}, {y} and 1)",
    "np.concatenate([{x}, {y}])",
)
TYPED = ("({x}).astype({t})", "np.array({x}, dtype={t})", "np.asarray({x}, {t}).astype({t})")

EXPRESSIONS = st.recursive(ATOMS, _grown, max_leaves=5)
NAMES = st.sampled_from(["a", "b", "l", "d", "n", "e"])


def _indented(lines: str) -> str:
    return textwrap.indent(lines, "    ")


SIMPLE = st.one_of(
    st.builds("{} = {}".format, NAMES, EXPRESSIONS),
    st.builds("say({})[{}] = {}".format, NAMES, INDICES, EXPRESSIONS),
    st.builds("({})[{}] = say({})".format, EXPRESSIONS, INDICES, EXPRESSIONS),
    st.builds("{} += {}".format, NAMES, EXPRESSIONS),
    st.builds("a[{}] *= {}".format, INDICES, EXPRESSIONS),
    st.builds("np.copyto({}, {})".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("a.resize({}, refcheck=True)".format, st.sampled_from("2 4 6".split())),
    st.builds("del {}[{}]".format, NAMES, INDICES),
    st.builds("print(repr({}))".format, EXPRESSIONS),
)


def _blocks(body: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(body, min_size=1, max_size=3).map("\n".join).map(_indented)
    caught = "\nexcept Exception as error:\n    print(type(error).__name__, error)"
    return st.one_of(
        st.builds("try:\n{}".format, bodies).map(lambda text: text + caught + "\nelse: print('-')"),
        st.builds("for n in range(2):\n{}".format, bodies),
        st.builds("if isinstance({}, np.ndarray):\n{}".format, EXPRESSIONS, bodies),
        st.builds("def f(a, l=[1]):\n{}\n    return a.copy()".format, bodies),
        st.builds("class C:\n    a = np.arange(3)\n{}\nd[1] = C.a".format, bodies),
    )


STATEMENTS = st.one_of(SIMPLE, _blocks(SIMPLE), _blocks(st.one_of(SIMPLE, _blocks(SIMPLE))))
PROGRAMS = st.lists(STATEMENTS, min_size=1, max_size=8).map("\n".join)

START = """
import numpy as np
def say(x): print('say', repr(x)); return x
def f(x): return np.asarray(x).copy()
a = np.arange(4.0); b = np.arange(6).reshape(2, 3); l = [3, 1, 2]; d = {'k': a}; n = 1; e = None
"""
ADDRESS = re.compile(r"0x[0-9a-f]+")


def outcome(program: str, *, watched: bool) -> tuple[Any, ...]:
    """Run a program; return what it printed, what it left, and what it raised where."""
    text = START + program
    printed = io.StringIO()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    error: BaseException | None = None
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if watched:
            done = running.run(text, "<program>", namespace)
            error = done.error
            assert done.recording.faults == ()
        else:
            try:
                exec(compile(text, "<program>", "exec", dont_inherit=True), namespace)
            except Exception as raised:
                error = raised.with_traceback(raised.__traceback__.tb_next)
    left = {
        name: ADDRESS.sub("", repr(value))
        for name, value in namespace.items()
        if not name.startswith("__")
    }
    return ADDRESS.sub("", printed.getvalue()), left, ADDRESS.sub("", repr(error)), _where(error)


def _where(error: BaseException | None) -> list[Any]:
    entry, places = error.__traceback__ if error else None, []
    while entry is not None:
        code = entry.tb_frame.f_code
        places.append((code.co_name, entry.tb_lineno, [*code.co_positions()][entry.tb_lasti // 2]))
        entry = entry.tb_next
    if isinstance(error, RecursionError):
        # How often a frame comes again depends on who called, which differs between the two.
        places = [place for place, _ in itertools.groupby(places)]
    return places


@settings(max_examples=250, deadline=None)
@given(PROGRAMS)
def test_a_rewritten_program_does_the_same(program):
    """
    Prints, values, errors, lines and columns of any program are those of the program as written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(START + program, "<program>", "exec", dont_inherit=True)
        except SyntaxError:
            return

    assert outcome(program, watched=False) == outcome(program, watched=True)


# ------------------------------------------------------------------------- what is rewritten

PROBE = NumpyProbe()


def rewritten(text: str, namespace: dict[str, Any] | None = None) -> Rewritten:
    """Rewrite a text as NumPy's probe asks for it."""
    names = {"np": np} if namespace is None else namespace
    source = Source("text", text)
    return rewrite(ast.parse(text), source, PROBE.rewrites, PROBE.explicit, names)


def expressions(text: str) -> list[Expression]:
    """Return the expressions of a text that are rewritten, in the order of their numbers."""
    found = [one for one in rewritten(text).expressions.values() if isinstance(one, Expression)]
    return sorted(found, key=lambda one: one.number)


@pytest.mark.parametrize(
    "text",
    [
        "total = 0\nfor i in range(10):\n    total += i * i",
        "d['key'] = len(words)\nd['other'] = x\nd[b'k'] = [1]",
        "l[i] = 0\nl[i] = 'text'\nl[i] = len(x)\nl[i] = x is None\nl[i] = f'{x}'",
        "s = ' '.join(w.strip().lower() for w in text.split(',') if w)",
        "def f(n):\n    return 1 if n < 2 else n * f(n - 1)",
        "class A(B):\n    x: int = 0\n    def m(self): return super().m()",
        "with open(p) as file:\n    lines = [line.rstrip() for line in file]",
        "match x:\n    case [a, *b]: print(a)\n    case {'k': v}: print(v)",
        "a, b = b, a + b",
        "x = yes and no or not maybe",
        "import numpy as np\nnp.zeros(3)\nnp.random.default_rng(0).normal(size=3)",
        "np.seterr(all='ignore')\nx = np.pi",
        "del l[0], d['k']\nglobal q\nassert x, y",
        "x = lambda n: n + 1\ny = sorted(l, key=lambda q: q[0])",
        "async def f():\n    async for x in y:\n        await x",
        "x: 'np.asarray(y)' = 1",
        "def f(a: np.asarray(x)) -> np.array(y): pass",
    ],
)
def test_what_can_not_convert_is_not_rewritten(text):
    """
    Pure Python runs at its own speed: it holds no expression of ours, and its tree is unchanged.
    """
    found = rewritten(text)

    assert {} == found.expressions
    assert ast.dump(ast.parse(text)) == ast.dump(found.tree)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = a.astype('f4')", (1, 1, 4, 18, "a.astype('f4')")),
        ("ä = 'é🎉', größe.copy()", (1, 1, 10, 22, "größe.copy()")),
        ("'🎉' + f(np.asarray('日本'))", (1, 1, 8, 24, "np.asarray('日本')")),
        ("if 1:\n\tx = a.copy()", (2, 2, 5, 13, "a.copy()")),
        (
            "x = np.array(\n    rows,\n    'f4',\n)",
            (1, 4, 4, 1, "np.array(\n    rows,\n    'f4',\n)"),
        ),
        ("x = (\n    größe\n    .T\n    .copy()\n)", (4, 4, 4, 11, ".copy()")),
        ("x = (a.T.\n  copy())", (2, 2, 2, 8, "copy()")),
        ("print(f'{a.copy()} {b}')", (1, 1, 9, 17, "a.copy()")),
        ("lambda: (yield a.item())", (1, 1, 15, 23, "a.item()")),
    ],
)
def test_a_place_is_the_very_piece_of_source(text, place):
    """
    Lines count from 1 and columns from 0, in characters; a chain's method stands on its own line.
    """
    found = expressions(text)[0].located.place

    assert place == (found.line, found.end_line, found.column, found.end_column, found.expression)


def test_nested_calls_have_places_of_their_own():
    """
    Of `np.asarray(a.astype(t)).copy()` each of the three calls is an expression.
    """
    found = [one.located.place.expression for one in expressions("np.asarray(a.astype(t)).copy()")]

    assert {
        "a.astype(t)",
        "np.asarray(a.astype(t))",
        "np.asarray(a.astype(t)).copy()",
    } == set(found)


def test_the_way_in_names_the_operation():
    """
    An alias is shown as written, and known by the name that NumPy gives it.
    """
    found = expressions("from numpy import asarray as make\nmake(x)\nnp.array(y)\nz.astype(t)")

    assert [("asarray", "numpy.asarray"), ("array", "np.array"), ("astype", ".astype")] == [
        (one.located.name, one.located.operation) for one in found
    ]


def test_a_failure_to_rewrite_leaves_the_text_as_it_is():
    """
    An expression too long to be walked runs as written, and the recording says so.
    """
    text = "x = " + "+".join(["1"] * 700) + "\ny = np.arange(x).astype('f4').size"
    namespace: dict[str, Any] = {"np": np}
    done = running.run(text, "<long>", namespace)

    assert 700 == namespace["y"]
    assert done.error is None
    assert "rewriting the source" in done.recording.faults[0]


# ----------------------------------------------------------------------- functions' codes

DEFINES = """
import numpy as np
def f(a):
    def inner(): return a.astype('f4')
    return inner
fs = [lambda a: a.astype('f4'), lambda a: a.astype('i2'), lambda a: a.copy()]
class K:
    def m(self, a): return a.ravel().copy()
    @staticmethod
    def s(a): return np.asarray(a).tolist()
    @property
    def p(self): return np.arange(3).copy()
inner = f(np.ones(2))
"""


def ours(function: Any) -> list[Expression]:
    """Return the expressions that a function's code carries."""
    constants = list(function.__code__.co_consts)
    for constant in constants:
        constants += getattr(constant, "co_consts", ())
    return [one for one in constants if isinstance(one, Expression)]


def functions_of(names: dict[str, Any]) -> list[Any]:
    """Return the functions that `DEFINES` defines."""
    k = names["K"]
    return [names["f"], names["inner"], *names["fs"], k.m, k.s, k.p.fget]


def test_functions_have_their_own_code_back_after_the_watch():
    """
    After the watch every function, method and closure has the very code that was written.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    tensortoll.run_source(DEFINES, "<defines>", names, memory=False, time=False)
    plain: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(DEFINES, "<defines>", "exec", dont_inherit=True), plain)

    for function, written in zip(functions_of(names), functions_of(plain), strict=True):
        assert [] == ours(function)
        assert written.__code__.co_code == function.__code__.co_code
        assert written.__code__.co_names == function.__code__.co_names
        assert [*written.__code__.co_positions()] == [*function.__code__.co_positions()]
    assert ["float32", "int16", "float64"] == [f(np.ones(1)).dtype.name for f in names["fs"]]


def test_functions_carry_expressions_again_in_the_next_watch():
    """
    What an earlier watch has rewritten is seen into by the next one, and charged to its own text.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    tensortoll.run_source(DEFINES, "<defines>", names, memory=False, time=False)
    recording = tensortoll.run_source(
        "a = np.ones(5)\n[f(a) for f in fs]; inner(); K().m(a); carried = [f.__code__ for f in fs]",
        "<next>",
        names,
    )
    places = {(one.route.place.source.name, one.route.place.line) for one in recording.conversions}

    assert {("<defines>", 4), ("<defines>", 6), ("<defines>", 8)} == places
    assert all([] == ours(function) for function in functions_of(names))
    assert not any(
        code is f.__code__ for code, f in zip(names["carried"], names["fs"], strict=True)
    )


def test_a_function_given_new_code_keeps_it():
    """
    A function whose code the user has exchanged is let be.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    tensortoll.run_source(
        "def f(a): return a.copy()\ndef g(a): return 'g'\n",
        "<first>",
        names,
        memory=False,
        time=False,
    )
    names["f"].__code__ = names["g"].__code__
    tensortoll.run_source("x = f(1)", "<next>", names, memory=False, time=False)

    assert "g" == names["x"]
    assert names["f"].__code__ is names["g"].__code__


@pytest.mark.parametrize(
    "text",
    [
        "@jit\ndef f(a): return a.copy()",
        "@numba.njit(parallel=True)\ndef f(a): return a.copy()",
        "@torch.compile\ndef f(a): return a.copy()",
        "@torch.compile(backend='eager')\ndef f(a): return a.copy()",
        "@torch.jit.script\ndef f(a): return a.copy()",
        "@jax.jit\ndef f(a): return a.copy()",
        "def f(a): return a.copy()\ng = torch.compile(f)",
        "def f(a): return a.copy()\ng = numba.njit(f)",
        "def f(a): return a.copy()\ng = jax.vmap(jax.jit(f))",
        "g = torch.jit.trace(f, x)\ndef f(a): return a.copy()",
    ],
)
def test_what_a_compiler_reads_is_left_as_written(text):
    """
    A function whose bytecode a compiler will read carries no expression.
    """
    assert [] == expressions(text)


# --------------------------------------------------------------- views reckoned in numbers

AXES = st.lists(st.integers(0, 4), min_size=1, max_size=3)


@st.composite
def indexed(draw: Any) -> tuple[Any, Any]:
    """Draw an array, possibly strided or reversed, and a basic index into it."""
    shape = draw(AXES)
    array = np.zeros([n * 2 for n in shape])[
        tuple(slice(None, None, draw(st.sampled_from([1, 2, -1]))) for _ in shape)
    ]
    if draw(st.booleans()):
        array = array.T
    parts: list[Any] = []
    for n in array.shape[: draw(st.integers(0, array.ndim))]:
        ends = st.one_of(st.none(), st.integers(-5, 5))
        steps = st.sampled_from([None, 1, 2, -1, -3])
        choices: list[Any] = [st.builds(slice, ends, ends, steps)]
        if n:
            choices.append(st.one_of(st.integers(-n, n - 1), st.integers(-n, n - 1).map(np.int64)))
        parts.append(draw(st.one_of(*choices)))
    for extra in draw(st.lists(st.none(), max_size=2)):
        parts.insert(draw(st.integers(0, len(parts))), extra)
    if draw(st.booleans()):
        parts.append(Ellipsis)
    return array, parts[0] if len(parts) == 1 else tuple(parts)


@settings(max_examples=300, deadline=None)
@given(indexed())
def test_a_view_is_reckoned_without_indexing(case):
    """
    What a basic index selects is told from numbers alone, as NumPy itself would.
    """
    array, index = case
    expected = array[index]
    found = selected(describe_array(array), index)

    assert is_basic(index)
    if array.size == 0:
        assert found is None
    elif isinstance(expected, np.ndarray):
        assert isinstance(found, Seen)
        assert (expected.shape, expected.nbytes) == (found.shape, found.nbytes)
        if expected.size:
            assert describe_array(expected).span == found.span
            steps = [s for n, s in zip(found.shape, found.strides, strict=True) if n > 1]
            own = zip(expected.shape, expected.strides, strict=True)
            assert steps == [s // 8 for n, s in own if n > 1]
    else:
        assert () == found.shape  # type: ignore[union-attr]


@pytest.mark.parametrize("index", [[0, 1], True, "k", 1.0, np.array([1]), object(), (0, [1])])
def test_other_indices_are_not_basic(index):
    """
    An index that selects a copy, or that could run code of the user's, is not looked into.
    """
    assert not is_basic(index)


def test_a_handler_of_errors_is_the_only_other_thing_that_is_touched():
    """
    It holds one statement of ours, which runs when an error was caught, and at no other time.
    """
    found = rewritten("try:\n    x = int(y)\nexcept ValueError:\n    raise KeyError(y) from None")

    assert [Moment] == [type(one) for one in found.expressions.values()]
    assert "\n    x = int(y)\n" in ast.unparse(found.tree)


SHARED = """\
import numpy as np, torch
a = np.ones(5)
t = torch.from_numpy(a)
a += 1
"""
BODIES = """\
class K:
    def nothing(self): 1
    def first(self, x):
        if x: return 1
    def loop(self, xs):
        for x in xs: del x
    def held(self, x):
        assert x
        while x: break
    def told(self):
        '''Text.'''
"""


def test_functions_have_their_own_code_back_while_memory_is_shared():
    """
    Whatever their bodies begin with, and though each was given a look at what is shared.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    tensortoll.run_source(SHARED, "<shared>", names, memory=False, time=False)
    tensortoll.run_source(BODIES + "a += 1\n", "<bodies>", names, memory=False, time=False)
    plain: dict[str, Any] = {}
    exec(compile(BODIES, "<bodies>", "exec", dont_inherit=True), plain)

    for name in ("nothing", "first", "loop", "held", "told"):
        function, written = getattr(names["K"], name), getattr(plain["K"], name)
        assert [] == ours(function)
        assert [*written.__code__.co_positions()] == [*function.__code__.co_positions()]
