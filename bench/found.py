"""What a search gains: its winner and the network that it began with, trained in full by the same recipe.

python -m bench.found search [--seeds 1,2,3]      search: the folder that `bitflow search` left

Judges them on the test images, which the search never saw, and counts flash with the weights of the full trainings.
Writes bench/found.json and docs/search.png, the search's plot; `python -m bench.training_page` makes the table of
docs/search.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import bitflow
from bench.recipes import folder_of, measure, short
from bitflow.project import load_project, resolve_data

__all__ = ["RESULTS", "known"]

RESULTS = Path(__file__).with_name("found.json")
_PLOT = Path(__file__).parents[1] / "docs" / "search.png"


def known() -> dict[str, Any]:
    """What the search was asked for and how much it trained; by network what came of it."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="1,2,3")
    asked = parser.parse_args()
    search = json.loads((asked.folder / "search.json").read_text(encoding="utf-8"))
    settings = load_project(asked.folder / "bitflow.toml")
    source, size = resolve_data(None, settings)
    trained = [one for one in search["networks"] if one["state"] != "outside"]
    pair = {
        "hand-made": next(one for one in trained if one["base"]),
        "found": next(one for one in trained if one["number"] == search["winner"]),
    }
    results = {
        "data": short(source),
        "board": search["board"],
        "limits": search["limits"],
        "trained": len(trained),
        "outside": len(search["networks"]) - len(trained),
        "seconds": round(sum(one["seconds"] for one in trained)),
        "networks": {kind: _in_search(one) for kind, one in pair.items()},
    }
    for seed in map(int, asked.seeds.split(",")):
        for kind, one in pair.items():
            run = measure(one["layers"], source, size, replace(settings.recipe, seed=seed))
            if run is None:
                print("stopped; the same command goes on")
                return
            built = folder_of(one["layers"], source, seed) / "model.bfn"
            costs = bitflow.report(bitflow.load(built), board=search["board"])
            own = {key: run[key] for key in ("test_accuracy", "differences", "images", "bytes", "machine")}
            results["networks"][kind]["runs"][str(seed)] = own | {"flash": costs.flash_bytes, "ram": costs.ram_bytes}
            print(f"{kind}, seed {seed}: {own}, {costs.flash_bytes} bytes of flash", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(asked.folder / "pareto.png", _PLOT)


def _in_search(one: dict[str, Any]) -> dict[str, Any]:
    """What a search knew of a network."""
    costs = one["costs"]
    return {
        "layers": one["layers"],
        "search_accuracy": one["accuracy"],
        "instructions": costs["instructions"],
        "milliseconds": costs["milliseconds"],
        "runs": {},
    }


if __name__ == "__main__":
    main()
