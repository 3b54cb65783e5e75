"""Boards that run MicroPython, as a person uses them: bitflow's commands, mpremote's commands, the README's session."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mpremote.transport_serial import SerialTransport

import bitflow
from bitflow.boards import board
from bitflow.deploy import micropython as deploy
from bitflow.deploy import micropython_build as builder
from bitflow.deploy.micropython_source import Source
from bitflow.errors import DeviceError
from bitflow.resources import builtin_model
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.repl import Repl

BOARDS = ("qemu-m3", "qemu-m4", "qemu-m7")
README = Path(__file__).parents[2] / "README.md"
DIGITS = builtin_model("digits").stat().st_size  # bytes


def command(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "from bitflow.cli.app import main; main()", *words]
    return subprocess.run(call, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


def mpremote(port: str, *words: str, cwd: Path | None = None) -> str:
    call = [sys.executable, "-m", "mpremote", "connect", port, *words]
    done = subprocess.run(call, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name", [name if name == "qemu-m4" else pytest.param(name, marks=pytest.mark.long) for name in BOARDS]
)
def test_hil_must_compare_every_score(toolchain: Source, name: str) -> None:
    done = command(
        "hil",
        "builtin:digits",
        "--data",
        "digits",
        "--runtime",
        "micropython",
        "--board",
        name,
        "--limit",
        "60",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["runtime"], result["images"], result["mismatches"]) == ("micropython", 60, 0)
    assert result["accuracy"] == result["host_accuracy"]
    assert result["instructions_per_image"] > 1000


@pytest.mark.parametrize("name", BOARDS)
def test_flash_must_say_what_it_did(toolchain: Source, name: str) -> None:
    done = command("flash", "builtin:digits", "--runtime", "micropython", "--board", name, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["architecture"], result["abi"]) == (board(name).mpy.arch, "6.3")
    assert (result["model.bfn"], result["self_test"]) == (DIGITS, "passed")


def test_build_must_write_module_and_network(toolchain: Source, tmp_path: Path) -> None:
    done = command("build", "builtin:digits", "--runtime", "micropython", "--board", "stm32h7", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["architecture"] == "armv7emdp"
    assert Path(result["module"]).read_bytes()[:2] == b"M\x06"
    assert Path(result["model"]).stat().st_size == DIGITS


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ("flash", "--board", "qemu-m33"), "emulated are qemu-m3, qemu-m4, qemu-m7"),
        (3, ("flash", "--board", "rp2040"), "use --port"),
        (3, ("flash", "--board", "rp2040", "--port", "/dev/none"), "/dev/none"),
        (2, ("hil", "--board", "host", "--data", "digits"), "no MicroPython for board host"),
    ],
)
def test_error_must_be_one_line(toolchain: Source, code: int, words: tuple[str, ...], says: str) -> None:
    done = command(words[0], "builtin:digits", "--runtime", "micropython", *words[1:])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert says in done.stderr


def test_other_architecture_must_be_named(m4: Emulator) -> None:
    with Repl(m4.port) as repl, pytest.raises(DeviceError, match="expected armv6m, got armv7emsp"):
        deploy.install(repl, bitflow.load("builtin:digits"), board("rp2040"))


def test_damaged_file_must_be_refused(m4: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with Repl(m4.port) as repl:
        repl.put(b"whole", "file")
        run = repl.run
        monkeypatch.setattr(repl, "run", lambda program: run(program.replace("f.write", "f.write(b'x');f.write")))
        with pytest.raises(DeviceError, match="arrived damaged"):
            repl.put(b"other", "file")
        monkeypatch.undo()
        assert repl.value("open('file', 'rb').read()") == b"whole"


@pytest.mark.parametrize("name", BOARDS)
def test_mpremote_must_work_as_on_a_real_board(toolchain: Source, tmp_path: Path, name: str) -> None:
    target = board(name)
    assert target.mpy is not None
    folder = deploy.package(builder.module(target.mpy.arch), tmp_path)
    bitflow.load("builtin:digits").save(tmp_path / "digits.bfn")
    (tmp_path / "hello.py").write_text("print('hello from', __import__('sys').platform)")
    (tmp_path / "host_only.py").write_text("def answer():\n    return 42\n")
    with Emulator(target, builder.emulated(target)) as emulator:
        port = emulator.port
        assert mpremote(port, "exec", "print(6 * 7)").split() == ["42"]
        assert "hello from qemu" in mpremote(port, "run", str(tmp_path / "hello.py"))
        mpremote(port, "cp", str(tmp_path / "digits.bfn"), ":")
        assert f"{DIGITS} digits.bfn" in mpremote(port, "ls")
        assert "42" in mpremote(port, "mount", str(tmp_path), "exec", "import host_only; print(host_only.answer())")
        mpremote(port, "mip", "install", str(folder / "package.json"))
        said = mpremote(port, "exec", "import bitflow; print(bitflow.Model('digits.bfn').predict(bytes(64)))")
        expected = bitflow.load("builtin:digits").predict(np.zeros((1, 8, 8, 1), np.uint8))[0]
        assert said.split() == [str(expected)]


def test_emulate_must_serve_a_repl_with_bitflow(toolchain: Source, tmp_path: Path) -> None:
    """The README's session, typed at the prompt of the board that the README's command starts."""
    text = README.read_text(encoding="utf-8")
    match = re.search(r"^\$ (bitflow emulate [^#\n]*--runtime micropython[^#\n]*)", text, re.MULTILINE)
    assert match is not None
    block = next(part for part in re.findall(r"```pycon\n(.*?)```", text, re.DOTALL) if "import bitflow" in part)
    words = match[1].split()[1:]
    call = [sys.executable, "-c", "from bitflow.cli.app import main; main()", *words]
    with subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            said = _type(port, [line[4:] for line in block.splitlines() if line.startswith(">>> ")])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=300)
    assert said == block


def _type(port: str, lines: list[str]) -> str:
    """What a person sees who types lines at the prompt."""
    transport = SerialTransport(port)
    prompt = b"\r\n>>> "
    try:
        transport.serial.write(b"print('re' + 'ady')\r")  # what comes before is the banner, and a prompt or two
        transport.read_until(1, b"ready" + prompt, timeout=600)
        seen = ">>> "
        for line in lines:
            transport.serial.write(line.encode() + b"\r")
            seen += transport.read_until(1, prompt, timeout=600).decode()
        return seen.replace("\r\n", "\n").removesuffix(">>> ")
    finally:
        transport.close()
