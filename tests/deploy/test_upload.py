"""The commands that flash each board, printed, and run with stand-ins for the tools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitflow.boards import Board, board, boards
from bitflow.deploy import flash, platformio, upload
from bitflow.deploy.build import Built, build
from bitflow.deploy.upload import Target
from bitflow.errors import BitflowError, DeviceError, InputError, MissingError
from bitflow.image.bfn import Image, load
from bitflow.resources import builtin_model
from bitflow_hil.devices import ports
from bitflow_hil.devices.emulator import Emulator

REAL = [row.name for row in boards() if row.upload]
DIGITS = f"{Image.of(load(builtin_model('digits'))).crc32:08x}"

# What a tool does, as a shell script: stand-ins for programs that talk to a programmer on USB.
BEHAVES = "echo ok\n"
FAILS = "echo looking\necho 'Error: open failed'\nexit 1\n"
HANGS = "sleep 600 & wait\n"
DIES = "echo wrote 4096 of 50000 bytes\nkill -9 $$\n"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a stand-in for a tool on PATH; returns the file that tells with which words it was called."""

    def make(name: str, does: str) -> Path:
        folder, calls = tmp_path / "bin", tmp_path / f"{name}.calls"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{calls}"\n{does}')
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return calls

    return make


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Firmware of a real board, and of the emulated one with the same chip family."""
    folder = tmp_path_factory.mktemp("project")
    network = load(builtin_model("digits"))
    return {name: build(network, board(name), folder) for name in ("stm32f4", "qemu-stm32f4")}


@pytest.fixture
def port(built: dict[str, Built]) -> Iterator[str]:
    """A port where the firmware of an STM32F4 answers."""
    with Emulator(board("qemu-stm32f4"), built["qemu-stm32f4"].elf) as emulator:
        yield emulator.port


def command(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    code = "from bitflow.cli.app import main; main()"
    return subprocess.run(
        (sys.executable, "-c", code, *words), cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )  # fmt: skip


def is_running(pid: int) -> bool:
    """Whether a process is more than an entry that nobody asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def words(name: str, method: str, **place: str) -> list[list[str]]:
    return upload.commands(Target(board(name), Path("dir"), **place), upload.method_for(board(name), method))


@pytest.mark.parametrize("name", REAL)
def test_dry_run_prints_the_commands_of_every_method_and_runs_none(name: str, tmp_path: Path) -> None:
    row = board(name)
    assert row.upload is not None
    for method in row.upload.methods:
        lines = flash.commands(Target(row, tmp_path), method)
        assert f"-m platformio run -d {tmp_path} -e {name}" in lines[0]
        last = lines[-1]
        tool = {"stlink": "openocd", "dfu": "dfu-util", "pyocd": "pyocd", "serial": "stm32loader"}.get(method, "")
        own = row.bare is not None or method == "pyocd"
        assert last.startswith(tool) if own else last.endswith(f"-e {name} -t upload")
    assert not list(tmp_path.iterdir())


def test_commands_are_those_of_the_tools() -> None:
    elf = "dir/.pio/build/stm32h7/firmware.elf"
    assert words("stm32h7", "stlink", probe="0039") == [
        [
            "openocd", "-f", "interface/stlink.cfg", "-c", "adapter serial 0039", "-f", "target/stm32h7x.cfg",
            "-c", f"program {{{elf}}} verify reset exit",
        ]
    ]  # fmt: skip
    assert words("stm32h7", "pyocd") == [["pyocd", "flash", "--target", "stm32h743xx", elf]]
    binary = "dir/.pio/build/blackpill_f411ce/firmware.bin"
    assert words("blackpill_f411ce", "dfu", probe="7") == [
        ["arm-none-eabi-objcopy", "-O", "binary", binary.replace(".bin", ".elf"), binary],
        ["dfu-util", "-a", "0", "-d", "0483:df11", "-s", "0x08000000:leave", "-S", "7", "-D", binary],
    ]
    assert words("blackpill_f411ce", "serial", port="/dev/ttyUSB0")[1][:3] == ["stm32loader", "-p", "/dev/ttyUSB0"]
    assert words("teensy41", "serial", port="COM3")[0][-4:] == ["-t", "upload", "--upload-port", "COM3"]


