"""Guards: the line that breaks a limit hears of it, once what it called has ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

import tensortoll
from tensortoll.capture import watch
from tensortoll.capture.counting.recorder import Table

ARRAY = np.arange(100_000, dtype=np.float64)


def line_of(error: BaseException) -> str:
    """Return the source line that a traceback ends at."""
    return traceback.extract_tb(error.__traceback__)[-1].line or ""


def of_a_library(text: str) -> dict[str, Any]:
    """Return what a text defines that seems to be a library's."""
    library: dict[str, Any] = {"torch": torch}
    exec(compile(text, str(Path(np.__file__).with_name("some_library.py")), "exec"), library)
    return library


def test_the_line_that_goes_beyond_a_limit_gets_an_error_that_names_the_conversion():
    """
    What is within the limit passes; the traceback ends at the line that is not, with no frame of
    ours, and the error holds the conversion as a row of a recording.
    """
    with pytest.raises(tensortoll.LimitError) as caught, tensortoll.guard(copies="1 MB"):
        torch.tensor(ARRAY)
        torch.tensor(ARRAY, dtype=torch.float32)  # beyond
        pytest.fail("the line after it ran")

    assert line_of(caught.value) == "torch.tensor(ARRAY, dtype=torch.float32)  # beyond"
    assert "copies: 1.20 MB, and the limit is 1.00 MB" in str(caught.value)
    assert "numpy:float64 → torch:float32, 800 kB read, 400 kB written" in str(caught.value)
    assert ("cast",) == caught.value.conversion.route.effects
    files = [one.filename for one in traceback.extract_tb(caught.tb)]
    assert [__file__] == list(set(files))


def test_the_operation_has_ended_before_the_error_comes():
    """
    A model is converted whole, and what is written in place is written to the end.
    """
    model = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(3)))
    target = torch.zeros(len(ARRAY), dtype=torch.float32)

    with (
        pytest.raises(tensortoll.LimitError, match="casts: 6, and the limit is 1"),
        tensortoll.guard(casts=1),
    ):
        model.half()
    with pytest.raises(tensortoll.LimitError), tensortoll.guard(casts=0):
        target.copy_(torch.from_numpy(ARRAY))

    assert {torch.float16} == {one.dtype for one in model.parameters()}
    assert target[-1] == len(ARRAY) - 1


def test_no_library_on_the_way_can_catch_the_error():
    """
    Whatever code of a library stands between the conversion and the user's line sees no error.
    """
    library = of_a_library(
        "def swallow(a):\n try: return torch.tensor(a)\n except BaseException: return None\n"
    )

    with pytest.raises(tensortoll.LimitError) as caught, tensortoll.guard(copies=0):
        library["swallow"](ARRAY)

    assert line_of(caught.value) == 'library["swallow"](ARRAY)'


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # torch's own
@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"copies": 0}, "torch.tensor(a)"),
        ({"copies": 0}, "a.copy()"),
        ({"copies": "799 kB"}, "a[::1].copy()"),
        ({"casts": 0}, "a.astype(np.float32)"),
        ({"casts": "100 kB"}, "a.astype(np.float32)"),
        ({"copies": 0}, "b[:] = a"),
        ({"copies": 0}, "np.array(torch.ones(500))"),
        ({"casts": 0}, "torch.from_numpy(a).float()"),
        ({"copies": 0}, "tf.constant(a)"),
        ({"casts": 0}, "tf.cast(tf.zeros(10), tf.float64)"),
    ],
)
def test_all_libraries_are_held(limits, text):
    """
    In a watched text NumPy's own methods count as well; the line after is not reached.
    """
    names: dict[str, Any] = {"a": ARRAY, "b": np.ones_like(ARRAY), "limits": limits, "reached": []}
    names |= {"np": np, "torch": torch, "tf": tf, "tensortoll": tensortoll}
    cell = f"with tensortoll.guard(**limits):\n    {text}\n    reached.append(1)\n"

    with pytest.raises(tensortoll.LimitError) as caught:
        tensortoll.run_source(cell, namespace=names)

    assert [] == names["reached"]
    assert caught.value.conversion.route.place.line == 2
    assert line_of(caught.value) == text


def test_exactly_the_limit_is_no_error_and_a_view_is_nothing():
    """
    A limit is the most that may be.
    """
    with tensortoll.guard(copies=ARRAY.nbytes + 2, casts=1, transfers=0):
        torch.from_numpy(ARRAY).numpy()
        torch.tensor(ARRAY)
        torch.zeros(1).half()


def test_guards_are_nested_and_an_allowance_inside_is_counted_by_none_around_it():
    """
    Each guard adds up what happens inside; what is allowed still counts towards guards within.
    """
    with tensortoll.guard(copies=0, casts=0):
        with tensortoll.allow():
            torch.tensor(ARRAY)
            with pytest.raises(tensortoll.LimitError), tensortoll.guard(copies="100 kB"):
                torch.tensor(ARRAY)
        with pytest.raises(tensortoll.LimitError, match="copies"), tensortoll.allow("casts"):
            torch.zeros(8).half()
        with pytest.raises(tensortoll.LimitError), tensortoll.guard(copies="1 GB"):
            torch.tensor(ARRAY)
    with tensortoll.guard(casts=0), tensortoll.allow("casts"):
        torch.zeros(8).half()


