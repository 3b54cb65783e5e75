"""What the command line prints: results on stdout, as tables or one JSON object; all else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["counter", "error", "note", "print_facts", "print_json", "print_table", "progress"]

# Wide enough for every table: a table in a file or a pipe must not be cut to a terminal nobody has.
_PIPE_WIDTH = 140


def _stdout() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


@contextmanager
def progress(what: str, total: int, shown: bool = True) -> Iterator[Callable[[float, float], None]]:
    """A progress bar on stderr with the time that is left, moved by calls (done, best fraction so far); where that is
    no terminal, ten lines at whole numbers.

    The bar goes away at the end, so that an error still is the one line that remains. shown: else nothing at all.
    """
    if not shown:
        yield lambda done, best: None
        return
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best {task.fields[best]:.2%}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, best=0.0)
        yield lambda done, best: bar.update(task, completed=done, best=best)


def _lines(what: str, total: int) -> Callable[[float, float], None]:
    begun: list[tuple[float, float]] = []

    def tell(done: float, best: float) -> None:
        now = time.monotonic()
        # A run that is resumed begins somewhere: only what is done since then tells how fast it is.
        if not begun:
            begun.append((now, done))
        (start, first), steps = begun[0], max(1, total // 10)
        if done == int(done) and int(done) % steps == 0:
            left = (now - start) * (total - done) / (done - first) if done > first else 0.0
            note(f"{what} {done:.0f} of {total}, best {best:.2%}, {timedelta(seconds=round(left))} left")

    return tell


@contextmanager
def counter(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that is moved by calls (so many more); nothing where that is no terminal."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total)
        yield lambda more: bar.advance(task, more)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, with its keys as given."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; a column whose cells are all numbers is set to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(row[index].replace(",", "").lstrip("-").replace(".", "", 1).isdigit() for row in cells)
        table.add_column(column, justify="right" if numeric and cells else "left")
    for row in cells:
        table.add_row(*map(Text, map(_plain, row)))
    _stdout().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """One "name  value" line for each fact, on stdout."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        sys.stdout.write(f"{name:<{width}}  {_plain(str(value))}\n")


def _plain(text: str) -> str:
    """Names come from files of others: no control characters, no markup reaches the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def note(text: str) -> None:
    """A line for people on stderr."""
    sys.stderr.write(f"{text}\n")


def error(text: str) -> None:
    """The one line that a command which fails prints on stderr."""
    sys.stderr.write(f"bitflow: {_plain(' '.join(text.split()))}\n")
