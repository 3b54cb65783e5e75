"""bitflow import: what it prints, writes and refuses, for every kind of source."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.cli.conftest import Refused
from tests.importers.onnx_models import Model, binary_network
from torch import nn

from bitflow.image.bfn import Image, load

COMMAND = [sys.executable, "-c", "from bitflow.cli.app import main; main()", "import"]
NET = """
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Linear(6 * 36, 4)

    def forward(self, x):
        x = functional.conv2d(x, torch.where(self.conv.weight >= 0, 1.0, -1.0), self.conv.bias)
        x = torch.where(self.norm(x) >= 0, 1.0, -1.0)
        return functional.linear(x.flatten(1), torch.where(self.fc.weight >= 0, 1.0, -1.0), self.fc.bias)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A folder with net.onnx and test images for it."""
    model, shape, _ = binary_network(2)
    onnx.save(model, tmp_path / "net.onnx")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, *shape), np.uint8)
    labels = np.arange(50) % 4
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return tmp_path


def test_onnx_must_be_checked_against_its_runtime(exported: Path) -> None:
    found = run(exported, "net.onnx", "-o", "net.bfn", "--input", "signed", "--check", "npz:data.npz", "--json")
    assert found.returncode == 0, found.stderr
    facts = json.loads(found.stdout)
    assert (facts["checked"], facts["images"], facts["label_mismatches"]) == (True, 50, 0)
    assert facts["max_score_difference"] <= 1e-4 * facts["largest_score"]
    assert facts["crc32"] == f"{Image.of(load(exported / 'net.bfn')).crc32:08x}"
    assert any("(p-128)/128" in note for note in facts["notes"])
    text = run(exported, "net.onnx", "--input", "signed", "--check", "npz:data.npz", "--limit", "7")
    assert text.returncode == 0 and "7 images against onnxruntime" in text.stdout


def test_a_mean_that_is_no_pixel_must_be_refused_where_pixels_are_padded(exported: Path) -> None:
    found = run(exported, "net.onnx", "--input", "0.3,0.25")
    assert found.returncode == 2 and "pads pixels with 76.5" in found.stderr


def test_state_dict_must_need_its_class_and_be_checked(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    scope: dict[str, type[nn.Module]] = {}
    exec(NET, scope)
    torch.manual_seed(0)
    module = scope["Net"]()
    torch.save({"state_dict": module.state_dict()}, tmp_path / "weights.pt")
    without = run(tmp_path, "weights.pt")
    assert (without.returncode, without.stdout) == (2, "")
    assert "--module" in without.stderr and without.stderr.count("\n") == 1
    arguments = ["weights.pt", "--module", "net.py:Net", "--size", "8x8x1", "--check", "digits", "--labels", "a,b,c,d"]
    found = run(tmp_path, *arguments, "--input", "unit", "--name", "mine", "--json")
    assert found.returncode == 0, found.stderr
    facts = json.loads(found.stdout)
    assert (facts["name"], facts["images"], facts["label_mismatches"]) == ("mine", 360, 0)
    assert load(tmp_path / "model.bfn").labels == ("a", "b", "c", "d")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__("os").system, ("touch executed",))


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_must_never_be_executed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "net.py").write_text(NET)
    if kind == "pickle":
        (tmp_path / "weights.pt").write_bytes(pickle.dumps(Evil()))
    else:
        torch.save(Evil(), tmp_path / "weights.pt")
    for extra in ([], ["--module", "net.py:Net", "--size", "8x8x1"]):
        found = run(tmp_path, "weights.pt", *extra)
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.count("\n") == 1
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "model.bfn").exists()


@pytest.mark.parametrize("name", ["net.onnx", "net.h5", "net.keras", "net.pt"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", bytes(range(256)) * 40])
def test_rubbish_must_get_one_line_and_leave_nothing(here: Refused, name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    here(2, "import", name)


def test_missing_file_and_bad_options_must_exit_with_two(tmp_path: Path, exported: Path) -> None:
    for arguments, text in (
        (["nowhere.onnx"], "cannot read"),
        (["net.onnx", "--input", "half"], "not one of raw, unit, signed"),
        (["net.onnx", "--input", "0.5,0"], "positive"),
        (["net.onnx", "--size", "8"], "HEIGHTxWIDTH"),
        (["net.onnx", "--check", "digits", "--input", "signed"], "images must be"),
    ):
        found = run(exported, *arguments)
        assert found.returncode == 2 and text in found.stderr, found.stderr


def test_a_source_that_disagrees_must_end_with_one(tmp_path: Path) -> None:
    """Labels differ only if the import is wrong; here the source is made to give the opposite."""
    from bitflow.cli import importing
    from bitflow.errors import CheckFailed
    from bitflow.importers.source import Settings, open_source

    model = Model(np.random.default_rng(0), 17)
    bits = model.sign(model.op("Sub", model.op("Flatten", "image"), model.const(100.0)), 0)
    onnx.save(model.proto((1, 1, 8, 8), model.dense(bits, model.signs(10, 64), 0)), tmp_path / "net.onnx")
    opened = open_source(tmp_path / "net.onnx", Settings())
    spoiled = type(opened)(opened.kind, opened.imported, lambda images: -opened.run(images))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(importing, "_open", lambda *_: spoiled)
    with pytest.raises(CheckFailed, match="differ from the source's"):
        importing.import_file(tmp_path / "net.onnx", tmp_path / "out.bfn", check="digits", as_json=True)
    monkeypatch.undo()
