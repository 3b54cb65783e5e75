"""The epochs of a run: a line of metrics.csv for each, written at once to be watched, and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bitflow.errors import InputError, MissingError
from bitflow.files import write_atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["COLUMNS", "History", "read_epochs"]

COLUMNS = ("epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate", "seconds")
# Six digits: learning rates may be small, and accuracies on a million images differ in the sixth digit.
_DIGITS = 6


class History:
    """The epochs of a run in `folder`: metrics.csv, and on request the folder tensorboard beside it.

    Of several processes that train together only one may make it. A context manager; `close` ends the events.
    """

    def __init__(self, folder: Path, resume: bool = False, tensorboard: bool = False, keep_until: int = 0) -> None:
        """Open or create the files.

        resume: keep the existing lines, up to epoch `keep_until`; else they are removed.

        Raises InputError if the files cannot be written, MissingError if TensorBoard is requested and not installed.
        """
        self._path = folder / "metrics.csv"
        keep = keep_until if resume else 0
        # First, so that nothing of an older run is lost if it is not installed.
        self._writer = _events(folder / "tensorboard", keep) if tensorboard else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = [row for row in self.rows() if row["epoch"] <= keep]
            write_atomic(self._path, _lines([COLUMNS, *map(_cells, kept)]))
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the events; metrics.csv is complete after each `add`."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def add(self, row: Mapping[str, float]) -> None:
        """Record an epoch: a number for each of COLUMNS; NaN if unknown."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            file.write(_lines([_cells(row)]))
        if self._writer is not None:
            for name in COLUMNS[1:]:
                if not math.isnan(row[name]):
                    self._writer.add_scalar(name, row[name], int(row["epoch"]))
            self._writer.flush()

    def rows(self) -> list[dict[str, float]]:
        """The epochs in metrics.csv, as from `read_epochs`."""
        return read_epochs(self._path.parent)


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """The epochs in a run's metrics.csv, a number for each of COLUMNS; empty if there is no such file.

    A missing number is NaN; an incomplete line, left by a kill, is skipped.
    """
    try:
        with (folder / "metrics.csv").open(newline="", encoding="utf-8", errors="replace") as file:
            return [row for row in map(_numbers, csv.DictReader(file)) if row]
    except FileNotFoundError:
        return []


def _events(folder: Path, keep: int) -> SummaryWriter:
    """Events from epoch keep + 1 on; TensorBoard hides these epochs in earlier files.

    If nothing is kept, the files of the earlier run are removed, since TensorBoard would draw both runs as one.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingError("TensorBoard is not installed: pip install 'bitflow-net[tensorboard]'") from error
    if keep == 0:
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
    return SummaryWriter(str(folder), purge_step=keep + 1)


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(row: Mapping[str, float]) -> list[str]:
    return ["" if math.isnan(row[name]) else f"{row[name]:.{_DIGITS}g}" for name in COLUMNS]


def _numbers(cells: Mapping[str | None, str | None]) -> dict[str, float]:
    """The numbers of a line; empty if it is incomplete or has something other than numbers."""
    try:
        values = {name: cells.get(name, "") for name in COLUMNS}
        row = {name: float("nan" if text == "" else text or "torn") for name, text in values.items()}
    except ValueError:
        return {}
    return row if row["epoch"] >= 1 else {}
