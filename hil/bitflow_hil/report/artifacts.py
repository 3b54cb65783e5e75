"""The files that a run on boards writes: JUnit XML, an HTML page, and one line of a history per board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitflow.errors import InputError
from bitflow.files import write_atomic
from bitflow_hil.report import history, page
from bitflow_hil.run.farm import Station
from bitflow_hil.run.results import Demands, write_junit
from bitflow_hil.run.task import Task

__all__ = ["Artifacts"]


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Paths of the files; None: not requested.

    log: the history.
    earlier: the runs already in the history.
    """

    junit: Path | None
    report: Path | None
    log: Path | None
    earlier: Sequence[Mapping[str, Any]]

    @classmethod
    def asked(cls, junit: Path | None, report: Path | None, log: Path | None) -> Artifacts:
        """Check the paths before the run, which may take long. Raises InputError."""
        for file in (junit, report, log):
            if file is not None and (file.is_dir() or not file.parent.is_dir()):
                raise InputError(
                    f"{file} cannot be written: " + ("it is a folder" if file.is_dir() else "no such folder")
                )
        return cls(junit, report, log, history.read(log) if log else ())

    def write(
        self, task: Task, stations: Sequence[Station], demands: Demands, versions: Mapping[str, str | None]
    ) -> None:
        """Write the requested files.

        versions: of the tools that the run used.
        """
        errors = [(station.board.name, str(station.error)) for station in stations if station.error is not None]
        if self.junit is not None:
            results = [(station.result, station.seconds) for station in stations if station.result is not None]
            write_junit(results, self.junit, errors)
        if self.report is None and self.log is None:
            return
        around = history.surroundings(versions)
        if self.report is not None:
            parts = [self._part(task, station, demands) for station in stations if station.result is not None]
            write_atomic(self.report, page.render(task.network, task.images, parts, around, errors))
        if self.log is not None:
            network = task.network.name
            history.append(
                self.log,
                [{**around, "network": network, "port": station.port, **station.facts()} for station in stations],
            )

    def _part(self, task: Task, station: Station, demands: Demands) -> page.Part:
        facts = {"port": station.port, **station.facts()}
        same = {"board": facts["board"], "runtime": facts["runtime"], "network": task.network.name}
        before = history.last(self.earlier, **same)
        assert station.result is not None
        return page.Part(station.result, facts, before, station.failures(demands))
