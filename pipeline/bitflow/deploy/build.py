"""Builds the firmware of a network for a board, in .bitflow/firmware of the project folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bitflow import resources
from bitflow._version import __version__
from bitflow.boards import Board, boards
from bitflow.deploy import environments, platformio
from bitflow.emit import codegen
from bitflow.errors import CheckFailed, InputError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format as plan_image
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.planner.plan import Plan

__all__ = ["Built", "build", "folder_of"]

_IN_FLASH = (".vectors", ".fast", ".text", ".rodata", ".ARM.exidx", ".data")
_IN_RAM = (".data", ".bss", ".arena")
_COPIED = ("src", "lib", "platform")  # made anew, so that no file of an earlier network stays


@dataclass(frozen=True, slots=True)
class Built:
    """A firmware. flash_bytes, ram_bytes: what it takes, the stack included; stack_bytes: room for the stack.

    fresh: whether it was compiled now, rather than found from an earlier build.
    """

    board: str
    folder: Path
    elf: Path
    crc32: int
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    fresh: bool


def folder_of(network: PackedNetwork, project_folder: Path) -> Path:
    """Where the firmware project of a network is."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", network.name).strip("-") or "model"
    return project_folder / ".bitflow" / "firmware" / name


def build(
    network: PackedNetwork,
    board: Board,
    project_folder: Path,
    flash_budget: int = 0,
    ram_budget: int = 0,
    objective: Objective = "balanced",
    method: str | None = None,
    mlperf: str = "",
) -> Built:
    """Generate and compile; what was built from the same network, sources and compiler is not built again.

    Budgets are bytes, 0: what the board has. wish: what kernels are chosen for. method:
    of upload. mlperf: the test of MLPerf Tiny that it names. Raises InputError for a board without
    firmware, CheckFailed where a budget or a memory is too small, MissingError where a tool is missing.
    """
    if not board.buildable:
        names = ", ".join(row.name for row in boards() if row.buildable)
        raise InputError(f"no firmware for board {board.name} ({board.says}); boards to build for: {names}")
    folder = folder_of(network, project_folder)
    elf = platformio.firmware(folder, board.name)
    stamp = elf.with_name("bitflow.json")
    plan = plan_for(network, board, objective, flash_budget, ram_budget)
    # PlatformIO drops the builds of all boards where these change: they are the same for as many as can be.
    files = environments.files(plan.arena_bytes, methods={board.name: method} if method else None)
    with _locked(folder):
        key = _key(network, plan, board, files | {"mlperf": mlperf})
        sizes = _built_before(stamp, elf, key)
        fresh = sizes is None
        if sizes is None:
            stamp.unlink(missing_ok=True)
            for name in _COPIED:
                shutil.rmtree(folder / name, ignore_errors=True)
            codegen.generate_platformio(network, folder, files, plan=plan, mlperf=mlperf)
            platformio.run(folder, board.name, bare=board.bare is not None)
            sizes = _measure(elf)
            stamp.write_text(json.dumps({"key": key, **asdict(sizes)}))
    built = Built(
        board.name, folder, elf, Image.of(network).crc32, sizes.flash, sizes.static + sizes.stack, sizes.stack, fresh
    )
    _check("flash", built.flash_bytes, flash_budget or board.flash, board)
    _check("RAM", built.ram_bytes, ram_budget or board.ram, board)
    return built


def _check(memory: str, needed: int, limit: int | None, board: Board) -> None:
    if limit is not None and needed > limit:
        raise CheckFailed(f"the firmware needs {needed} bytes of {memory}, {limit} are allowed on {board.name}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time in a folder, across processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key(network: PackedNetwork, plan: Plan, board: Board, files: Mapping[str, str]) -> str:
    """What a firmware depends on, as one number: network, plan, sources, templates, compiler, board."""
    digest = hashlib.sha256(f"{__version__}\0{board.name}\0".encode())
    digest.update("\0".join(f"{name}\0{text}" for name, text in sorted(files.items())).encode())
    digest.update(Image.of(network).data + plan_image.encode(network, plan))
    compiler = shutil.which(platformio.COMPILER)
    if compiler:
        path = Path(compiler).resolve()
        digest.update(f"{path}\0{path.stat().st_mtime_ns}".encode())
    for root in (resources.firmware(), resources.templates()):
        for path in sorted(root.rglob("*")):
            if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(root).parts):
                digest.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Sizes:
    flash: int
    static: int
    stack: int


def _built_before(stamp: Path, elf: Path, key: str) -> _Sizes | None:
    try:
        facts = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return None
    if facts.pop("key", None) != key or not elf.is_file():
        return None
    return _Sizes(**facts)


def _measure(elf: Path) -> _Sizes:
    tool = platformio.compiler().removesuffix("gcc")
    sections = {
        words[0]: int(words[1])
        for line in _output(f"{tool}size", "-A", "-d", str(elf)).splitlines()
        if len(words := line.split()) == 3 and words[1].isdigit()
    }
    symbols = {
        words[2]: int(words[0], 16)
        for line in _output(f"{tool}nm", str(elf)).splitlines()
        if len(words := line.split()) == 3
    }
    flash, static = (sum(sections.get(name, 0) for name in names) for names in (_IN_FLASH, _IN_RAM))
    return _Sizes(flash, static, symbols.get("_stack_size", 0))


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
