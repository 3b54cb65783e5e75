"""`bitflow verify` climbs up to an emulated board, of a network with residual sums."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.c.every_kind import every_kind

from bitflow.boards import board
from bitflow.deploy.build import build
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import save
from bitflow.ir import MapType


@pytest.mark.parametrize("name", ["qemu-m3", "qemu-m0"])
def test_verify_must_compare_the_maps_of_bits_and_integers_of_a_board(name: str, tmp_path: Path) -> None:
    network = every_kind(0, channels=4)
    kinds = {layer.output_type for layer in network.layers}
    assert kinds == {MapType.BITS, MapType.INTEGERS, MapType.SCORES}
    images = random_images(network.input_spec, 4, 0)
    labels = HostEngine(network).predict(images)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    save(network, tmp_path / "net.bfn")
    build(network, board(name), tmp_path)
    code = "from bitflow.cli.app import main; main()"
    words = ("verify", "net.bfn", "--data", "npz:data.npz", "--board", name, "--json")
    done = subprocess.run((sys.executable, "-c", code, *words), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["equal"]
    assert [step["name"] for step in found["steps"]] == ["packed", "C on the host", f"C on {name}"]
    assert all(step["images"] == 4 for step in found["steps"])
