"""Sounds from features to a board: what docs/training.md shows, with tones that rise and fall instead of words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

COMMAND = [sys.executable, "-c", "from bitflow.cli.app import main; main()"]


def bitflow(*arguments: str, cwd: Path) -> str:
    run = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_sounds_must_come_as_far_as_a_board(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3  # a tone that falls, stays, rises
    steps, begin = np.arange(49), random.integers(3, 7, 240)
    pitch = np.clip(begin[:, None] + (labels[:, None] - 1) * steps // 12, 0, 9)
    features = random.integers(-90, 30, (240, 49, 10))
    np.put_along_axis(features, pitch[:, :, None], 90, axis=2)
    names = np.array(["falls", "stays", "rises"])
    np.savez(tmp_path / "tones.npz", x=features.astype(np.int8), y=labels, class_names=names)
    bitflow("init", "--data", "sound:tones.npz", cwd=tmp_path)
    assert 'architecture = "bitflow-sound"' in (tmp_path / "bitflow.toml").read_text()
    trained = json.loads(bitflow("train", "--epochs", "8", "--json", cwd=tmp_path))
    assert trained["test_accuracy"] > 0.8
    run = json.loads(bitflow("hil", "--board", "qemu-m4", "--json", cwd=tmp_path))
    assert (run["images"], run["mismatches"]) == (48, 0)
    assert run["accuracy"] == trained["test_accuracy"]
