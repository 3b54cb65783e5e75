"""Writes C that a person can read and keep: the network as named const arrays, and a PlatformIO project around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import numpy.typing as npt

from bitflow import resources
from bitflow.emit.text import rows
from bitflow.emit.view import model_view
from bitflow.engines.self_test import self_test as noise_test
from bitflow.errors import InputError
from bitflow.files import digest, write_atomic
from bitflow.ir import PackedNetwork
from bitflow.planner.plan import Plan

__all__ = ["TARGETS", "generate", "generate_platformio", "render", "render_model"]

Target = Literal["c", "platformio", "micropython"]
TARGETS: tuple[Target, ...] = ("c", "platformio", "micropython")
_SOURCES = frozenset({".c", ".cpp", ".h", ".S", ".cmake", ".ini", ".json", ".ld", ".mk", ".py", ".pyi", ".toml"})


def generate(
    network: PackedNetwork,
    target: Target,
    out: Path,
    prefix: str | None = None,
    plan: Plan | None = None,
    environments: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write the sources of a network into the folder `out` and return the files of the network itself.

    target: "c": PREFIX.c, PREFIX.h and the C library in bitflow/; "platformio": a project that builds with `pio run`,
        without BitFlow; "micropython": a folder for USER_C_MODULES with BITFLOW_NETWORK=OUT/network/PREFIX.
    prefix: prefix of every generated name; by default the network's name.
    plan: which kernels run the network, and what they need; None: the C library chooses, and the network's bytes are
        those of its image.
    environments: the files of a PlatformIO project that follow from the board table.
    """
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}: one of {', '.join(TARGETS)}")
    if target == "platformio":
        return generate_platformio(network, out, environments or {}, prefix=prefix, plan=plan)
    own = render_model(network, prefix, plan)
    if target == "micropython":
        own = {f"network/{name}": text for name, text in own.items()}
        copied = _copied(resources.mpy_module(), "mpy_module") | _copied(resources.c_library(), "firmware/lib/bitflow")
    else:
        copied = _copied(resources.c_library(), "bitflow")
    _write(out, own | copied)
    return tuple(out / name for name in own)


def generate_platformio(
    network: PackedNetwork,
    out: Path,
    environments: Mapping[str, str],
    self_test: tuple[npt.NDArray[Any], npt.NDArray[np.int32]] | None = None,
    prefix: str | None = None,
    plan: Plan | None = None,
    mlperf: str = "",
) -> tuple[Path, ...]:
    """Write the firmware project around a network; returns the network's own files in it.

    environments: path -> text of the files that follow from the board table (deploy.environments).
    self_test: an image [H, W, C] and its scores [classes]; by default noise from a fixed seed, with the scores of the
        NumPy reference.
    mlperf: the MLPerf Tiny test that the firmware reports; "": by the input's shape.
    """
    files = _copied(resources.firmware(), "") | dict(environments)
    own = {f"src/{name}": text for name, text in render_model(network, prefix, plan).items()}
    image, scores = self_test or noise_test(network)
    view = model_view(network, prefix, plan)
    content = digest(*(word for name_and_text in sorted((files | own).items()) for word in name_and_text))
    view = replace(view, build_id=content[:8])
    test_input = rows(np.ascontiguousarray(image).view(np.uint8).reshape(-1), per_row=16)
    for name in ("firmware_model.h", "firmware_model.c"):
        own[f"src/{name}"] = render(
            name, m=view, mlperf=mlperf, test_input=test_input, test_scores=rows(np.asarray(scores))
        )
    _write(out, files | own)
    return tuple(out / name for name in own)


def render_model(network: PackedNetwork, prefix: str | None = None, plan: Plan | None = None) -> dict[str, str]:
    """File name -> text of the network's own C source and header."""
    view = model_view(network, prefix, plan)
    return {f"{view.prefix}.{kind}": render(f"model.{kind}", m=view) for kind in ("c", "h")}


def render(name: str, **values: Any) -> str:
    """The text of a template with these values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML: view.py escapes names and comments
    )
    return environment.get_template(f"{name}.j2").render(**values)


def _copied(root: Path, below: str) -> dict[str, str]:
    """Sources of a folder, by their path in the generated folder."""
    found = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith((".", "__")) for part in relative.parts)
        if path.is_file() and not hidden and path.suffix in _SOURCES:
            found[str(Path(below) / relative)] = path.read_text()
    return found


def _write(out: Path, files: dict[str, str]) -> None:
    """Write the files; one that already has its text is left alone, so that builds stay incremental."""
    try:
        for name, text in files.items():
            path = out / name
            if path.exists() and path.read_text() == text:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
    except OSError as error:
        raise InputError(f"cannot write {error.filename}: {error.strerror}") from error
