"""The text protocol of the serial link as pure functions: MLPerf Tiny's public protocol, from the client's side."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["READY", "Answer", "commands_for", "parse"]

READY = "m-ready"
"""The line that ends every answer."""

BYTES_A_COMMAND = 31


@dataclass(frozen=True, slots=True)
class Answer:
    """The lines of an answer, without the last one, and the numbers in them."""

    lines: tuple[str, ...]

    @property
    def error(self) -> str | None:
        """The text of an error, or None."""
        return next((line[3:-1] for line in self.lines if line.startswith("e-[")), None)

    @property
    def name(self) -> str | None:
        return next((m[1] for line in self.lines if (m := re.fullmatch(r"m-name-dut-\[(.*)\]", line))), None)

    @property
    def laps_us(self) -> tuple[int, ...]:
        """Time stamps in microseconds."""
        return tuple(int(line[9:]) for line in self.lines if line.startswith("m-lap-us-"))

    @property
    def results(self) -> tuple[int, ...]:
        """Scores, shifted so that the smallest is 1; () if there are none."""
        line = next((line for line in self.lines if line.startswith("m-results-[")), "m-results-[]")
        return tuple(int(number) for number in line[11:-1].split(",") if number)


def commands_for(data: bytes) -> list[str]:
    """The commands that put an input on the board, 31 bytes each."""
    hexes = [data[i : i + BYTES_A_COMMAND].hex() for i in range(0, len(data), BYTES_A_COMMAND)]
    return [f"db load {len(data)}%", *(f"db {part}%" for part in hexes)]


def parse(text: str) -> list[Answer]:
    """Complete answers in a text, in order; an answer without its ready line is left out."""
    answers: list[Answer] = []
    lines: list[str] = []
    for line in text.splitlines():
        if line == READY:
            answers.append(Answer(tuple(lines)))
            lines = []
        elif line:
            lines.append(line)
    return answers
