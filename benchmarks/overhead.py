"""What watching costs: each workload plain and under each watcher, as ratios.

    python overhead.py                                        # everything installed
    python overhead.py --watchers none,tensortoll --workloads torch-casts --repeats 9
    python overhead.py --json figures.json

How the figures are made. A watcher and a workload get a Python process of their own.
Its inputs are made and the workload is run once before any clock starts; then come
`repeats` rounds of one plain and one watched run in random order, and the figure is
the median of the rounds' ratios, with the smallest and the largest. A watcher that
needs the whole process (Scalene) gets pairs of processes instead, of three runs each.
The order of all processes is shuffled. Starting and stopping a watcher counts; making
its report is timed apart, once. Libraries are held to one thread.

The row `none` compares plain runs with plain runs: ratios inside its spread are noise.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import bests, extras, figures, machine, median_and_spread, page, table
from watchers import WATCHERS, AnyWatcher, ProcessWatcher, Watcher
from workloads import ONE_THREAD, WORKLOADS, Workload, seconds

HERE = Path(__file__).resolve().parent
RUNS_PER_PROCESS = 3

# ------------------------------------------------------- inside the measured process


def measure_inside(
    workload: Workload, watcher: Watcher, size: int, repeats: int, seed: int
) -> dict:
    """All rounds of one watcher on one workload, in this process."""
    order = random.Random(seed)
    inputs = workload.prepare(size)
    with tempfile.TemporaryDirectory() as folder:
        actions = {
            "plain": lambda: workload.function(*inputs),
            "watched": lambda: watcher.watch(workload, inputs, Path(folder)),
        }
        actions["plain"]()
        first, state = seconds(actions["watched"])
        rounds = []
        for _ in range(repeats):
            names = list(actions)
            order.shuffle(names)
            times = {}
            for name in names:
                state = None
                times[name], state = seconds(actions[name])
            rounds.append(times)
        state = actions["watched"]()
        report, _ = seconds(lambda: watcher.report(state))
    return {"first": first, "rounds": rounds, "report": report}


# ------------------------------------------------------------ starting the processes


class FailedError(Exception):
    """A measured process ended badly; the message is what is left of its output."""


def run(command: list[str], timeout: float) -> None:
    """Runs a measured process; `FailedError` with the end of its output if it ends badly."""
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=HERE,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"no end after {timeout:.0f} s") from None
    if done.returncode:
        raise FailedError(f"exit status {done.returncode}: {done.stdout[-400:].strip()}")


def inside_job(workload, watcher, size, options, seed) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        run(
            [
                *(sys.executable, __file__, "--child", workload.name, watcher.name, str(size)),
                *(str(options.repeats), str(seed), str(result)),
            ],
            options.timeout,
        )
        return json.loads(result.read_text())


def process_job(workload, watcher, size, options, seed) -> dict:
    """Rounds for a tool that wants a whole process, from pairs of processes."""
    order = random.Random(seed)
    rounds, whole = [], []
    with tempfile.TemporaryDirectory() as folder:
        scratch, result = Path(folder), Path(folder) / "result.json"
        program = [workload.name, "--size", str(size), "--runs", str(RUNS_PER_PROCESS)]
        program += ["--json", str(result)]
        script = str(HERE / "workloads.py")
        commands = {
            "plain": [sys.executable, script, *program],
            "watched": [
                *(sys.executable, "-m", *watcher.command(scratch), script),
                *(watcher.arguments_after, *program),
            ],
        }
        for _ in range(math.ceil(options.repeats / RUNS_PER_PROCESS)):
            names = list(commands)
            order.shuffle(names)
            runs, lasted = {}, {}
            for name in names:
                result.unlink(missing_ok=True)
                began = time.perf_counter()
                run(commands[name], options.timeout)
                lasted[name] = time.perf_counter() - began
                if not result.exists():
                    raise FailedError("the watched program wrote no times")
                runs[name] = json.loads(result.read_text())
            rounds += [
                {"plain": plain, "watched": watched}
                for plain, watched in zip(runs["plain"], runs["watched"], strict=True)
            ]
            whole.append(lasted)
    return {"first": None, "rounds": rounds, "report": None, "whole_process": whole}


# ----------------------------------------------------------------------------- main


def chosen(text: str | None, known: dict[str, Any], what: str) -> list[Any]:
    names = list(known) if text is None else text.split(",")
    for name in names:
        if name not in known:
            sys.exit(f"no {what} is called {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names]


def available(watchers: list[AnyWatcher]) -> list[AnyWatcher]:
    here = []
    for watcher in watchers:
        if watcher.package and importlib.util.find_spec(watcher.package) is None:
            print(f"left out: {watcher.name} ({watcher.package} is not installed)", file=sys.stderr)
        else:
            here.append(watcher)
    return here


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--watchers", help=f"some of {','.join(WATCHERS)}")
    parser.add_argument("--workloads", help=f"some of {','.join(WORKLOADS)}")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of each pair (7)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every workload's size")
    parser.add_argument("--seed", type=int, default=1, help="for the order of the runs")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one process")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--page", type=Path, help="write the tables there, as a page of the docs")
    return parser.parse_args()


def measure(workload: Workload, watcher: AnyWatcher, options, seed: int) -> dict:
    """The figures of one watcher on one workload, or under `failed` why there are none."""
    job = process_job if isinstance(watcher, ProcessWatcher) else inside_job
    size = max(1, int(workload.size * options.scale))
    entry = {"workload": workload.name, "watcher": watcher.name, "size": size}
    try:
        raw = job(workload, watcher, size, options, seed)
    except FailedError as failure:
        return entry | {"failed": str(failure)}
    return entry | figures(raw) | {"raw": raw}


def main() -> None:
    options = parse()
    watchers = available(chosen(options.watchers, WATCHERS, "watcher"))
    jobs = []
    for workload in chosen(options.workloads, WORKLOADS, "workload"):
        if missing := workload.missing():
            print(f"left out: {workload.name} ({', '.join(missing)} missing)", file=sys.stderr)
            continue
        jobs += [(workload, watcher) for watcher in watchers if watcher.fits(workload)]

    order = list(range(len(jobs)))
    random.Random(options.seed).shuffle(order)
    results: dict[int, dict] = {}
    try:
        for done, index in enumerate(order, 1):
            entry = results[index] = measure(*jobs[index], options, seed=options.seed + index)
            note = entry.get("failed") or f"{entry['cpu']['ratio']['median']:.2f}"
            name = f"{entry['workload']} under {entry['watcher']}"
            print(f"[{done}/{len(jobs)}] {name}: {note}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped: the tables hold what was measured until then", file=sys.stderr)

    ordered = [results[index] for index in sorted(results)]
    print("CPU time, watched / plain: median (smallest..largest) of the rounds\n")
    print(table(ordered, "cpu", median_and_spread))
    print("\nCPU time, best watched / best plain: least disturbed by a busy machine\n")
    print(table(ordered, "cpu", bests))
    print("\nWall time, watched / plain: median (smallest..largest) of the rounds\n")
    print(table(ordered, "wall", median_and_spread))
    print("\nSeconds that the ratios do not show\n")
    print(extras(ordered))
    if options.page:
        options.page.write_text(page(ordered, options.repeats))
    if options.json:
        document = {"machine": machine(), "repeats": options.repeats, "results": ordered}
        options.json.write_text(json.dumps(document, indent=1))


def child(arguments: list[str]) -> None:
    """`--child WORKLOAD WATCHER SIZE REPEATS SEED RESULT`: one measured process."""
    workload, watcher, size, repeats, seed, result = arguments
    raw = measure_inside(WORKLOADS[workload], WATCHERS[watcher], int(size), int(repeats), int(seed))
    Path(result).write_text(json.dumps(raw))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
