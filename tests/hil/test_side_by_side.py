"""Four emulated boards at the same time, beside one alone; `make soak` sends 10,000 images."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.hil.soaking import SOAK, digits_file

BOARDS = ("qemu-m0", "qemu-m3", "qemu-m4", "qemu-m7")
IMAGES = 2_500 if SOAK else 60  # each


def run(folder: Path, boards: str, data: str) -> tuple[list[dict[str, object]], float]:
    code = "from bitflow.cli.app import main; main()"
    words = ("hil", "builtin:digits", "--board", boards, "--data", data, "--json")
    start = time.monotonic()
    done = subprocess.run((sys.executable, "-c", code, *words), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found.get("boards", [found]), time.monotonic() - start


def test_four_boards_give_every_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = digits_file(tmp_path, 10)
    for name in BOARDS:
        run(tmp_path, name, few)  # builds its firmware
    data = digits_file(tmp_path, IMAGES)
    _, alone = run(tmp_path, "qemu-m4", data)
    found, together = run(tmp_path, ",".join(BOARDS), data)
    assert [row["board"] for row in found] == list(BOARDS)
    assert all((row["images"], row["mismatches"]) == (IMAGES, 0) for row in found)
    with capsys.disabled():
        print(f"\n{IMAGES} images each: {alone:.1f} s alone, {together:.1f} s for four boards")
