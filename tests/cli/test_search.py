"""search, as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Refused
from tests.cli.test_cli import answer, bitflow

from bitflow.cli.search import amount
from bitflow.errors import InputError
from bitflow.project import project_text, write_project

ASKED = ("search", "--data", "npz:small.npz", "--board", "stm32f4", "--max-flash", "24K", "--max-latency", "3ms")
QUICK = ("--base", "conv3x3:8/stride2 conv3x3:16", "--epochs", "1", "--trials")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two networks were trained, and what was printed."""
    folder = tmp_path_factory.mktemp("a search")
    random = np.random.default_rng(0)
    labels = np.arange(160) % 2
    images = (random.integers(0, 120, (160, 8, 8)) + 120 * labels[:, None, None]).astype(np.uint8)
    np.savez(folder / "small.npz", x=images, y=labels)
    found = bitflow(*ASKED, *QUICK, "2", cwd=folder)
    assert found.returncode == 0, found.stderr
    (folder / "stdout").write_text(found.stdout)
    (folder / "stderr").write_text(found.stderr)
    return folder


def test_search_must_print_the_front_and_the_winner(searched: Path) -> None:
    printed = (searched / "stdout").read_text()
    facts = json.loads((searched / "search" / "search.json").read_text())
    best = next(one for one in facts["networks"] if one["number"] == facts["winner"])
    assert printed.startswith("accuracy  latency ms  instructions")
    assert f"winner    {best['layers']}\n" in printed
    assert len(printed.splitlines()) == 1 + len(facts["front"]) + 4
    said = (searched / "stderr").read_text()
    assert "search: 2 of 2 trained" in said
    assert "1.3 cycles (assumed, not measured) / 180 MHz" in said


def test_search_must_leave_its_results(searched: Path) -> None:
    names = ["bitflow.toml", "pareto.png", "search.db", "search.html", "search.json"]
    assert sorted(path.name for path in (searched / "search").iterdir()) == names
    facts = json.loads((searched / "search" / "search.json").read_text())
    within = [one for one in facts["networks"] if one["state"] == "trained" and not one["exceeds"]]
    assert facts["limits"] == {"flash_bytes": 24576, "ram_bytes": 131072, "milliseconds": 3.0}
    assert within
    for one in within:
        costs = one["costs"]
        assert costs["flash_bytes"] <= 24576
        assert costs["milliseconds"] == pytest.approx(costs["instructions"] * 1.3 / 180e3, abs=1e-4)
    assert facts["winner"] == facts["front"][-1]


def test_the_winner_must_train_in_full(searched: Path) -> None:
    folder = searched / "search"
    settings = tomllib.loads((folder / "bitflow.toml").read_text())
    facts = json.loads((folder / "search.json").read_text())
    best = next(one for one in facts["networks"] if one["number"] == facts["winner"])
    assert settings["train"]["architecture"] == best["layers"]
    assert settings["train"]["epochs"] == 60
    assert settings["budget"]["latency_ms"] == 3.0
    assert settings["data"]["source"] == "npz:../small.npz"
    assert answer("train", "--epochs", "1", cwd=folder)["epochs"] == 1
    assert answer("report", cwd=folder)["flash_bytes"] == pytest.approx(best["costs"]["flash_bytes"], rel=0.02)


def test_a_project_s_width_must_be_that_of_the_base(tmp_path: Path) -> None:
    text = project_text("narrow", "digits", None, "bitflow-tiny", "qemu-m4", 0.5)
    write_project(tmp_path, text, overwrite=False)
    found = answer("search", "--trials", "1", "--epochs", "1", cwd=tmp_path)
    assert [one["layers"] for one in found["networks"]] == ["conv3x3:8/t3 conv3x3:16/pool2/t3"]
    assert found["recipe"]["validation"] == 0.2


def test_the_same_command_must_go_on(searched: Path) -> None:
    before = json.loads((searched / "search" / "search.json").read_text())["networks"]
    found = answer(*ASKED, *QUICK, "3", cwd=searched)
    assert found["networks"][: len(before)] == before
    assert sum(one["state"] != "outside" for one in found["networks"]) == 3
    mixed = bitflow(*ASKED[:-1], "2ms", *QUICK, "3", cwd=searched)
    assert (mixed.returncode, len(mixed.stderr.splitlines())) == (2, 1)
    assert "has limit of milliseconds 3.0, not 2.0" in mixed.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--max-flash", "12 apples"], 2, "--max-flash '12 apples' is not a number with one of B, K"),
        (["--max-latency", "3"], 2, "--max-latency '3' is not a number"),
        (["--time", "0h"], 2, "--time '0h' is not"),
        (["--trials", "0"], 2, "0 trials: at least 1 is needed"),
        (["--base", "bitflow-tinny"], 2, "did you mean bitflow-tiny"),
        (["--base", "conv3x3:8/pool9 conv3x3:8"], 2, "as small as 8x8"),
        (["--board", "host", "--max-latency", "1ms"], 2, "cannot be predicted"),
        (["--max-flash", "5K"], 1, "even the smallest network"),
    ],
)
def test_bad_use_must_end_in_one_line(here: Refused, arguments: list[str], code: int, message: str) -> None:
    assert message in here(code, "search", "--data", "digits", *arguments)


def test_somebody_s_project_must_not_be_overwritten(here: Refused) -> None:
    write_project(Path(), project_text("mine", "digits", None, "bitflow-tiny", "qemu-m4"), overwrite=False)
    assert "has a bitflow.toml already" in here(2, "search", "-o", ".")


def test_a_missing_optuna_must_be_named(tmp_path: Path) -> None:
    block = "import sys; sys.modules['optuna'] = None; from bitflow.cli.app import main; main()"
    command = [sys.executable, "-c", block, "search", "--data", "digits"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr == "bitflow: optuna is not installed: pip install 'bitflow-net[search]'\n"


@pytest.mark.parametrize(
    ("text", "bytes_"), [("64K", 65536), ("64kb", 65536), ("1M", 2**20), ("1.5 K", 1536), ("9", 9)]
)
def test_sizes_must_be_read_as_people_write_them(text: str, bytes_: int) -> None:
    assert amount(text, {"": 1, "B": 1, "K": 1024, "KB": 1024, "M": 2**20}, "--max-flash", None) == bytes_
    with pytest.raises(InputError, match="not a number"):
        amount(f"-{text}", {"": 1}, "--max-flash", None)
