"""Training in several processes of one machine by `torchrun`: as good as one, and it survives the death of a worker."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bitflow.errors import InputError, MissingError
from bitflow.learn.data.sources import load_data
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.device import place
from bitflow.learn.training.run import run

PROJECT = """
name = "quarters"
[data]
source = "npz:quarters.npz"
[train]
architecture = "conv3x3:8/pool2 conv3x3:16"
epochs = {epochs}
batch = 64
teacher = "conv3x3:8/pool2"
teacher_epochs = 2
device = "cpu"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes: which of two quarters of a picture with noise are brighter."""
    random = np.random.default_rng(0)
    labels = np.arange(1200) % 4
    images = random.integers(0, 160, (1200, 8, 8))
    images[:, :4, :4] += 60 * (labels & 1)[:, None, None]
    images[:, 4:, 4:] += 60 * (labels >> 1)[:, None, None]
    np.savez(tmp_path / "quarters.npz", x=images.astype(np.uint8), y=labels)
    return tmp_path


def together(folder: Path, epochs: int, *options: str) -> subprocess.Popen[str]:
    """Two processes on one machine, as docs/training.md starts them."""
    (folder / "bitflow.toml").write_text(PROJECT.format(epochs=epochs), encoding="utf-8")
    bin_folder = Path(sys.executable).parent
    command = [bin_folder / "torchrun", "--standalone", "--nproc-per-node", "2", *options, "--no-python"]
    return subprocess.Popen(
        [*map(str, command), str(bin_folder / "bitflow"), "train", "--json"],
        env={**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def result(process: subprocess.Popen[str]) -> tuple[dict[str, float], str]:
    """What the command printed; it and all its processes are gone after that."""
    try:
        out, err = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    return json.loads(out), err


def epochs_of(folder: Path) -> list[dict[str, str]]:
    try:
        with (folder / "training" / "metrics.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def test_two_processes_must_train_as_well_as_one(folder: Path) -> None:
    found, said = result(together(folder, 6))
    assert said.count("training 8 of 8") == 1, "only the first process speaks"
    assert said.count("wrote ") == 1
    recipe = Recipe(epochs=6, batch=64, teacher="conv3x3:8/pool2", teacher_epochs=2)
    _, _, alone = run(f"npz:{folder / 'quarters.npz'}", "conv3x3:8/pool2 conv3x3:16", recipe, folder / "alone")
    assert found["test_accuracy"] == pytest.approx(alone.test_accuracy, abs=0.06)
    assert alone.test_accuracy is not None
    assert min(found["test_accuracy"], alone.test_accuracy) > 0.9
    assert (folder / "model.bfn").exists()


@pytest.mark.long
def test_the_death_of_a_worker_must_cost_no_more_than_an_epoch(folder: Path) -> None:
    epochs = 40
    process = together(folder, epochs, "--max-restarts", "1")
    until = time.monotonic() + 300
    while len(before := epochs_of(folder)) < 3:
        assert time.monotonic() < until and process.poll() is None, "the run did not start"
        time.sleep(0.05)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    found, said = result(process)
    assert (found["epochs"], found["interrupted"]) == (epochs, False)
    rows = epochs_of(folder)
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, epochs + 1)]
    assert rows[:3] == before[:3], "what was done before the death is kept"
    # It went on behind its teacher, not from the start.
    assert said.count("training 2 of 42") <= 1


def test_what_cannot_be_must_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="no GPU"):
        place(Recipe(device="cuda"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingError, match=r"g\+\+ python3-dev"):
        place(Recipe(device="cpu")).forward(torch.nn.Identity(), compiled=True)
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr("torch.__file__", "/home/a b/torch/__init__.py")
    with pytest.raises(MissingError, match="a space"):
        place(Recipe(device="cpu")).forward(torch.nn.Identity(), compiled=True)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="cannot be divided among 3"):
        place(Recipe(batch=64))


def test_processes_must_share_out_each_batch(folder: Path) -> None:
    alone = place(Recipe(device="cpu"))
    order = np.random.default_rng(1).permutation(103)
    parts = [replace(alone, rank=rank, size=2).part(order, 10) for rank in (0, 1)]
    assert [len(part) for part in parts] == [50, 50]
    for step in range(5):
        batch = np.concatenate([part[step * 10 : step * 10 + 10] for part in parts])
        assert set(batch) == set(order[step * 20 : step * 20 + 20])
    split = load_data(f"npz:{folder / 'quarters.npz'}").test
    assert sum(len(replace(alone, rank=rank, size=2).share(split)) for rank in (0, 1)) == len(split)