def test_a_guard_can_be_entered_again_and_counts_anew():
    """
    A limit holds for each time that its block is run.
    """
    held = tensortoll.guard(copies="1 MB")
    for _ in range(3):
        with held:
            torch.tensor(ARRAY)


def test_other_threads_and_other_tasks_are_left_alone():
    """
    A guard holds for the thread and the task that entered it, and for tasks started inside.
    """

    async def copies() -> int:
        await asyncio.sleep(0.01)
        return torch.tensor(ARRAY).dim()

    def guarded_generously() -> int:
        with tensortoll.guard(copies="1 GB"):  # and not by the outer guard, which came with it
            return torch.tensor(ARRAY).dim()

    async def guarded() -> str:
        with tensortoll.guard(copies=0):
            await asyncio.sleep(0.05)
            thread = threading.Thread(target=torch.tensor, args=(ARRAY,))
            thread.start()
            thread.join()
            assert await asyncio.to_thread(lambda: torch.tensor(ARRAY).dim()) == 1
            assert await asyncio.to_thread(guarded_generously) == 1
            inner = asyncio.create_task(copies())
            with pytest.raises(tensortoll.LimitError):
                await inner
            late = asyncio.create_task(copies())
        assert await late == 1
        return "held"

    async def both() -> list[object]:
        return await asyncio.gather(copies(), guarded(), copies())

    assert [1, "held", 1] == asyncio.run(both())


def test_two_threads_have_guards_of_their_own():
    """
    Each counts what it does itself, also while the other one ends.
    """
    amounts: dict[str, str] = {}
    begun = threading.Barrier(2)

    def work(name: str, times: int) -> None:
        with tensortoll.guard(copies="2 MB"):
            begun.wait()
            try:
                for _ in range(times):
                    torch.tensor(ARRAY)
            except tensortoll.LimitError as error:
                amounts[name] = str(error).partition(",")[0]

    threads = [threading.Thread(target=work, args=one) for one in (("few", 2), ("many", 3))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert {"many": "copies: 2.40 MB"} == amounts


def test_a_warning_is_given_once_for_each_line():
    """
    With `failures="warn"` the code goes on; where warnings are errors, it is one at the line.
    """
    with (
        pytest.warns(tensortoll.LimitWarning) as given,
        tensortoll.guard(copies=0, failures="warn"),
    ):
        for _ in range(3):
            torch.tensor(ARRAY)
        torch.tensor(ARRAY)
        done = True
    first, second = (one.lineno for one in given)

    assert done
    assert [__file__] * 2 == [one.filename for one in given]
    assert second == first + 1
    with (
        warnings.catch_warnings(),
        pytest.raises(tensortoll.LimitWarning) as caught,
        tensortoll.guard(copies=0, failures="warn"),
    ):
        warnings.simplefilter("error")
        torch.tensor(ARRAY)
        pytest.fail("the line after it ran")
    assert line_of(caught.value) == "torch.tensor(ARRAY)"


def test_a_line_that_fails_by_itself_gives_its_own_error():
    """
    The limit is broken all the same: the next conversion says so.
    """
    library = of_a_library("def fail(a):\n torch.tensor(a)\n raise KeyError\n")

    with tensortoll.guard(copies=0):
        with pytest.raises(KeyError):
            library["fail"](ARRAY)
        with pytest.raises(tensortoll.LimitError, match=r"copies: 1\.60 MB"):
            torch.tensor(ARRAY)


def test_the_error_can_be_caught_inside_of_the_guard_and_comes_again():
    """
    A broken limit stays broken.
    """
    with tensortoll.guard(copies=0):
        for _ in range(2):
            with pytest.raises(tensortoll.LimitError):
                torch.tensor(ARRAY)


def test_a_guard_leaves_nothing_behind():
    """
    No trace function, no watch, no table of another kind: neither after an error nor without one.
    """
    for size in (0, "1 GB"):
        try:
            with tensortoll.guard(copies=size):
                torch.tensor(ARRAY)
        except tensortoll.LimitError:
            pass

        assert sys.gettrace() is None
        assert sys._getframe().f_trace is None
        assert not sys._getframe().f_trace_opcodes
        assert watch.current() is None
    with tensortoll.record() as recorder:
        with tensortoll.guard(copies="1 GB"):
            torch.tensor(ARRAY)
        torch.tensor(ARRAY)
        assert type(watch.current().recorder.local.table) is Table
    assert recorder.recording.copies == 2


def test_the_trace_function_of_a_debugger_is_put_back_and_hears_of_every_line():
    """
    Also after the error: its frames are those that really run.
    """
    told: list[tuple[str, str]] = []

    def trace(frame: Any, event: str, arg: object) -> Any:
        if frame.f_code.co_filename == __file__:
            told.append((event, frame.f_code.co_name))
        return trace

    def broken() -> None:
        with tensortoll.guard(copies=0):
            inner()

    def inner() -> None:
        torch.tensor(ARRAY)

    def after() -> int:
        return 1

    sys.settrace(trace)
    try:
        with pytest.raises(tensortoll.LimitError):
            broken()
        after()
        kept = sys.gettrace()
    finally:
        sys.settrace(None)

    assert kept is trace
    depth = [(event, name) for event, name in told if event in {"call", "return"}]
    assert [
        ("call", "broken"),
        ("call", "inner"),
        ("return", "inner"),
        ("return", "broken"),
        ("call", "after"),
        ("return", "after"),
    ] == depth


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"copies": "many"}, "no size"),
        ({"casts": -1}, "no size"),
        ({"transfers": 1.5e6}, "no size"),
        ({"failures": "ignore"}, "'raise' or 'warn'"),
    ],
)
def test_what_is_no_limit_is_refused_with_an_example(wrong, told):
    """
    Nothing is installed for it.
    """
    with pytest.raises(ValueError, match=told):
        tensortoll.guard(**wrong)
    with pytest.raises(ValueError, match="copies, casts, transfers"):
        tensortoll.allow("views")


