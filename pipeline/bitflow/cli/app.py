"""The command `bitflow`: its commands, its exit codes, and errors in one line."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import bitflow
from bitflow.cli import (
    bench,
    check,
    compare,
    device,
    emit,
    hil,
    importing,
    micropython,
    model,
    output,
    romfs,
    search,
    train,
)
from bitflow.errors import BitflowError

__all__ = ["app", "main"]

# What to install where an import of an optional dependency fails.
_EXTRAS = {
    "cobs": "hil",
    "h5py": "import",
    "mpremote": "hil",
    "onnx": "import",
    "onnxruntime": "import",
    "optuna": "search",
    "platformio": "firmware",
    "SCons": "firmware",
    "serial": "hil",
    "sklearn": "train",
    "torch": "train",
    "yaml": "labgrid",
}

app = typer.Typer(
    name="bitflow",
    help="Fully binary networks on microcontrollers, with proof that the chip computes exactly what was trained.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("init")(train.init)
app.command("train")(train.train)
app.command("search")(search.search)
app.command("import")(importing.import_file)
app.command("fuse")(train.fuse)
app.command("convert")(model.convert)
app.command("inspect")(model.inspect)
app.command("predict")(model.predict)
app.command("eval")(model.evaluate)
app.command("verify")(check.verify)
app.command("report")(emit.report)
app.command("compare")(compare.compare)
app.command("generate")(emit.generate)
app.command("build")(device.build)
app.command("flash")(device.flash)
app.command("emulate")(device.emulate)
app.command("hil")(hil.hil)
app.add_typer(micropython.app, name="micropython")
app.command("romfs")(romfs.romfs)
app.command("bench")(bench.bench)
app.command("boards")(device.boards)
app.command("doctor")(device.doctor)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"bitflow {bitflow.__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a check failed, 2 bad use or input, 3 something is missing."""
    # torch's threads spin while they wait. Where another program needs a core, that makes training many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = app(arguments, prog_name="bitflow", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        text, code = _explain(error)
        output.error(text)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> tuple[str, int]:
    """The line to print for an error, and the exit code."""
    if isinstance(error, BitflowError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and (root := (error.name or "").partition(".")[0]) in _EXTRAS:
        return f"{root} is not installed: pip install 'bitflow-net[{_EXTRAS[root]}]'", 3
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}", 2
    # Usage errors: their class is Typer's own in some versions and Click's in others, the method is in both.
    if hasattr(error, "format_message"):
        return f"{error.format_message()} Try: bitflow --help", 2
    return f"unexpected {type(error).__name__}: {error} (run again with --debug)", 1
