"""Results of runs as JSON lines, so that a run can be compared with the one before."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bitflow._version import __version__
from bitflow.errors import InputError
from bitflow.files import digest, locked
from bitflow_hil.devices import lock

__all__ = ["append", "last", "read", "surroundings"]


def surroundings(tools: Mapping[str, str | None]) -> dict[str, Any]:
    """When and with what a run was made: date, commit of the folder's repository (None without one), versions.

    tools: name of another program -> its version; None: not found.
    """
    versions = {"bitflow": __version__, "python": platform.python_version(), **tools}
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "versions": versions}


def _commit() -> str | None:
    try:
        found = subprocess.run(
            ("git", "describe", "--always", "--dirty"), capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, the oldest first; empty without a file. Raises InputError that names the wrong line."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(f"{path}: line {number} is not a JSON object; did --log write this file?")
        records.append(record)
    return records


def append(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Append one line per record; runs that write at the same time do not mix lines."""
    with locked(lock.folder() / f"{digest(str(path.resolve()))[:16]}.lock"), path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


def last(records: Sequence[Mapping[str, Any]], **wanted: object) -> Mapping[str, Any] | None:
    """The newest record with these values, or None."""
    matching = (record for record in reversed(records) if all(record.get(key) == wanted[key] for key in wanted))
    return next(matching, None)