def test_method_of_another_board_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be flashed by uf2, only by stlink, pyocd"):
        upload.method_for(board("stm32h7"), "uf2")
    with pytest.raises(InputError, match="cannot be flashed"):
        upload.method_for(board("host"), "auto")


def test_auto_takes_the_tool_that_is_here(
    tool: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert upload.method_for(board("stm32h7"), "auto") == "stlink"
    with pytest.raises(MissingError, match="apt-get install openocd"):
        upload.require_tool(board("stm32h7"), "stlink")
    tool("pyocd", BEHAVES)
    assert upload.method_for(board("stm32h7"), "auto") == "pyocd"
    tool("openocd", BEHAVES)
    assert upload.method_for(board("stm32h7"), "auto") == "stlink"
    upload.require_tool(board("stm32h7"), "stlink")


# ---- With a board that answers. ----


def test_flash_uploads_reads_back_and_tests(
    tool: Callable[[str, str], Path], port: str, built: dict[str, Built]
) -> None:
    calls = tool("openocd", BEHAVES)
    folder = built["stm32f4"].folder.parents[2]
    done = command("flash", "builtin:digits", "--board", "stm32f4", "--port", port, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "self_test  passed" in done.stdout
    assert DIGITS in done.stdout
    assert f"program {{{built['stm32f4'].elf}}} verify reset exit" in calls.read_text()


def test_upload_finds_the_packages_of_the_build(
    tool: Callable[[str, str], Path], built: dict[str, Built], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Uploads by PlatformIO must not fetch and build everything again in another place."""
    tool("openocd", f'echo "$PLATFORMIO_CORE_DIR" "$PLATFORMIO_PLATFORMS_DIR" > {tmp_path / "told"}\n')
    monkeypatch.setattr(flash, "RETURN_S", 0.1)
    folder = built["stm32f4"].folder
    with pytest.raises(DeviceError):
        flash.flash(built["stm32f4"], Target(board("stm32f4"), folder, "/dev/none"), "stlink", "x")
    assert (tmp_path / "told").read_text().split() == [str(platformio.core_folder()), str(folder / ".pio/platforms")]


@pytest.mark.parametrize(
    ("does", "says"),
    [(FAILS, "failed with 1: Error: open failed"), (DIES, "was killed by signal 9: wrote 4096 of 50000")],
)
def test_upload_that_fails_says_what_it_leaves_and_how_to_repeat(
    tool: Callable[[str, str], Path], port: str, built: dict[str, Built], does: str, says: str
) -> None:
    tool("openocd", does)
    folder = built["stm32f4"].folder.parents[2]
    done = command("flash", "builtin:digits", "--board", "stm32f4", "--port", port, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"openocd {says}" in done.stderr
    assert (
        f"may hold part of the firmware; repeat with: bitflow flash builtin:digits --board stm32f4 --port {port}"
        in done.stderr
    )


def test_upload_that_hangs_is_stopped_with_its_children(
    tool: Callable[[str, str], Path], built: dict[str, Built], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool("openocd", f"sleep 600 & echo $! > {tmp_path / 'pid'}\nwait\n")
    monkeypatch.setattr(flash, "UPLOAD_S", 3)
    with pytest.raises(BitflowError, match=r"openocd did not end in 3 s and was stopped; .* repeat with: x"):
        flash.flash(built["stm32f4"], Target(board("stm32f4"), built["stm32f4"].folder, "/dev/none"), "stlink", "x")
    child = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 120
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(child)


def test_upload_that_is_interrupted_says_how_to_repeat(
    tool: Callable[[str, str], Path], port: str, built: dict[str, Built], tmp_path: Path
) -> None:
    tool("openocd", f"touch {tmp_path / 'begun'}\n{HANGS}")
    code = "from bitflow.cli.app import main; main()"
    running = subprocess.Popen(
        (sys.executable, "-c", code, "flash", "builtin:digits", "--board", "stm32f4", "--port", port),
        cwd=built["stm32f4"].folder.parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 300
    while not (tmp_path / "begun").exists() and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (1, "")
    assert "the upload was interrupted" in err
    assert "repeat with: bitflow flash" in err


def test_board_that_does_not_come_back_is_said(
    tool: Callable[[str, str], Path], built: dict[str, Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("openocd", BEHAVES)
    monkeypatch.setattr(flash, "RETURN_S", 0.5)
    with pytest.raises(DeviceError, match="cannot open /dev/none"):
        flash.flash(built["stm32f4"], Target(board("stm32f4"), built["stm32f4"].folder, "/dev/none"), "stlink", "x")


def test_board_that_runs_another_network_is_refused(
    tool: Callable[[str, str], Path], port: str, built: dict[str, Built]
) -> None:
    tool("openocd", BEHAVES)
    other = Built(**{**{name: getattr(built["stm32f4"], name) for name in Built.__slots__}, "crc32": 1})
    with pytest.raises(DeviceError, match=f"runs digits {DIGITS}, not 00000001"):
        flash.flash(other, Target(board("stm32f4"), other.folder, port), "stlink", "x")


# ---- Which board. ----


class Port:
    """What pyserial tells of a USB port: a stand-in, as nothing is plugged in here."""

    def __init__(self, device: str, usb: str, serial_number: str) -> None:
        self.device, self.serial_number = device, serial_number
        self.vid, self.pid = (int(part, 16) for part in usb.split(":"))


def plug(monkeypatch: pytest.MonkeyPatch, *found: Port) -> None:
    monkeypatch.setattr(ports, "_plugged_in", lambda: list(found))


def test_board_is_found_by_its_usb_id(monkeypatch: pytest.MonkeyPatch, tool: Callable[[str, str], Path]) -> None:
    tool("openocd", BEHAVES)
    plug(monkeypatch, Port("/dev/ttyS0", "1234:5678", "a"), Port("/dev/ttyACM0", "0483:374e", "0039"))
    target, method = flash.ready(Target(board("stm32h7"), Path("dir")), "auto")
    assert (target.port, target.probe, method) == ("/dev/ttyACM0", "0039", "stlink")


def test_port_tells_which_probe(monkeypatch: pytest.MonkeyPatch, tool: Callable[[str, str], Path]) -> None:
    tool("openocd", BEHAVES)
    plug(monkeypatch, Port("/dev/ttyACM0", "0483:374e", "0039"), Port("/dev/ttyACM1", "0483:374e", "0040"))
    target, _ = flash.ready(Target(board("stm32h7"), Path("dir"), port="/dev/ttyACM1"), "stlink")
    assert target.probe == "0040"
    target, _ = flash.ready(Target(board("stm32h7"), Path("dir"), probe="0039"), "stlink")
    assert target.port == "/dev/ttyACM0"


def test_two_boards_of_a_kind_are_listed(monkeypatch: pytest.MonkeyPatch, tool: Callable[[str, str], Path]) -> None:
    tool("openocd", BEHAVES)
    plug(monkeypatch, Port("/dev/ttyACM0", "0483:374e", "0039"), Port("/dev/ttyACM1", "0483:374e", "0040"))
    listed = "2 ports look like stm32h7, choose one: --port /dev/ttyACM0 or --probe 0039; --port /dev/ttyACM1"
    with pytest.raises(InputError, match=listed):
        flash.ready(Target(board("stm32h7"), Path("dir")), "stlink")


def test_no_board_is_said(monkeypatch: pytest.MonkeyPatch, tool: Callable[[str, str], Path]) -> None:
    tool("openocd", BEHAVES)
    plug(monkeypatch)
    with pytest.raises(DeviceError, match="no stm32h7 is plugged in"):
        flash.ready(Target(board("stm32h7"), Path("dir")), "stlink")


def test_board_that_waits_for_dfu_needs_no_port(
    monkeypatch: pytest.MonkeyPatch, tool: Callable[[str, str], Path]
) -> None:
    tool("dfu-util", BEHAVES)
    plug(monkeypatch)
    row: Board = board("blackpill_f411ce")
    assert flash.ready(Target(row, Path("dir")), "auto") == (Target(row, Path("dir")), "dfu")
