"""The checks for any device run through the pytest plugin, as a user starts them, and fail where a device is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A test of a user's own, with the mark.
OWN = """
import pytest

def test_any(device, bitflow_board):
    assert bitflow_board.is_core(device.info().cpuid)

def test_other(device):
    assert device.self_test() == 0

@pytest.mark.bitflow_board("qemu-m4", "nucleo_h743zi")
def test_marked(device, bitflow_board):
    assert bitflow_board.name == "qemu-m4"

@pytest.mark.bitflow_board("qemu-m7")
def test_marked_for_another(device):
    raise AssertionError
"""


def checks(board: str, folder: Path, *arguments: str, where: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--bitflow-board", board, *arguments]
    words = ["--rootdir", str(folder if where else ROOT / "hil"), str(where or ROOT / "hil" / "checks")]
    return subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600)


def test_checks_must_pass_on_an_emulated_board(tmp_path: Path) -> None:
    found = checks("qemu-m3", tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert " passed" in found.stdout
    assert "skipped" not in found.stdout


def test_checks_must_fail_where_nobody_answers(tmp_path: Path) -> None:
    found = checks("qemu-m3", tmp_path, "--bitflow-port", str(tmp_path / "no-such-port"))
    assert found.returncode == 1
    assert "passed" not in found.stdout.splitlines()[-1]


def test_boards_must_work_at_the_same_time_each_in_one_worker(tmp_path: Path) -> None:
    """A board that is not plugged in skips its tests; a test that names boards runs on these alone."""
    own = tmp_path / "test_own.py"
    own.write_text(OWN)
    found = checks("qemu-m3, qemu-m4,stm32h7", tmp_path, "-n", "2", "-rs", "-v", "--junitxml", "r.xml", where=own)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "5 passed, 4 skipped" in found.stdout
    assert "no stm32h7 is plugged in" in found.stdout
    assert "the test is for qemu-m7" in found.stdout
    workers: dict[str, set[str]] = {}
    for worker, board in re.findall(r"\[(gw\d)\].* PASSED .*\[(qemu-m\d)\]", found.stdout):
        workers.setdefault(board, set()).add(worker)
    assert workers.keys() == {"qemu-m3", "qemu-m4"}
    assert all(len(of_board) == 1 for of_board in workers.values())
    assert len(ET.parse(tmp_path / "r.xml").getroot().findall(".//testcase")) == 9


@pytest.mark.parametrize(
    ("board", "port", "says"),
    [("qemu-m3,qemu-m4", ("--bitflow-port", "/dev/none"), "name one"), ("qemu-m5", (), "did you mean")],
)
def test_bad_use_must_be_one_line(tmp_path: Path, board: str, port: tuple[str, ...], says: str) -> None:
    found = checks(board, tmp_path, *port)
    assert found.returncode in (2, 4)
    assert says in found.stdout + found.stderr
    assert "Traceback" not in found.stdout + found.stderr
