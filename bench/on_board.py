"""A network on an emulated board over its serial port, with every test image of a data set.

python -m bench.on_board bench/bitflow-lenet-deep.bfn idx:mnist [--board qemu-m4]

Does what `bitflow hil` and `bitflow report` print, and writes it into bench/on_board.json; `python -m
bench.training_page` makes the table of docs/training.md from it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.recipes import short

__all__ = ["RESULTS", "known"]

RESULTS = Path(__file__).with_name("on_board.json")
_COMMAND = (sys.executable, "-c", "from bitflow.cli.app import main; main()")


def known() -> dict[str, Any]:
    """What was measured, by file, data and board."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("data")
    parser.add_argument("--board", default="qemu-m4")
    asked = parser.parse_args()
    run = _json("hil", asked.network, "--board", asked.board, "--data", asked.data)
    costs = _json("report", asked.network, "--board", asked.board)
    found = {key: run[key] for key in ("images", "accuracy", "mismatches", "instructions_per_image")}
    found |= {"firmware_flash": run["flash_bytes"], "firmware_ram": run["ram_bytes"]}
    found |= {"flash": costs["flash_bytes"], "ram": costs["ram_bytes"]}
    results = known() | {f"{asked.network} {short(asked.data)} {asked.board}": found}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def _json(*arguments: str) -> dict[str, Any]:
    run = subprocess.run([*_COMMAND, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(run.stdout))


if __name__ == "__main__":
    main()
