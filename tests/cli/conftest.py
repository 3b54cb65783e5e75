"""Commands in this process, where only their one line of an error counts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

import pytest

from bitflow.cli.app import main


class Refused(Protocol):
    def __call__(self, code: int, *arguments: str) -> str: ...


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """`refused` in this process and an empty folder: torch and optuna take seconds to load."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # which main sets

    def refused(code: int, *arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["bitflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.err
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("bitflow: ")
        assert sorted(tmp_path.rglob("*")) == before
        return line

    return refused
