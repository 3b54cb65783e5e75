"""Reads the arrays of a Keras file in a process of its own, within bounds of time and memory.

The HDF5 library can loop for ever or crash on a damaged file, and nothing in Python could stop it. So `extract` runs
this module as a child process, which writes plain NumPy arrays, and ends it after a time limit.

Only arrays of floats behind hard links are read, so that a file cannot refer to another file or form a circle. Anything
else is recorded with the reason, and refused if a layer needs it.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.importers.files import MAX_BYTES, read_bounded

__all__ = ["Extracted", "extract"]

SECONDS = 30  # of the child's processor time; the largest files take a few
_MEMORY = 4 * MAX_BYTES
_MAX_CONFIG = 2**24
_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Extracted:
    """The contents of a Keras file.

    config: the model's configuration.
    arrays: path in the file -> float32 values.
    refused: path in the file -> why it was not read.
    numbered: the file is Keras 3's archive, whose variables have numbers instead of names.
    """

    config: dict[str, Any]
    arrays: dict[str, npt.NDArray[np.float32]]
    refused: dict[str, str]
    numbered: bool


def extract(path: Path, seconds: int = SECONDS) -> Extracted:
    """Read a file, in at most `seconds` of processor time.

    Raises InputError with the reason if it is damaged, hostile or not a Keras file.
    """
    read_bounded(path)  # says what cannot be opened, and what is too large
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        # -P: no modules from the current folder, where untrusted files may have been unpacked.
        command = [sys.executable, "-P", "-m", "bitflow.importers.keras.extract", str(path), str(out), str(seconds)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20 * seconds, check=False)
        except subprocess.TimeoutExpired:
            raise InputError(f"{path}: damaged: the HDF5 library does not finish reading it") from None
        if done.returncode == 2:
            raise InputError(done.stderr.strip())
        if done.returncode:
            raise InputError(f"{path}: not a Keras file, or damaged: the HDF5 library gives up on it")
        with np.load(out) as found:
            facts = json.loads(bytes(found["facts"]).decode())
            arrays = {name: found[f"array{i}"] for i, name in enumerate(facts["names"])}
    return Extracted(facts["config"], arrays, facts["refused"], facts["numbered"])


def main(path: Path, out: Path, seconds: int) -> int:
    """The child: 0, or 2 with one line on stderr."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        found = _read(path, read_bounded(path))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception as error:  # h5py raises many kinds for damaged files
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        sys.stderr.write(f"{path}: not a Keras file, or damaged: {reason}\n")
        return 2
    facts = {
        "config": found.config,
        "names": list(found.arrays),
        "refused": found.refused,
        "numbered": found.numbered,
    }
    held: dict[str, Any] = {f"array{i}": array for i, array in enumerate(found.arrays.values())}
    np.savez(out, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **held)
    return 0


def _read(path: Path, data: bytes) -> Extracted:
    numbered = zipfile.is_zipfile(io.BytesIO(data))
    text: Any = None
    if numbered:
        text, data = _unzip(path, data)
    with h5py.File(io.BytesIO(data), "r") as file:
        if not numbered:
            text = file.attrs.get("model_config")
            require(text is not None, f"{path}: holds weights alone, no model_config; save the whole model")
        config = _parse(path, text)
        root = file.get("model_weights", file)
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        refused: dict[str, str] = {}
        size = 0
        for name, item, reason in _walk(root, ""):
            if reason or not _is_plain(item):
                refused[name] = reason or "is not an array of floats in this file"
                continue
            size += 8 * int(item.size)
            require(size <= MAX_BYTES, f"{path}: its variables take more than {MAX_BYTES} bytes")
            arrays[name] = np.asarray(item[()], dtype=np.float32)
    return Extracted(config, arrays, refused, numbered)


def _is_plain(item: Any) -> bool:
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        return False
    return bool(item.dtype.kind == "f")


def _walk(group: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any, str]]:
    """(path, item, "") for everything below a group; (path, None, reason) for what is not read."""
    for key in group:
        name = f"{prefix}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            yield name, None, "is behind a link"
        elif depth > _DEPTH:
            yield name, None, "is nested too deep"
        elif isinstance(item := group[key], h5py.Group):
            yield from _walk(item, f"{name}/", depth + 1)
        else:
            yield name, item, ""


def _unzip(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """config.json and model.weights.h5 of an archive."""
    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member, limit in (("config.json", _MAX_CONFIG), ("model.weights.h5", MAX_BYTES)):
            require(member in archive.namelist(), f"{path}: not a Keras file: it has no {member}")
            # Never more is unpacked than the size stated here.
            require(archive.getinfo(member).file_size <= limit, f"{path}: {member} is larger than {limit} bytes")
            found.append(archive.read(member))
    return found[0], found[1]


def _parse(path: Path, text: str | bytes) -> dict[str, Any]:
    require(len(text) <= _MAX_CONFIG, f"{path}: its configuration is larger than {_MAX_CONFIG} bytes")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its configuration is not JSON") from error
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise InputError(f"{path}: its configuration describes no model")
    return config


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
