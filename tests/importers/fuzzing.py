"""A fuzz target for each importer: real files with bytes flipped, cut and doubled must be taken or refused in one line.

python -m tests.importers.fuzzing RUNS [FIRST SEED] prints what was taken and refused, and stops at anything else.
"""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tests.importers.keras_models import forward, network, save_h5, save_keras
from tests.importers.onnx_models import binary_network
from torch import nn

from bitflow.errors import BitflowError
from bitflow.importers.source import Settings, open_source

__all__ = ["KINDS", "MEMORY", "attack", "mutate", "write_seed"]

KINDS = ("onnx", "h5", "keras", "pt")
MEMORY = 2**30  # bytes that an import of a small damaged file may take at most

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.norm, self.out = nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        x = nn.functional.linear(x.flatten(1), torch.where(self.fc.weight >= 0, 1.0, -1.0))
        x = torch.where(self.norm(x) >= 0, 1.0, -1.0)
        return nn.functional.linear(x, torch.where(self.out.weight >= 0, 1.0, -1.0))
"""


def write_seed(path: Path, seed: int) -> None:
    """A sound file of the kind that the path's suffix says."""
    if path.suffix == ".onnx":
        path.write_bytes(binary_network(seed % 30)[0].SerializeToString())
    elif path.suffix == ".pt":
        (path.parent / "net.py").write_text(NET)
        state = nn.ModuleDict({"fc": nn.Linear(16, 8), "norm": nn.BatchNorm1d(8), "out": nn.Linear(8, 3)}).state_dict()
        torch.save(state, path)
    else:
        layers, shape = network(seed % 20)
        forward(layers, np.random.default_rng(0).random((9, *shape)))
        (save_h5 if path.suffix == ".h5" else save_keras)(path, layers, shape)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bits flipped, some bytes cut, doubled or replaced by extreme numbers."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.integers(0, max(len(found), 1)))
        length = int(rng.integers(1, 60))
        match int(rng.integers(0, 5)):
            case 0 | 1 if found:
                found[at] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del found[at : at + length]
            case 3:
                found[at:at] = found[at : at + length]
            case _:
                found[at : at + 8] = bytes(rng.choice([0, 0x7F, 0x80, 0xFF], 8).astype(np.uint8))
    return bytes(found)


def mutate_member(path: Path, rng: np.random.Generator) -> None:
    """Damage what lies in an archive, and not the archive, whose checksums would catch it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(["config.json", "model.weights.h5"]))
    members[name] = mutate(members[name], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def attack(folder: Path, kind: str, seed: int) -> str:
    """Import a damaged file; "taken" or the error's kind. Anything but a BitflowError of one line passes on."""
    path = folder / f"net.{kind}"
    rng = np.random.default_rng(seed)
    write_seed(path, seed)
    if kind == "keras" and seed % 8:
        mutate_member(path, rng)
    else:
        path.write_bytes(mutate(path.read_bytes(), rng))
    module = f"{folder / 'net.py'}:Net" if kind == "pt" else None
    try:
        open_source(path, Settings(module=module, size=(4, 4, 1) if kind == "pt" else None))
    except BitflowError as error:
        assert "\n" not in str(error), str(error)
        assert error.exit_code == 2, str(error)
        return type(error).__name__
    return "taken"


def main(runs: int, first: int) -> None:
    """Run all targets in turn."""
    found: Counter[tuple[str, str]] = Counter()
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + runs):
            kind = KINDS[seed % len(KINDS)]
            try:
                found[kind, attack(Path(folder), kind, seed)] += 1
            except BaseException:
                print(f"seed {seed}, {kind}", file=sys.stderr)
                raise
            most = tracemalloc.get_traced_memory()[1]
            assert most < MEMORY, f"seed {seed}, {kind}: {most} bytes"
            tracemalloc.reset_peak()
    for (kind, result), count in sorted(found.items()):
        print(f"{kind:6} {result:14} {count}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
