"""What boards are doing, as a table that moves."""

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

_LATEST = 1000  # images whose latency a row shows: over hours, what happens now


def row(station: Station) -> tuple[str, ...]:
    """How far a board is, in the cells of COLUMNS. On the device: instructions of an image, or its microseconds."""
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
    """Two functions: one draws the table anew on stderr, where that is a terminal; one says a line above it.

    The table goes away at the end, so that an error still is the one line that remains.
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
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")  # 80 columns will do
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right")
    for station in stations:
        table.add_row(*row(station))
    return table
