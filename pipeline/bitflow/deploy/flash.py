"""Flashes a board and asks it what it runs. An emulated board is booted once, tested and stopped."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bitflow.boards import Board, Method
from bitflow.deploy import platformio, upload
from bitflow.deploy.build import Built
from bitflow.deploy.upload import Target
from bitflow.errors import BitflowError, CheckFailed, DeviceError, MissingError
from bitflow_hil.devices import emulator, ports
from bitflow_hil.devices.device import Device
from bitflow_hil.link.transport import SerialTransport

__all__ = ["Flashed", "commands", "flash", "flash_emulated", "ready"]

UPLOAD_S = 300.0
"""Time limit of an external command, seconds."""

RETURN_S = 20.0
"""Time limit from the end of an upload to the board's first answer, seconds."""


@dataclass(frozen=True, slots=True)
class Flashed:
    """What the board answered.

    cpuid: its core.
    network, crc32: its network.
    version: of BitFlow.
    stack_used: stack that a run used, bytes.
    port: where it answered; None for an emulated board, which was stopped.
    """

    board: str
    cpuid: int
    network: str
    crc32: int
    version: str
    build_id: str
    stack_used: int
    port: str | None = None


def commands(target: Target, method: str) -> list[str]:
    """The external commands of a flash, as one would type them."""
    words = [platformio.command(target.folder, target.board.name)]
    if target.board.emulated:
        words.append(emulator.command(target.board, target.elf))
    else:
        words += upload.commands(target, upload.method_for(target.board, method))
    return [shlex.join(one) for one in words]


def flash_emulated(built: Built, board: Board) -> Flashed:
    """Boot, compare core and network, run the self-test, stop.

    Raises DeviceError if the board does not answer or is another one, CheckFailed if its scores are wrong.
    """
    with emulator.Emulator(board, built.elf) as running, Device(SerialTransport(running.port, board.baud)) as device:
        return _tested(device, built, board, None)


def ready(target: Target, method: str) -> tuple[Target, Method]:
    """Check before anything is built or changed; returns the one board to flash, and the method.

    Raises MissingError without the method's tool, DeviceError if no such board is plugged in, InputError that lists the
    boards if there are several.
    """
    chosen = upload.method_for(target.board, method)
    upload.require_tool(target.board, chosen)
    if target.port is not None:
        return replace(target, probe=target.probe or ports.serial_number(target.port)), chosen
    if chosen in ("dfu", "uf2"):  # a board in this boot loader has no serial port
        return target, chosen
    found = ports.find(target.board, target.probe)
    return replace(target, port=str(found.device), probe=found.serial_number), chosen


def flash(built: Built, target: Target, method: Method, again: str) -> Flashed:
    """Upload, wait for the board to come back, compare core and network, run the self-test.

    target, method: from ready().
    again: the command that repeats the flash, for messages.

    Raises BitflowError if the upload fails or is interrupted, DeviceError if the board does not answer or is another
    one, CheckFailed if its scores are wrong.
    """
    for words in upload.commands(target, method):
        _run(words, built.folder / "upload.log", target.board, again)
    port = target.port or str(ports.wait_for(target.board, target.probe, RETURN_S).device)
    with _answering(target.board, port) as device:
        return _tested(device, built, target.board, port)


def _tested(device: Device, built: Built, board: Board, port: str | None) -> Flashed:
    wrong = device.self_test()
    info = device.info()
    if not board.is_core(info.cpuid):
        raise DeviceError(f"{board.name}: CPUID {info.cpuid:08x} is another core")
    if info.crc32 != built.crc32:
        raise DeviceError(f"{board.name} runs {info.name} {info.crc32:08x}, not {built.crc32:08x}")
    if wrong:
        raise CheckFailed(f"self-test on {board.name}: {wrong} of {info.classes} scores differ")
    return Flashed(board.name, info.cpuid, info.name, info.crc32, info.version, info.build_id, info.stack_used, port)


def _answering(board: Board, port: str) -> Device:
    """The device, as soon as it answers."""
    end = time.monotonic() + RETURN_S
    while True:
        try:
            return Device(SerialTransport(port, board.baud))
        except DeviceError:
            if time.monotonic() > end:
                raise
            time.sleep(0.25)


def _run(words: list[str], log: Path, board: Board, again: str) -> None:
    """Run an external command, its output in a log. All its processes end if it takes too long or is interrupted."""
    state = f"{board.name} may hold part of the firmware; repeat with: {again}"
    with log.open("w") as output:
        try:
            process = subprocess.Popen(
                words,
                env=platformio.variables(log.parent),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise MissingError(f"{words[0]}: {error.strerror}") from error
        try:
            code = process.wait(UPLOAD_S)
        except subprocess.TimeoutExpired:
            _end(process)
            raise BitflowError(f"{words[0]} did not end in {UPLOAD_S:g} s and was stopped; {state}") from None
        except KeyboardInterrupt:
            _end(process)
            raise BitflowError(f"the upload was interrupted; {state}") from None
    if code:
        how = f"was killed by signal {-code}" if code < 0 else f"failed with {code}"
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = next((line for line in lines if "rror" in line), lines[-1] if lines else "no output")
        raise BitflowError(f"{words[0]} {how}: {said} (see {log}); {state}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to all its processes, and after two seconds SIGKILL to those that remain."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            continue
        return
