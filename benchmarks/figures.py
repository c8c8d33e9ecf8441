"""From times to figures, and from figures to tables."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

from watchers import WATCHERS


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def figures(raw: dict) -> dict:
    """Medians and spreads from the rounds of one watcher on one workload."""
    rounds = raw["rounds"]
    result = {"rounds": len(rounds)}
    for clock in ("cpu", "wall"):
        plain = [times["plain"][clock] for times in rounds]
        watched = [times["watched"][clock] for times in rounds]
        result[clock] = {
            "ratio": spread([w / p for w, p in zip(watched, plain, strict=True)]),
            "ratio_of_bests": min(watched) / min(plain),
            "plain_s": spread(plain),
            "watched_s": spread(watched),
        }
    result["first_watched_s"] = raw["first"] and raw["first"]["wall"]
    result["report_s"] = raw["report"] and raw["report"]["wall"]
    if whole := raw.get("whole_process"):
        result["whole_process_extra_s"] = statistics.median(
            lasted["watched"] - lasted["plain"] for lasted in whole
        )
    return result


def machine() -> dict:
    """What the figures depend on, without names of hosts or folders."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    packages = ("numpy", "torch", "tensorflow", "tensorflow-cpu", "keras", "pandas", "memray")
    packages += ("line_profiler", "pyinstrument", "scalene", "tensortoll")
    versions = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def median_and_spread(figure: dict) -> str:
    ratio = figure["ratio"]
    return f"{ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})"


def bests(figure: dict) -> str:
    return f"{figure['ratio_of_bests']:.2f}"


def table(results: list[dict], clock: str, show: Callable[[dict], str]) -> str:
    """Workloads down, watchers across, one figure a cell."""
    seen = {entry["watcher"] for entry in results}
    watchers = [name for name in WATCHERS if name in seen]
    workloads = list(dict.fromkeys(entry["workload"] for entry in results))
    cells = {(entry["workload"], entry["watcher"]): entry for entry in results}
    lines = ["| workload | plain s | " + " | ".join(watchers) + " |"]
    lines.append("|---|---|" + "---|" * len(watchers))
    for workload in workloads:
        plain = [
            entry[clock]["plain_s"]["median"]
            for entry in results
            if entry["workload"] == workload and clock in entry
        ]
        row = [workload, f"{statistics.median(plain):.2f}" if plain else "-"]
        for watcher in watchers:
            entry = cells.get((workload, watcher))
            if entry is None:
                row.append("")
            elif "failed" in entry:
                row.append("failed")
            else:
                row.append(show(entry[clock]))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def extras(results: list[dict]) -> str:
    """What the ratios leave out: the first use, the report, a whole process, what stays behind.

    `plain there` is the plain runs of the watcher's process (most came after a watched one)
    over those of `none`: well over 1 where a watcher leaves a cost behind it.
    """
    alone = {
        entry["workload"]: entry["cpu"]["plain_s"]["median"]
        for entry in results
        if entry["watcher"] == "none" and "cpu" in entry
    }
    heads = ("workload", "watcher", "first use s", "later use s", "report s")
    heads += ("whole process + s", "plain there")
    lines = ["| " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|---|---|---|---|")

    def show(value):
        return "" if value is None else f"{value:.2f}"

    for entry in results:
        if "failed" in entry or entry["watcher"] == "none":
            continue
        values = [entry["first_watched_s"], entry["wall"]["watched_s"]["median"]]
        values += [entry["report_s"], entry.get("whole_process_extra_s")]
        before = alone.get(entry["workload"])
        values.append(before and entry["cpu"]["plain_s"]["median"] / before)
        lines.append(
            f"| {entry['workload']} | {entry['watcher']} | " + " | ".join(map(show, values)) + " |"
        )
    return "\n".join(lines)


def failures(results: list[dict]) -> str:
    """Why a watcher has no figure on a workload, a line each."""
    return "".join(
        f"No figure for {entry['watcher']} on {entry['workload']}: {entry['failed']}.\n"
        for entry in results
        if "failed" in entry
    )


def page(results: list[dict], repeats: int) -> str:
    """The tables, with what they depend on, as Markdown."""
    here = machine()
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"""\
# What watching costs

Made by `make bench` on {today}: {here["cores"]} cores of {here["processor"]}, {here["system"]},
Python {here["python"]}, {versions}. One thread, {repeats} rounds of a plain and a watched run each,
in random order. The row `none` is plain against plain: what lies inside its spread is noise.

## Best watched run over best plain run, CPU time

{table(results, "cpu", bests)}

{failures(results)}
## Median of the rounds (smallest to largest), CPU time

{table(results, "cpu", median_and_spread)}

## Seconds that the ratios do not show

{extras(results)}
"""
