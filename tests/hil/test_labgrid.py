"""Boards of a labgrid farm: coordinator and exporter on this machine, two emulated boards, three competing clients."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.hil.hostile_line import HostileLine
from tests.hil.soaking import SOAK, digits_file

from bitflow.boards import board
from bitflow.deploy.build import build
from bitflow.errors import DeviceError, InputError, MissingError
from bitflow.image.bfn import load
from bitflow.resources import builtin_model
from bitflow_hil.devices import labgrid
from bitflow_hil.devices.emulator import Emulator

FOLDER = Path(os.environ.get("LABGRID_BIN", Path(__file__).parents[2] / ".venv" / "labgrid" / "bin"))
pytestmark = pytest.mark.skipif(
    not (FOLDER / "labgrid-client").exists(), reason="labgrid has no environment here: make setup"
)
BOARDS = 2
CLIENTS = 3
IMAGES = 3_334 if SOAK else 40  # of each client


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def client(farm: str, *words: str) -> str:
    done = subprocess.run((FOLDER / "labgrid-client", "-x", farm, *words), capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A coordinator's address: its places board-0 and board-1 are emulated boards that run digits."""
    folder = tmp_path_factory.mktemp("farm")
    address = f"127.0.0.1:{free_port()}"
    target = board("qemu-m4")
    elf = build(load(builtin_model("digits")), target, folder).elf
    with ExitStack() as stack:
        emulators = [stack.enter_context(Emulator(target, elf)) for _ in range(BOARDS)]
        lines = [stack.enter_context(HostileLine(lambda e=e: e.port, 0, 0)) for e in emulators]
        exports = "".join(
            f"b{number}:\n  NetworkSerialPort:\n    host: 127.0.0.1\n    port: {line.url.rpartition(':')[2]}\n"
            "    speed: 115200\n    protocol: raw\n"
            for number, line in enumerate(lines)
        )
        (folder / "exporter.yaml").write_text(exports)

        def start(name: str, *words: str) -> None:
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen((FOLDER / name, *words), cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start("labgrid-coordinator", "-l", address)
        wait_until(
            lambda: (
                subprocess.run((FOLDER / "labgrid-client", "-x", address, "places"), capture_output=True).returncode
                == 0
            )
        )
        start("labgrid-exporter", "-c", address, "--name", "desk", "exporter.yaml")
        wait_until(lambda: client(address, "resources").count("NetworkSerialPort") == BOARDS)
        for number in range(BOARDS):
            place = ("-p", f"board-{number}")
            client(address, *place, "create")
            client(address, *place, "add-match", f"desk/b{number}/*")
            client(address, *place, "set-tags", "board=qemu-m4")
        yield address


def wait_until(holds) -> None:
    end = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.fixture
def here(farm: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LG_COORDINATOR", farm)
    monkeypatch.setenv("BITFLOW_LABGRID", str(FOLDER / "labgrid-client"))
    return farm


@pytest.mark.long
@pytest.mark.usefixtures("here")
def test_three_clients_share_two_boards(tmp_path: Path) -> None:
    code = "from bitflow.cli.app import main; main()"
    what = ("hil", "builtin:digits", "--board", "qemu-m4", "--port", "labgrid:board=qemu-m4", "--json")
    command = (sys.executable, "-c", code, *what, "--data", digits_file(tmp_path, IMAGES))
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(CLIENTS)
    ]
    for process in running:
        out, err = process.communicate(timeout=1200)
        assert process.returncode == 0, err
        result = json.loads(out)
        assert (result["images"], result["mismatches"]) == (IMAGES, 0)


@pytest.mark.usefixtures("here")
def test_board_is_nobody_elses_until_it_is_given_back() -> None:
    with labgrid.place("labgrid:board=qemu-m4") as first, labgrid.place("labgrid:board=qemu-m4") as second:
        assert first != second
        code = "from bitflow_hil.devices import labgrid\nwith labgrid.place('labgrid:board=qemu-m4') as url: print(url)"
        third = subprocess.Popen((sys.executable, "-c", code), stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            third.wait(3)
    assert third.communicate(timeout=300)[0].strip() in (first, second)


def test_places_are_given_back_after_an_error(here: str) -> None:
    with pytest.raises(ZeroDivisionError), labgrid.place("labgrid:board=qemu-m4"):
        raise ZeroDivisionError
    assert "acquired: None" in client(here, "-p", "board-0", "show")
    assert "acquired: None" in client(here, "-p", "board-1", "show")
    assert client(here, "reservations").strip() == ""


@pytest.mark.usefixtures("here")
def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labgrid:KEY=VALUE"), labgrid.place("labgrid:qemu-m4"):
        pass
    monkeypatch.setenv("LG_COORDINATOR", f"127.0.0.1:{free_port()}")
    with pytest.raises(DeviceError, match="labgrid-client reserve"), labgrid.place("labgrid:board=qemu-m4"):
        pass
    monkeypatch.delenv("BITFLOW_LABGRID")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="BITFLOW_LABGRID"), labgrid.place("labgrid:board=qemu-m4"):
        pass
