"""How long the groups of tests took: `python -m tests.times REPORT.xml...` prints a table of JUnit XML reports.

A report is one tier's: `make test` leaves .pytest_cache/test.xml, `make test-long` .pytest_cache/long.xml. Seconds are
summed over the workers, whose number is what a run takes less of.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

__all__ = ["table"]


def table(reports: list[Path]) -> str:
    """Tier, group, tests and seconds, the slowest group first."""
    lines = ["| tier | group | tests | seconds |", "|---|---|---|---|"]
    for path in reports:
        count: dict[str, int] = defaultdict(int)
        seconds: dict[str, float] = defaultdict(float)
        for case in ET.parse(path).getroot().iter("testcase"):
            words = (case.get("classname") or case.get("name", "")).split(
                "."
            )  # a file that is skipped has a name alone
            group = ".".join(words[1:-1]) or words[-1] if words[0] == "tests" else words[0]
            count[group] += 1
            seconds[group] += float(case.get("time", 0))
        for group in sorted(count, key=lambda group: -seconds[group]):
            lines.append(f"| {path.stem} | {group} | {count[group]} | {seconds[group]:.0f} |")
        lines.append(f"| {path.stem} | all | {sum(count.values())} | {sum(seconds.values()):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table([Path(word) for word in sys.argv[1:]]))