def test_transfers_are_held_too():
    """
    From one device to another: here a second one that TensorFlow makes of the processor.
    """
    text = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np, tensortoll
for limit in 0, "1 kB":
    try:
        with tensortoll.guard(transfers=limit), tf.device("cpu:1"):
            tf.constant(np.ones(1000))
            print("not stopped")
    except tensortoll.LimitError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)

    assert "transfers: 1, and the limit is 0" in done.stdout
    assert "kB, and the limit is 1.00 kB" in done.stdout
    assert "not stopped" not in done.stdout


def test_a_cell_without_transfers_passes_where_none_are_allowed(shell):
    """
    `--no-transfers` stands for `guard(transfers=0)`.
    """
    assert run(shell, "--no-transfers", "torch.zeros(2).to('meta')").success
    assert [1] == shell.user_ns["done"]


# ---------------------------------------------------------------------------- in a notebook


def run(shell: Any, line: str, *body: str) -> Any:
    """Run a watched cell."""
    shell.user_ns.update(np=np, torch=torch, x=ARRAY, done=[])
    return shell.run_cell("\n".join((f"%%tensorcost -q {line}", *body, "done.append(1)")))


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("--max-copies 1", ("x.copy()", "y = torch.tensor(x)")),
        ("--max-bytes '1 MB'", ("x.copy()", "y = torch.tensor(x)")),
        ("--no-casts", ("x.copy()", "y = x.astype('f4')")),
    ],
)
def test_a_cell_ends_at_the_line_that_breaks_its_limit(shell, capsys, line, body):
    """
    IPython shows the user's line and the conversion, and no frame of ours.
    """
    ran = run(shell, line, *body)

    shown = capsys.readouterr()
    assert isinstance(ran.error_in_exec, tensortoll.LimitError)
    assert [] == shell.user_ns["done"]
    assert "----> 3" in shown.out + shown.err
    assert "verge" not in shown.out + shown.err


def test_time_by_line_goes_on_after_an_error_and_ends_with_the_cell(shell):
    """
    line_profiler's trace function is put back where the guard ends, and not after the cell.
    """
    body = (
        "with tensortoll.guard(copies=0, failures='warn'):",
        "    torch.tensor(x)",
        "try:",
        "    with tensortoll.guard(copies=0):",
        "        torch.tensor(x)",
        "except tensortoll.LimitError:",
        "    for n in range(3):",
        "        n",
    )
    shell.user_ns["tensortoll"] = tensortoll

    with pytest.warns(tensortoll.LimitWarning):
        assert run(shell, "--no-memory -o kept", *body).success
    hits = {one.line: one.hits for one in shell.user_ns["kept"].lines}

    assert sys.gettrace() is None
    assert {3: 1, 6: 1, 8: 4, 9: 3} == {line: hits[line] for line in (3, 6, 8, 9)}
    run(shell, "--no-memory --max-copies 0", "torch.tensor(x)")
    assert sys.gettrace() is None


def test_a_cell_can_be_warned(shell, capsys):
    """
    With `--guard warn` it runs to its end.
    """
    with pytest.warns(tensortoll.LimitWarning, match="copies: 2, and the limit is 1"):
        ran = run(shell, "--max-copies 1 --guard warn", "x.copy()", "torch.tensor(x)")

    assert ran.success
    assert [1] == shell.user_ns["done"]


def test_a_limit_that_is_none_keeps_the_cell_from_running(shell, capsys):
    """
    As every wrong option does.
    """
    run(shell, "--max-bytes 3XB", "x.copy()")

    shown = capsys.readouterr()
    assert "'3XB' is no size" in shown.out + shown.err
    assert [] == shell.user_ns["done"]
