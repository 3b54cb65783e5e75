"""Pages that are made from the code are as the code makes them: `make docs`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from bitflow.deploy import boards_page
from bitflow.importers.supported import markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_list_of_layers_must_be_what_the_code_takes() -> None:
    assert (DOCS / "layers.md").read_text() == markdown(), "make docs"


def test_table_of_boards_must_be_the_board_table() -> None:
    page = (DOCS / "boards.md").read_text()
    assert page == boards_page.written(page), "make docs"


def test_example_of_continuous_integration_must_run(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "hil.md").read_text(), re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["hil"]["steps"]
    (command,) = (step["run"] for step in steps if step.get("run", "").startswith("bitflow "))
    words = [*shlex.split(command)[1:], "--limit", "5"]
    code = "from bitflow.cli.app import main; main()"
    done = subprocess.run((sys.executable, "-c", code, *words), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"hil.xml", "hil.html", "hil.jsonl"} <= {path.name for path in tmp_path.iterdir()}
