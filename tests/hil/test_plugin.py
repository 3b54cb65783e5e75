"""The checks for any device run through the pytest plugin, as a user starts them, and fail where a device is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def checks(board: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--bitflow-board", board, *arguments]
    where = ["--rootdir", str(ROOT / "hil"), str(ROOT / "hil" / "checks")]
    return subprocess.run([*command, *where], cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_checks_must_pass_on_an_emulated_board(tmp_path: Path) -> None:
    found = checks("qemu-m3", tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert " passed" in found.stdout
    assert "skipped" not in found.stdout


def test_checks_must_fail_where_nobody_answers(tmp_path: Path) -> None:
    found = checks("qemu-m3", tmp_path, "--bitflow-port", str(tmp_path / "no-such-port"))
    assert found.returncode == 1
    assert "passed" not in found.stdout.splitlines()[-1]
