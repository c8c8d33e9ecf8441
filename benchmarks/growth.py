"""Ten million conversions at one place: how time and the recorder's memory grow.

    python benchmarks/growth.py [--page docs/growth.svg] [--events 10_000_000]

The loop runs in ten equal parts under one watch. After each part, the time so far and the growth
of the process's own memory are noted; a line is flat, and a line is straight, or it is not.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

PARTS = 10
WIDTH, HEIGHT, MARGIN = 640, 260, 48
FONT = 'font-family="sans-serif" font-size="13"'
AXES = 'fill="none" stroke="#888"'


def resident_bytes() -> int:
    """Return the memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measured(events: int) -> list[tuple[int, float, int]]:
    """Return events, seconds and bytes above the start, after each part."""
    import numpy as np
    import torch

    import tensortoll

    array = np.arange(8, dtype=np.float32)
    wrap = torch.from_numpy

    def part(count: int) -> None:
        for _ in range(count):
            wrap(array)

    points = [(0, 0.0, 0)]
    with tensortoll.record() as recorder:
        part(1_000)  # the place, its group, and what is imported for them
        gc.collect()
        began, before = time.process_time(), resident_bytes()
        for number in range(1, PARTS + 1):
            part(events // PARTS)
            grown = resident_bytes() - before
            points.append((number * events // PARTS, time.process_time() - began, grown))
    seen = sum(one.totals.count for one in recorder.recording.conversions)
    if seen != events + 1_000:
        msg = f"{events + 1_000:,} conversions were made, and {seen:,} recorded"
        raise RuntimeError(msg)
    return points


def line(points: list[tuple[float, float]], colour: str) -> str:
    """Return points between 0 and 1 as a line."""
    where = " ".join(
        f"{MARGIN + x * (WIDTH - 2 * MARGIN):.1f},{HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN):.1f}"
        for x, y in points
    )
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="2"/>'


def picture(points: list[tuple[int, float, int]]) -> str:
    """Return both lines as SVG, each under its own largest value; memory at least under 1 MB."""
    events, seconds = points[-1][:2]
    most = max(1_000_000, *(grown for *_, grown in points))
    over = MARGIN - 14
    under = HEIGHT - 16
    texts = (
        (MARGIN, over, "#2563eb", "start", f"time, up to {seconds:.1f} s"),
        (
            *right(over),
            "#c2410c",
            "end",
            f"memory {points[-1][2] / 1e6:.1f} MB above the start (of {most / 1e6:.0f})",
        ),
        (*right(under), "#444", "end", f"{events:,} conversions at one place"),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" {AXES}/>',
        line([(n / events, s / seconds) for n, s, _ in points], "#2563eb"),
        line([(n / events, max(0, b) / most) for n, _, b in points], "#c2410c"),
    ]
    parts += [
        f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{text}</text>'
        for x, y, colour, anchor, text in texts
    ]
    return "\n".join((*parts, "</svg>\n"))


def right(height: int) -> tuple[int, int]:
    """Return where a text ends that stands at the right."""
    return WIDTH - MARGIN, height


def main() -> None:
    """Measure, print, and draw where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--page", type=Path, help="draw the lines there, as SVG")
    options = parser.parse_args()
    points = measured(options.events)
    for events, seconds, grown in points:
        print(f"{events:>12,} conversions {seconds:8.2f} s {grown / 1e6:8.2f} MB")
    if options.page:
        options.page.write_text(picture(points))


if __name__ == "__main__":
    main()
