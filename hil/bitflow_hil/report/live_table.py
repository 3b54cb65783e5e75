"""A live table of what boards are doing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bitflow_hil.run.farm import Station

__all__ = ["COLUMNS", "row", "watching"]

COLUMNS = ("board", "is", "images", "accuracy", "mismatches", "median", "p99", "on the device", "retries")

_LATEST = 1000  # a row shows the latency of the latest images, to be current in runs of hours


def row(station: Station) -> tuple[str, ...]:
    """A board's progress, in the cells of COLUMNS. On the device: instructions or microseconds per image."""
    so_far = station.progress
    latencies, ticks = so_far.latencies_ms[-_LATEST:], so_far.ticks[-_LATEST:]
    device = station.device
    if not latencies or not ticks or device is None:
        return (station.board.name, station.state, f"0/{so_far.total}", *[""] * (len(COLUMNS) - 3))
    median = float(np.median(ticks))
    if station.board.emulated:
        cost = f"{device.instructions(round(median)):,} instr"
    else:
        cost = f"{median * 1e6 / device.last_info.timer_hz:,.0f} µs"
    return (
        station.board.name,
        station.state,
        f"{so_far.done}/{so_far.total}",
        f"{so_far.accuracy:.2%}",
        str(so_far.mismatches),
        f"{np.median(latencies):.1f} ms",
        f"{np.percentile(latencies, 99):.1f} ms",
        cost,
        str(device.retries),
    )


@contextlib.contextmanager
def watching(stations: Sequence[Station]) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Two functions: one redraws the table on stderr, if that is a terminal; the other prints a line above it.

    The table is removed at the end, so that an error is the only line that remains.
    """
    console = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield lambda: None, say
        return
    with Live(_table(stations), console=console, transient=True, auto_refresh=False) as live:
        yield lambda: live.update(_table(stations), refresh=True), say


def _table(stations: Sequence[Station]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")  # fits in 80 columns
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right")
    for station in stations:
        table.add_row(*row(station))
    return table
