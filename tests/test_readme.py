"""The README's code is run as it stands: its Python, and its commands one after the other in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for language, block in BLOCKS
    if language == "sh"
    for line in block.splitlines()
    if line.startswith("bitflow ")
]


@pytest.mark.parametrize("code", [block for language, block in BLOCKS if language == "python"])
def test_python_must_run(tmp_path: Path, code: str) -> None:
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "as written"])
def test_commands_must_run_in_order(tmp_path: Path, whole: bool) -> None:
    """As they are written, and in the first tier with fewer epochs and images."""
    folder = tmp_path / "an empty folder"
    folder.mkdir()
    assert len(COMMANDS) >= 10
    fewer = {"train": ["--epochs", "4"], "hil": ["--limit", "20"]}
    for command in COMMANDS:
        words = [*command[1:], *([] if whole or "--limit" in command else fewer.get(command[1], []))]
        call = [sys.executable, "-c", "from bitflow.cli.app import main; main()", *words]
        found = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"{shlex.join(command)}: {found.stderr}"
        print(f"$ {shlex.join(command)}\n{found.stdout}")


def test_make_targets_and_links_must_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake (\w+)", TEXT):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
    for link in re.findall(r"\]\((?!http)([^)]+)\)", TEXT):
        assert (ROOT / link).exists(), link


def test_the_table_of_the_paper_must_be_what_its_command_prints(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n\$ bitflow (report [^\n]*)\n(.*?)```", text, re.DOTALL)
    assert blocks
    for command, printed in blocks:
        call = [sys.executable, "-c", "from bitflow.cli.app import main; main()", *shlex.split(command)]
        found = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert [line.rstrip() for line in found.stdout.splitlines()] == printed.splitlines()
