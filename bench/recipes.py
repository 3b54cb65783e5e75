"""The figures of the recipes: trained by `learn.training.run`, fused, and every test image run through the C library.

python -m bench.recipes bitflow-lenet idx:mnist [--seeds 1,2,3] [--minutes 10] [--keep]
python -m bench.recipes bitflow-hands signs:photos --size 64x64x3 --twin

A run that was cut goes on; one that is known is not made again. --epochs: others than the recipe's, where there is no
time for them. --minutes: of training, then it stops. --twin: train the float network of the same shape, too, by the
same recipe. --keep: copy the network of the seed with the best validation accuracy to bench/NETWORK.bfn, of at most
200 KB. Writes bench/recipes.json; `python -m bench.training_page` makes the table of docs/training.md from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitflow import project
from bitflow.cli.context import load_float_network
from bitflow.cli.model import host_scores
from bitflow.image.bfn import Image
from bitflow.learn.baselines.train_variants import train_variant
from bitflow.learn.data.sources import load_data
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.learn.training.checkpoint import load_module
from bitflow.learn.training.evaluate import predict
from bitflow.learn.training.run import run
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

__all__ = ["KEPT", "RESULTS", "folder_of", "known", "measure", "short"]

RESULTS = Path(__file__).with_name("recipes.json")
KEPT = Path(__file__).parent
_RUNS = Path(".demo") / "recipes"
_MOST_KEPT = 200_000

Size = tuple[int, ...] | None


def known() -> dict[str, Any]:
    """What was measured, by network and data: the command, and by seed what came of it."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="of a recipe")
    parser.add_argument("data")
    parser.add_argument("--size")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--twin", action="store_true")
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    size = project.parse_size(asked.size) if asked.size else None
    usual = recipe_for(asked.network)
    recipe = usual if asked.epochs is None else replace(usual, epochs=asked.epochs)
    name = f"{asked.network} {short(asked.data)}"
    end = time.monotonic() + 60 * asked.minutes
    for seed in map(int, asked.seeds.split(",")):
        found = known().get(name, {}).get("runs", {}).get(str(seed))
        own = replace(recipe, seed=seed)
        found = found or measure(asked.network, asked.data, size, own, end - time.monotonic())
        if found is None:
            print(f"seed {seed}: out of time; the same command goes on", flush=True)
            return
        _note(name, asked.size, seed, found)
        if asked.twin and "float_accuracy" not in found:
            _note(name, asked.size, seed, {**found, "float_accuracy": _twin(asked.network, asked.data, size, own)})
    if asked.keep:
        _keep(asked.network, name)


def _note(name: str, size: str | None, seed: int, found: dict[str, Any]) -> None:
    results = known()
    results.setdefault(name, {"size": size, "runs": {}})["runs"][str(seed)] = found
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"seed {seed}: {found}", flush=True)


def measure(network: str, source: str, size: Size, recipe: Recipe, seconds: float = math.inf) -> Any:
    """What came of a training and of the fused network on all test images; None where the time is over before."""
    folder = folder_of(network, source, recipe.seed)
    begun = (folder / "training" / "last.pt").exists() or (folder / "training" / "teacher" / "last.pt").exists()
    *_, result = run(
        source,
        network,
        recipe,
        folder,
        name="model" if ":" in network else network,
        size=size,
        resume=begun,
        seconds=seconds,
        on_epoch=_tell,
    )
    if result.interrupted:
        return None
    data = load_data(source, size)
    packed = pack(fuse(load_float_network(folder / "model.pt")))
    content = Image.of(packed).data
    (folder / "model.bfn").write_bytes(content)
    labels = np.argmax(host_scores(packed, data.test.images, "c"), axis=1)
    unfused = predict(load_module(folder / "model.pt")[0], data.test.images)
    return {
        "test_accuracy": float(np.mean(labels == data.test.labels)),
        "validation_accuracy": result.validation_accuracy,
        "images": len(data.test),
        "differences": int(np.count_nonzero(labels != unfused)),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "seconds": result.seconds,
        "epochs": result.epochs,
        "threads": recipe.threads,
        "machine": _machine(),
        "torch": torch.__version__,
    }


def _twin(network: str, source: str, size: Size, recipe: Recipe) -> float:
    folder = folder_of(network, source, recipe.seed) / "float"
    found = train_variant("float", load_data(source, size), network, recipe, folder, on_epoch=_tell).test_accuracy
    assert found is not None
    return found


def _keep(network: str, name: str) -> None:
    """The network whose validation accuracy is the best: test images choose nothing."""
    entry = known()[name]
    seed = max(entry["runs"], key=lambda one: entry["runs"][one]["validation_accuracy"])
    content = (folder_of(network, name.split(" ", 1)[1], int(seed)) / "model.bfn").read_bytes()
    assert len(content) <= _MOST_KEPT, f"{len(content)} bytes are too many for the repository"
    (KEPT / f"{network}.bfn").write_bytes(content)
    results = known()
    results[name]["kept"] = {"seed": int(seed), "file": f"bench/{network}.bfn"}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def folder_of(network: str, source: str, seed: int) -> Path:
    """Where a run leaves its files."""
    return _RUNS / re.sub(r"[^\w.-]+", "-", f"{network}-{short(source)}-{seed}")


def short(source: str) -> str:
    """A data source without the folders around it."""
    kind, mark, place = source.partition(":")
    return f"{kind}{mark}{Path(place).name}"


def _machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*: (.+)", text)
    return found[1] if found else platform.processor()


def _tell(epoch: int, best: float) -> None:
    print(f"{time.strftime('%H:%M:%S')} epoch {epoch}, best {best:.2%}", flush=True)


if __name__ == "__main__":
    main()
