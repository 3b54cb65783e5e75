"""build, flash, emulate, hil, boards, doctor as a person types them."""

from __future__ import annotations

import contextlib
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

from bitflow.boards import board
from bitflow.deploy.build import build
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import load, save
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network

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
    save(network, folder / "net.bfn")
    save(pack(fuse(random_network(4))), folder / "other.bfn")
    images = random_images(network.input_spec, 30, 0)
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
    out, err = process.communicate(timeout=600)
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


def test_boards_side_by_side_report_each(project: Path) -> None:
    """One of them is not plugged in: it is named, and the others go on."""
    words = ("hil", "net.bfn", "--data", "npz:data.npz", "--board", "qemu-m4,stm32h7,qemu-m3", "--json")
    files = ("--report", "r.html", "--log", "r.jsonl", "--junit", "many.xml")
    code, out, err = run(project, *words, *files)
    assert (code, err.count("\n")) == (1, 1), err
    assert "no stm32h7 is plugged in" in err
    first, absent, last = json.loads(out)["boards"]
    assert [(row["board"], row["images"], row["mismatches"]) for row in (first, last)] == [
        ("qemu-m4", 30, 0),
        ("qemu-m3", 30, 0),
    ]
    assert absent.keys() == {"board", "error"}
    assert (project / "r.html").read_text().startswith("<!doctype html>")
    records = [json.loads(line) for line in (project / "r.jsonl").read_text().splitlines()]
    assert [record["board"] for record in records] == ["qemu-m4", "stm32h7", "qemu-m3"]
    assert records[0]["versions"].keys() == {"bitflow", "python", "gcc", "qemu"}
    suites = ET.parse(project / "many.xml").getroot()
    assert [(suite.get("failures"), suite.get("errors")) for suite in suites] == [("0", "0"), ("0", "0"), ("0", "1")]


def test_budget_of_accuracy_must_be_kept(project: Path, tmp_path: Path) -> None:
    """Half of the labels are wrong here; a budget of latency is not checked on an emulated board, and that is said."""
    with np.load(project / "data.npz") as data:
        labels = np.where(np.arange(30) % 2, data["y_test"], (data["y_test"] + 1) % 2)
        np.savez(tmp_path / "half.npz", x_train=data["x_test"], y_train=labels, x_test=data["x_test"], y_test=labels)
    (tmp_path / "bitflow.toml").write_text("[budget]\naccuracy = 0.97\nlatency_ms = 50\n")
    (tmp_path / ".bitflow").symlink_to(project / ".bitflow")
    code, _, err = run(tmp_path, "hil", str(project / "net.bfn"), "--data", "npz:half.npz", "--limit", "8")
    note, line = err.splitlines()
    assert code == 1
    assert "latency budget is not checked on qemu-m4" in note
    assert line.endswith("the budget is 97.00%")


def test_soak_ends_with_its_time(project: Path) -> None:
    code, out, err = run(project, "hil", "net.bfn", "--data", "npz:data.npz", "--soak", "3s", "--limit", "2", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["mismatches"] == 0
    assert result["images"] > 2, "again and again"
    assert result["seconds"] >= 3
    assert result["stack_bytes"] > 0


def names_of_children(pid: int) -> list[str]:
    names = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            with contextlib.suppress(OSError):  # it ended meanwhile
                names.append(Path(f"/proc/{child}/comm").read_text().strip())
    return names


def test_soak_ends_with_ctrl_c_and_its_summary(project: Path) -> None:
    process = start(project, "hil", "net.bfn", "--data", "npz:data.npz", "--soak", "2h")
    end = time.monotonic() + 300
    while time.monotonic() < end and "qemu-system-arm" not in names_of_children(process.pid):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("qemu-m4: ")
    assert "mismatches 0" in out


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
        process.communicate(timeout=300)
    assert process.returncode == (0 if number == signal.SIGINT else -number)
    assert names == ["qemu-system-arm"]
    end = time.monotonic() + 120
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()


def test_other_network_on_the_board_is_named(project: Path) -> None:
    """Before anything else is compared."""
    from bitflow_hil.devices.emulator import Emulator

    elf = build(load(project / "net.bfn"), board("qemu-m4"), project).elf
    other = load(project / "other.bfn")
    images = random_images(other.input_spec, 5, 0)
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
        (3, ("hil", "net.bfn", "--data", "npz:data.npz", "--board", "stm32h7"), "no stm32h7 is plugged in"),
        (2, ("hil", "net.bfn", "--board", "qemu-m3,qemu-m4", "--port", "/dev/none"), "--port belongs to one board"),
        (2, ("hil", "net.bfn", "--board", "qemu-m3,qemu-m3"), "twice"),
        (2, ("hil", "net.bfn", "--data", "npz:data.npz", "--soak", "soon"), "not a duration"),
        (2, ("hil", "net.bfn", "--data", "npz:data.npz", "--report", "none/r.html"), "no such folder"),
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
