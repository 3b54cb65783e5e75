"""The external commands that put a firmware on a board: which method, which tool, which words."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bitflow.boards import Bare, Board, Method
from bitflow.cores import core_of
from bitflow.deploy import platformio
from bitflow.errors import InputError, MissingError

__all__ = ["Target", "commands", "method_for", "require_tool"]

_TOOL: dict[Method, str] = {"stlink": "openocd", "dfu": "dfu-util", "pyocd": "pyocd", "serial": "stm32loader"}
_HINT = {
    "openocd": "sudo apt-get install openocd",
    "dfu-util": "sudo apt-get install dfu-util",
    "pyocd": "pip install pyocd",
    "stm32loader": "pip install stm32loader",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a firmware goes. port: of the board's serial line, probe: serial number of the programmer; None: any."""

    board: Board
    folder: Path
    port: str | None = None
    probe: str | None = None

    @property
    def elf(self) -> Path:
        return platformio.firmware(self.folder, self.board.name)


def method_for(board: Board, asked: str) -> Method:
    """The method that is asked for; for "auto" the first of the board's whose tool is here, else its usual one.

    Raises InputError for a method that the board does not have.
    """
    if board.upload is None:
        raise InputError(f"{board.name} cannot be flashed ({board.says})")
    known = board.upload.methods
    if asked == "auto":
        return next((method for method in known if _is_here(board, method)), known[0])
    for method in known:
        if method == asked:
            return method
    raise InputError(f"{board.name} cannot be flashed by {asked}; it can by {', '.join(known)}")


def require_tool(board: Board, method: Method) -> None:
    """MissingError with the command that gets the tool of a method, where it is not here."""
    if not _is_here(board, method):
        tool = _TOOL[method]
        raise MissingError(f"{tool} is missing, which flashes {board.name} by {method}: {_HINT[tool]}")


def commands(target: Target, method: Method) -> list[list[str]]:
    """The words of each command, in order."""
    board = target.board
    if board.bare is not None:
        return _bare(target, method, board.bare)
    if method == "pyocd":
        return [_pyocd(target)]
    port = ["--upload-port", target.port] if target.port else []
    return [[*platformio.command(target.folder, board.name), "-t", "upload", *port]]


def _bare(target: Target, method: Method, bare: Bare) -> list[list[str]]:
    binary = str(target.elf.with_suffix(".bin"))
    to_binary = [f"{_prefix(target.board)}objcopy", "-O", "binary", str(target.elf), binary]
    match method:
        case "stlink":
            return [_openocd(target)]
        case "pyocd":
            return [_pyocd(target)]
        case "dfu":
            which = ["-S", target.probe] if target.probe else []
            to = ["-a", "0", "-d", "0483:df11", "-s", f"{bare.flash_at:#010x}:leave"]
            return [to_binary, ["dfu-util", *to, *which, "-D", binary]]
        case "serial":
            port = ["-p", target.port] if target.port else []
            return [to_binary, ["stm32loader", *port, "-e", "-w", "-v", "-g", f"{bare.flash_at:#010x}", binary]]
        case "uf2":
            raise InputError(f"{target.board.name} has no drive that takes UF2 files")


def _prefix(board: Board) -> str:
    """Of the names of the compiler's programs."""
    toolchain = core_of(board.cpu).toolchain
    return "" if toolchain is None else toolchain.prefix


def _openocd(target: Target) -> list[str]:
    assert target.board.upload is not None
    which = ["-c", f"adapter serial {target.probe}"] if target.probe else []
    chip = f"target/{target.board.upload.openocd}.cfg"
    do = f"program {{{target.elf}}} verify reset exit"
    return ["openocd", "-f", "interface/stlink.cfg", *which, "-f", chip, "-c", do]


def _pyocd(target: Target) -> list[str]:
    assert target.board.upload is not None
    which = ["--uid", target.probe] if target.probe else []
    return ["pyocd", "flash", "--target", target.board.upload.pyocd, *which, str(target.elf)]


def _is_here(board: Board, method: Method) -> bool:
    """PlatformIO brings the tools of boards that it builds for itself."""
    if board.bare is None and method != "pyocd":
        return True
    return shutil.which(_TOOL.get(method, method)) is not None
