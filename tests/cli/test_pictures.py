"""Pictures that are decoded when they are needed: training and evaluation from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import answer, bitflow, done


@pytest.mark.long
def test_imagenet_must_be_trained_and_evaluated(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 5)):
        for index, name in enumerate(("dark", "light")):
            place = tmp_path / "small" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                picture = random.integers(0, 120, (40, 30 + number, 3)) + 120 * index
                Image.fromarray(picture.astype(np.uint8)).save(place / f"{number}.JPEG")
    options = ("--architecture", "bitflow-alexnet", "--size", "32x32x3", "--width", "0.04")
    done("init", "--data", "imagenet:small", *options, cwd=tmp_path)
    answer("train", "--epochs", "1", "--batch", "8", cwd=tmp_path)
    found = answer("eval", cwd=tmp_path)
    assert (found["images"], found["mismatches"]) == (10, 0)
    assert answer("eval", "--engine", "numpy", cwd=tmp_path) == found
    assert answer("verify", cwd=tmp_path)["equal"] is True
    (tmp_path / "small" / "val" / "dark" / "3.JPEG").write_bytes(b"torn")
    failed = bitflow("eval", cwd=tmp_path)
    assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (2, "", 1)
    assert "3.JPEG: cannot be read as a picture" in failed.stderr
