"""The magic in a real shell: its options, its place in IPython, and what it leaves behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from IPython.utils.capture import capture_output

from tensortoll.capture import watch
from tensortoll.capture.runtime import expressions
from tensortoll.recording import Recording

CONVERTS = "import numpy as np\na = np.ones(1000)\nb = a.astype('f4')\n"


def run(shell: Any, cell: str) -> tuple[Any, str, list[Any]]:
    """Run a cell; return its result, what it printed, and what it displayed."""
    with capture_output() as caught:
        result = shell.run_cell(cell, store_history=True)
    return result, caught.stdout + caught.stderr, caught.outputs


def last(shell: Any) -> Recording:
    """Return the recording of the last watched cell."""
    recording = shell._tensortoll_session.recordings[-1]
    assert isinstance(recording, Recording)
    return recording


def assert_clean(shell: Any) -> None:
    """Nothing of ours but the extension itself is in the shell."""
    assert "run_code" not in vars(shell)
    assert "showtraceback" not in vars(shell)
    assert [] == shell.ast_transformers
    assert [] == shell._tensortoll_session._cells
    assert watch.current() is None


def test_help_shows_the_usage_and_runs_nothing(shell):
    """
    `--help` tells of the options; the cell below it is not run.
    """
    result, printed, _ = run(shell, "%%tensorcost --help\nran = True")

    assert result.success
    assert "usage: %%tensorcost" in printed
    assert "--no-memory" in printed
    assert "ran" not in shell.user_ns


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--nonsense", "--nonsense"),
        ("extra", "extra"),
        ("-o", "-o"),
        ("-o 'two words'", "two words"),
        ("-o 1x", "1x"),
        ("'", "No closing quotation"),
        ("--json", "--json"),
    ],
)
def test_a_mistake_in_the_magic_is_told_and_nothing_is_run(shell, line, told):
    """
    An unknown option or a bad value is a UsageError that says what is wrong and that nothing ran.
    """
    result, printed, _ = run(shell, f"%%tensorcost {line}\nran = True")

    assert not result.success
    assert told in printed
    assert "was not run" in printed
    assert "ran" not in shell.user_ns
    assert_clean(shell)


def test_the_recording_is_kept_under_a_name(shell):
    """
    `-o NAME` puts the recording into the namespace.
    """
    run(shell, f"%%tensorcost -q -o kept\n{CONVERTS}")

    assert [4_000] == [one.totals.bytes_written for one in shell.user_ns["kept"].conversions]


def test_files_are_written(shell, tmp_path):
    """
    `--json` and `--html` write the recording and the page, also where the path has a space.
    """
    json_file, page = tmp_path / "a cell.json", tmp_path / "cell.html"
    run(shell, f"%%tensorcost -q --json '{json_file}' --html {page}\n{CONVERTS}")

    assert "tensortoll-recording" == json.loads(json_file.read_text())["format"]
    assert "1 conversion, 4.00 kB copied" in page.read_text()


def test_quiet_shows_nothing(shell):
    """
    With `-q` the cell's output is the cell's own.
    """
    _, printed, shown = run(shell, f"%%tensorcost -q\n{CONVERTS}")

    assert ("", []) == (printed, shown)


def test_the_report_is_shown_in_three_formats_and_never_as_json(shell):
    """
    A notebook picks text, HTML or Markdown; `application/json` would hide them in JupyterLab.
    """
    _, _, shown = run(shell, f"%%tensorcost\n{CONVERTS}")

    assert 1 == len(shown)
    assert {"text/plain", "text/html", "text/markdown"} <= set(shown[0].data)
    assert "application/json" not in shown[0].data


def test_the_last_report_is_shown_again(shell):
    """
    `%tensorcost last` shows the report of the last watched cell.
    """
    _, _, first = run(shell, f"%%tensorcost\n{CONVERTS}")
    run(shell, "1 + 1")
    _, _, again = run(shell, "%tensorcost last")

    assert first[0].data["text/plain"] == again[0].data["text/plain"]


def test_there_is_no_last_report_before_the_first(shell):
    """
    `%tensorcost last` says so where no cell was watched yet.
    """
    _, printed, shown = run(shell, "%tensorcost last")

    assert "No cell was watched yet" in printed
    assert [] == shown


def test_cells_are_numbered_as_in_the_notebook(shell):
    """
    A source is called after the number that the notebook shows beside the cell.
    """
    run(shell, "1")
    run(shell, f"%%tensorcost -q\n{CONVERTS}")

    assert ["cell [2]"] == [one.route.place.source.name for one in last(shell).conversions]


@pytest.mark.parametrize(
    ("cell", "line", "column"),
    [
        ("%%tensorcost -q\nb = a.astype('f4')", 2, 4),
        ("%%tensorcost -q\n\n\nb = a.astype('f4')", 4, 4),
        ("\n\n%%tensorcost -q\nb = a.astype('f4')", 2, 4),
        ("%%tensorcost -q\n    b = a.astype('f4')", 2, 4),
        ("%%tensorcost -q\n%pwd -q\nif True:\n    b = a.astype('f4')", 4, 8),
    ],
)
def test_lines_are_those_of_the_gutter(shell, cell, line, column):
    """
    Line 1 is the magic's, and empty lines below it count.
    """
    run(shell, CONVERTS)
    run(shell, cell)
    place = last(shell).conversions[0].route.place

    assert ("a.astype('f4')", line, column) == (place.expression, place.line, place.column)


def test_a_function_of_an_earlier_cell_is_charged_to_that_cell(shell):
    """
    Work in a function is charged to the line of the cell that defined it, watched or not.
    """
    run(shell, f"{CONVERTS}def f():\n    return a.astype('f4')")
    run(shell, "%%tensorcost -q\nx = f()")
    (conversion,) = last(shell).conversions

    assert ("cell [1]", 5) == (conversion.route.place.source.name, conversion.route.place.line)


def test_record_inside_of_a_watched_cell_is_refused_in_words(shell):
    """
    A second watch raises an error that says what to do, and the first one goes on.
    """
    result, printed, _ = run(
        shell, f"%%tensorcost -q\nimport tensortoll\n{CONVERTS}with tensortoll.record(): pass"
    )

    assert "AlreadyWatchingError" == type(result.error_in_exec).__name__
    assert "one watch at a time" in printed
    assert 1 == len(last(shell).conversions)
    assert_clean(shell)


def test_a_watched_cell_inside_of_a_watched_cell_is_part_of_it(shell):
    """
    The inner magic says so; both cells run to their ends, and both are counted.
    """
    result, printed, _ = run(
        shell,
        f"%%tensorcost -q\n{CONVERTS}"
        "inner = get_ipython().run_cell('%%tensorcost\\nc = a.astype(int)\\n7')\n8",
    )

    assert result.success
    assert 8 == shell.user_ns["_"]
    assert 7 == shell.user_ns["inner"].result
    assert "part of it" in printed
    assert {"float32", "int64"} == {one.route.target.dtype for one in last(shell).conversions}
    assert_clean(shell)


def test_a_watched_cell_inside_of_record_runs_without_a_report(shell):
    """
    Where a watch is on already the cell runs all the same, and says why there is no report.
    """
    run(shell, "import tensortoll\nr = tensortoll.record()\nr.__enter__()")
    result, printed, shown = run(shell, "%%tensorcost\n7")
    run(shell, "r.__exit__(None, None, None)")

    assert 7 == result.result
    assert "runs without a report" in printed
    assert [] == shown
    assert_clean(shell)


def test_a_syntax_error_is_shown_and_nothing_recorded(shell):
    """
    A cell that is no Python shows IPython's own error and no report.
    """
    result, printed, shown = run(shell, "%%tensorcost\nx = 1 +* 2")

    assert isinstance(result.error_before_exec, SyntaxError)
    assert "SyntaxError" in printed
    assert [] == shown
    assert_clean(shell)


@pytest.mark.parametrize("error", ["ValueError('x')", "KeyboardInterrupt", "SystemExit(2)"])
@pytest.mark.filterwarnings("ignore:To exit")
def test_a_cell_that_fails_is_reported_up_to_there(shell, error):
    """
    After an error, an interrupt or an exit the report holds what was done before it.
    """
    result, _, shown = run(shell, f"%%tensorcost\n{CONVERTS}raise {error}\nnever = 1")

    assert error.partition("(")[0] == type(result.error_in_exec).__name__
    assert 1 == len(shown)
    assert 1 == len(last(shell).conversions)
    assert_clean(shell)


def test_a_fault_of_ours_is_named_and_does_not_reach_the_cell(shell, monkeypatch):
    """
    Where a hook fails the cell goes on as if it was not watched, and the report says what failed.
    """

    def broken(*_: object) -> None:
        raise ZeroDivisionError("our own")

    monkeypatch.setattr(expressions, "judge", broken)
    result, _, shown = run(shell, f"%%tensorcost\n{CONVERTS}b.dtype.name")

    assert "float32" == result.result
    assert any("our own" in fault for fault in last(shell).faults)
    assert "our own" in shown[0].data["text/plain"]
    assert_clean(shell)


def test_a_probe_that_can_not_be_installed_is_named(shell, monkeypatch):
    """
    Without its probe a library is not watched, the cell runs, and the report says so.
    """
    from tensortoll.capture.probes.numpy import NumpyProbe

    def broken(*_: object) -> None:
        raise RuntimeError("too new")

    monkeypatch.setattr(NumpyProbe, "install", broken)
    result, _, _ = run(shell, f"import numpy\n%%tensorcost -q\n{CONVERTS}")
    result, _, _ = run(shell, f"%%tensorcost -q\n{CONVERTS}3")

    assert 3 == result.result
    assert any("could not watch numpy: RuntimeError: too new" in one for one in last(shell).faults)
    assert_clean(shell)


def test_an_error_through_a_hook_shows_no_frame_of_ours(shell):
    """
    A traceback goes from the cell's line to the library, past the method that we replaced.
    """
    result, printed, _ = run(
        shell, "%%tensorcost -q\nimport torch\ntorch.ones(1, requires_grad=True).numpy()"
    )

    assert "requires grad" in str(result.error_in_exec)
    assert "arrays.py" not in printed


def test_a_cell_torn_away_is_ended_by_the_next(shell):
    """
    Where IPython never says that a cell has ended, the next cell ends its watch.
    """
    session = shell._tensortoll_session
    shell.events.unregister("post_run_cell", session._after)
    run(shell, f"%%tensorcost -q\n{CONVERTS}")
    assert watch.current() is not None
    shell.events.register("post_run_cell", session._after)
    result, _, _ = run(shell, f"%%tensorcost -q\n{CONVERTS}1")

    assert 1 == result.result
    assert 1 == len(last(shell).conversions)
    assert_clean(shell)


def test_unloading_leaves_the_shell_as_found(shell):
    """
    After `%unload_ext` there is no magic, no event and no transformer of ours.
    """
    loaded = _everything(shell)
    shell.run_line_magic("unload_ext", "tensortoll")
    before = _everything(shell)
    shell.run_line_magic("load_ext", "tensortoll")
    assert loaded == _everything(shell)
    shell.run_line_magic("reload_ext", "tensortoll")
    assert loaded == _everything(shell)
    shell.run_line_magic("unload_ext", "tensortoll")

    assert before == _everything(shell)
    assert not any("tensor" in line for line in before)
    result, _, _ = run(shell, "%%tensorcost\n1")
    assert not result.success


def _everything(shell: Any) -> list[str]:
    hooks = [*shell.input_transformers_cleanup, *shell.ast_transformers]
    hooks += [hook for event in shell.events.callbacks.values() for hook in event]
    magics = [name for kind in shell.magics_manager.magics.values() for name in kind]
    names = [getattr(hook, "__qualname__", type(hook).__name__) for hook in hooks]
    modules = [getattr(hook, "__module__", "") for hook in hooks]
    return [*sorted(map(" of ".join, zip(names, modules, strict=True))), *sorted(magics)]


def test_timing_above_the_magic_runs_the_cell_once(shell):
    """
    Below another cell magic the cell is still watched, and run once.
    """
    result, _, _ = run(
        shell, f"%%time\n%%tensorcost -q -o kept\n{CONVERTS}n = globals().get('n', 0) + 1\nn"
    )

    assert 1 == result.result
    assert 1 == len(shell.user_ns["kept"].conversions)
    assert_clean(shell)


NOTEBOOK_START = "%load_ext tensortoll\nimport numpy as np, time, asyncio\na = np.ones(1000)"


@pytest.fixture(scope="module")
def kernel() -> Any:
    """Return a running kernel, as nbclient starts it."""
    from nbclient import NotebookClient
    from nbformat import v4

    notebook = v4.new_notebook()
    client = NotebookClient(notebook, timeout=60, kernel_name="python3")
    with client.setup_kernel():
        execute(client, NOTEBOOK_START)
        yield client


def execute(client: Any, cell: str) -> Any:
    """Run one more cell in the kernel, and return it with its outputs."""
    from nbformat import v4

    made = v4.new_code_cell(cell)
    client.nb.cells.append(made)
    return client.execute_cell(made, len(client.nb.cells) - 1)


def values(cell: Any) -> list[str]:
    """Return what stands behind `Out[n]`."""
    return [one.data["text/plain"] for one in cell.outputs if one.output_type == "execute_result"]


def test_a_kernel_shows_value_and_report(kernel):
    """
    In a notebook a watched cell has its `Out[n]`, and its report in the formats that are shown.
    """
    cell = execute(kernel, "%%tensorcost\nb = a.astype('f4')\nb.sum()")
    (report,) = [one.data for one in cell.outputs if one.output_type == "display_data"]

    assert ["np.float32(1000.0)"] == values(cell)
    assert {"text/plain", "text/html", "text/markdown"} <= set(report)
    assert not any("json" in name for name in report if not name.startswith("application/vnd."))


def test_a_kernel_awaits_at_the_top_level(kernel):
    """
    Top-level `await` works in a watched cell of a running event loop.
    """
    cell = execute(
        kernel,
        "%%tensorcost -q -o kept\n"
        "async def f():\n    await asyncio.sleep(0.01)\n    return a.astype('f4')\n"
        "(await f()).dtype.name, len((await asyncio.gather(f(), f())))",
    )

    assert ["('float32', 2)"] == values(cell)
    assert ["[3]"] == values(execute(kernel, "[one.totals.count for one in kept.conversions]"))


def test_a_failing_cell_fails_the_notebook(kernel):
    """
    Whoever runs the notebook is told that a watched cell has failed, and the report is there.
    """
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="cannot reshape"):
        execute(kernel, "%%tensorcost\nb = a.astype('f4')\nb.reshape(7)")
    outputs = [one.output_type for one in kernel.nb.cells[-1].outputs]

    assert {"error", "display_data"} == set(outputs)


LEFT = (
    "from tensortoll.capture import watch\n"
    "ip = get_ipython()\n"
    "watch.current(), 'run_code' in vars(ip), len(ip.ast_transformers), a.sum()"
)


@pytest.mark.parametrize(
    "body",
    [
        "for _ in range(600):\n    b = a.astype('f4')\n    time.sleep(0.05)",
        "await asyncio.sleep(4)",
    ],
)
def test_an_interrupted_cell_leaves_the_kernel_usable(kernel, body):
    """
    After an interrupt the next cell runs, nothing of ours is installed, and a cell can be watched.
    """
    from threading import Timer

    from nbclient.exceptions import CellExecutionError
    from nbclient.util import run_sync

    timer = Timer(1.5, run_sync(kernel.km.interrupt_kernel))
    timer.start()
    with pytest.raises(CellExecutionError, match=r"KeyboardInterrupt|CancelledError"):
        execute(kernel, f"%%tensorcost -q\n{body}")
    timer.join()

    assert ["(None, False, 0, np.float64(1000.0))"] == values(execute(kernel, LEFT))
    cell = execute(kernel, "%%tensorcost -q -o kept\nb = a.astype('f4')")
    assert [] == cell.outputs
    assert ["1"] == values(execute(kernel, "len(kept.conversions)"))
