"""Builds the firmware of a network for a board: its project is .bitflow/firmware/NAME of the project folder.

What was compiled is kept by its content in the user's cache: the same network and board in another project, or in
another process at the same time, is compiled once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bitflow import files, resources
from bitflow._version import __version__
from bitflow.boards import Board, boards
from bitflow.cores import Toolchain, core_of
from bitflow.deploy import environments, platformio
from bitflow.emit import codegen
from bitflow.errors import CheckFailed, InputError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.planner.plan import Plan

__all__ = ["Built", "build", "folder_of"]

_IN_FLASH = (".vectors", ".fast", ".text", ".rodata", ".ARM.exidx", ".data")
_IN_RAM = (".data", ".bss", ".arena")
_PROGRAM, _MAP, _SIZES = "firmware.elf", "firmware.map", "sizes.json"
_COPIED = ("src", "lib", "platform")  # made anew, so that no file of an earlier network stays


@dataclass(frozen=True, slots=True)
class Built:
    """A firmware. flash_bytes, ram_bytes: what it takes, the stack included; stack_bytes: room for the stack.

    fresh: whether it was compiled now, rather than found.
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
    return project_folder / ".bitflow" / "firmware" / files.file_name(network.name)


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
    """Generate and compile; what was built from the same network, sources and compiler, here or elsewhere, is found.

    Budgets are bytes, 0: what the board has. objective: of the kernels. method: of upload. mlperf: the test of MLPerf
    Tiny that it names.

    Raises InputError for a board without firmware, CheckFailed where a budget or a memory is too small, MissingError
    where a tool is missing.
    """
    if not board.buildable:
        names = ", ".join(row.name for row in boards() if row.buildable)
        raise InputError(f"no firmware for board {board.name} ({board.says}); boards to build for: {names}")
    folder = folder_of(network, project_folder)
    plan = plan_for(network, board, objective, flash_budget, ram_budget)
    # PlatformIO drops the builds of all boards where these change: they are the same for as many as can be.
    texts = environments.files(plan.arena_bytes, methods={board.name: method} if method else None)
    key = _key(network, plan, board, texts | {"mlperf": mlperf})
    stamp = platformio.firmware(folder, board.name).with_name("bitflow.json")
    with files.locked(folder / ".lock"):
        sizes, fresh = _built_before(stamp, key), False
        if sizes is None:
            stamp.unlink(missing_ok=True)
            for name in _COPIED:
                shutil.rmtree(folder / name, ignore_errors=True)
            codegen.generate_platformio(network, folder, texts, plan=plan, mlperf=mlperf)
            kept, fresh = files.built("firmware", _content(folder, board), lambda out: _compile(folder, board, out))
            sizes = _bring(kept, stamp, key)
    elf = platformio.firmware(folder, board.name)
    built = Built(
        board.name, folder, elf, Image.of(network).crc32, sizes.flash, sizes.static + sizes.stack, sizes.stack, fresh
    )
    _check("flash", built.flash_bytes, flash_budget or board.flash, board)
    _check("RAM", built.ram_bytes, ram_budget or board.ram, board)
    return built


def _check(memory: str, needed: int, limit: int | None, board: Board) -> None:
    if limit is not None and needed > limit:
        raise CheckFailed(f"the firmware needs {needed} bytes of {memory}, {limit} are allowed on {board.name}")


def _key(network: PackedNetwork, plan: Plan, board: Board, texts: Mapping[str, str]) -> str:
    """What a firmware depends on: network, plan, sources, generator, compiler, board."""
    return files.digest(
        *(__version__, board.name, files.program(_toolchain(board).compiler)),
        *(word for name_and_text in sorted(texts.items()) for word in name_and_text),
        *(Image.of(network).data, plan_format.encode(network, plan)),
        files.tree_digest(resources.firmware(), resources.templates().parent),
    )


def _content(project: Path, board: Board) -> str:
    """Of a generated project and what compiles it."""
    return files.digest(
        *(board.name, files.program(_toolchain(board).compiler)),
        *(word for path in sorted(project.glob("*.ini")) for word in (path.name, path.read_bytes())),
        files.tree_digest(*(project / name for name in _COPIED)),
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    flash: int
    static: int
    stack: int


def _built_before(stamp: Path, key: str) -> _Sizes | None:
    """Of the firmware in the project folder, where it is of this key and nobody built another one in its place."""
    try:
        facts = json.loads(stamp.read_text())
        elf = stamp.with_name(_PROGRAM).read_bytes()
        if (facts.pop("key"), facts.pop("elf")) != (key, files.digest(elf)):
            return None
        return _Sizes(**facts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bring(kept: Path, stamp: Path, key: str) -> _Sizes:
    """Put a firmware of the cache where PlatformIO would, and remember which it is."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    for path in (kept / _PROGRAM, kept / _MAP):
        if path.exists():
            files.write_atomic(stamp.with_name(path.name), path.read_bytes())
    facts = json.loads((kept / _SIZES).read_text())
    elf = files.digest((kept / _PROGRAM).read_bytes())
    files.write_atomic(stamp, json.dumps({"key": key, "elf": elf, **facts}))
    return _Sizes(**facts)


def _compile(project: Path, board: Board, out: Path) -> None:
    """Compile a project; program, map and sizes go into the folder `out`."""
    log = project / "build.log"
    if board.bare is None:  # PlatformIO fetches a framework for it: uploads find its objects in the project
        platformio.run(project, board.name, log, None)
        _collect(platformio.firmware(project, board.name), board, out)
        return
    # The library is the same for all networks: it is compiled once a board, in a folder that all projects share.
    key = files.digest(board.name, files.program(_toolchain(board).compiler), files.tree_digest(resources.firmware()))
    shared, _ = files.built("workshop", key, lambda folder: None)
    with files.locked(shared / ".lock"):
        for name in _COPIED:
            shutil.rmtree(shared / name, ignore_errors=True)
            shutil.copytree(project / name, shared / name)
        for path in project.glob("*.ini"):
            shutil.copy(path, shared)
        elf = platformio.firmware(shared, board.name)
        elf.unlink(missing_ok=True)  # linker scripts count, too, and PlatformIO does not look at them
        platformio.run(shared, board.name, log, _toolchain(board))
        _collect(elf, board, out)


def _collect(elf: Path, board: Board, out: Path) -> None:
    for path in (elf, elf.with_name(_MAP)):
        if path.exists():
            shutil.copy(path, out)
    (out / _SIZES).write_text(json.dumps(asdict(_measure(elf, _toolchain(board)))))


def _measure(elf: Path, toolchain: Toolchain) -> _Sizes:
    size, nm = (platformio.program_of(toolchain, name) for name in ("size", "nm"))
    sections = {
        words[0]: int(words[1])
        for line in _output(size, "-A", "-d", str(elf)).splitlines()
        if len(words := line.split()) == 3 and words[1].isdigit()
    }
    symbols = {
        words[2]: int(words[0], 16) for line in _output(nm, str(elf)).splitlines() if len(words := line.split()) == 3
    }
    flash, static = (sum(sections.get(name, 0) for name in names) for names in (_IN_FLASH, _IN_RAM))
    return _Sizes(flash, static, symbols.get("_stack_size", 0))


def _toolchain(board: Board) -> Toolchain:
    """The compiler of a board's core."""
    found = core_of(board.cpu).toolchain
    if found is None:
        raise InputError(f"no compiler is known for board {board.name} with cpu {board.cpu}")
    return found


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
