"""build, flash, emulate, hil, boards, doctor as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from bitflow.check.host import HostEngine
from bitflow.check.random_networks import random_images, random_network
from bitflow.deploy.boards import board
from bitflow.deploy.build import build
from bitflow.ir import PackedNetwork
from bitflow.lower import image
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="arm-none-eabi-gcc or qemu-system-arm is not installed",
)

SEED = 1  # random-1 takes uint8 pixels and gives more than one class


@pytest.fixture(scope="module")
def network() -> PackedNetwork:
    return pack(fuse(random_network(SEED)))


@pytest.fixture(scope="module")
def project(network: PackedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, test images and a firmware of qemu-m4."""
    folder = tmp_path_factory.mktemp("a project")
    image.save(network, folder / "net.bfn")
    image.save(pack(fuse(random_network(4))), folder / "other.bfn")
    images = random_images(network.contract, 30, 0)
    labels = HostEngine(network).predict(images)
    np.savez(folder / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    build(network, board("qemu-m4"), folder)
    return folder


def start(project: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    code = "from bitflow.cli.app import main; main()"
    return subprocess.Popen(
        (sys.executable, "-c", code, *words),
        cwd=project,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project: Path, *words: str, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(project, *words, **env)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_hil_reports_json_and_junit(project: Path) -> None:
    code, out, err = run(
        project, "hil", "net.bfn", "--data", "npz:data.npz", "--limit", "9", "--json", "--junit", "r.xml"
    )
    assert code == 0, err
    result = json.loads(out)
    assert (result["board"], result["images"], result["mismatches"], result["retries"]) == ("qemu-m4", 9, 0, 0)
    assert result["accuracy"] == result["host_accuracy"] == 1.0
    assert result["instructions_per_image"] > 1000
    assert ET.parse(project / "r.xml").getroot().get("failures") == "0"


def test_flash_passes_its_self_test(project: Path) -> None:
    code, out, err = run(project, "flash", "net.bfn", "--json")
    assert (code, json.loads(out)["self_test"]) == (0, "passed"), err


def test_dry_run_prints_commands_and_runs_none(project: Path) -> None:
    code, out, _ = run(project, "flash", "other.bfn", "--dry-run")
    assert code == 0
    assert "platformio run" in out
    assert "qemu-system-arm -M mps2-an386" in out
    assert not (project / ".bitflow" / "firmware" / "random-9").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_emulated_board_serves_a_port_until_it_is_ended(project: Path, network: PackedNetwork, number: int) -> None:
    process = start(project, "emulate", "net.bfn")
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children]
    try:
        code, _, err = run(project, "hil", "net.bfn", "--data", "npz:data.npz", "--port", port)
        assert code == 0, err
    finally:
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == (0 if number == signal.SIGINT else -number)
    assert names == ["qemu-system-arm"]
    end = time.monotonic() + 5
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()


def test_other_network_on_the_board_is_named(project: Path) -> None:
    """Before anything else is compared."""
    from bitflow_hil.emulator import Emulator

    elf = build(image.load(project / "net.bfn"), board("qemu-m4"), project).elf
    other = image.load(project / "other.bfn")
    images = random_images(other.contract, 5, 0)
    labels = HostEngine(other).predict(images)
    np.savez(project / "other.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with Emulator(board("qemu-m4"), elf) as emulator:
        code, out, err = run(project, "hil", "other.bfn", "--data", "npz:other.npz", "--port", emulator.port)
    assert (code, out) == (2, "")
    assert "you asked for" in err
    assert "bitflow flash" in err


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ("build", "net.bfn", "--board", "qemu-m5"), "did you mean"),
        (2, ("build", "net.bfn", "--board", "host"), "no firmware for board"),
        (2, ("hil", "net.bfn", "--data", "npz:data.npz", "--port", "foo://x"), "--port"),
        (3, ("hil", "net.bfn", "--data", "npz:data.npz", "--port", "/dev/none"), "no such port"),
        (2, ("flash", "net.bfn", "--board", "qemu-m0", "--runtime", "micropython"), "no MicroPython for board"),
    ],
)
def test_error_is_one_line(project: Path, code: int, words: tuple[str, ...], says: str) -> None:
    got, out, err = run(project, *words)
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_missing_tools_are_named(project: Path, tmp_path: Path) -> None:
    assert run(project, "build", "net.bfn", "--board", "qemu-m3", PATH=str(tmp_path))[0] == 3
    code, out, _ = run(project, "doctor", "--json", PATH=str(tmp_path))
    missing = [tool["name"] for tool in json.loads(out)["tools"] if tool["found"] is None]
    assert code == 0
    assert {"arm-none-eabi-gcc", "qemu-system-arm"} <= set(missing)


def test_boards_are_listed(project: Path) -> None:
    code, out, _ = run(project, "boards", "--json")
    rows = {row["name"]: row for row in json.loads(out)["boards"]}
    assert code == 0
    assert rows["qemu-m4"]["status"] == "emulated"
    assert rows["stm32h7"]["status"] == "built"
    assert "nucleo_h743zi" in run(project, "boards")[1]
