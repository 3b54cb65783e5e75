"""The C library on the host, through ctypes: the device's sources, compiled once into the user's cache."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import files, resources
from bitflow.accumulation import MapType
from bitflow.engines.reference import Trace
from bitflow.errors import BitflowError, ImageError, MissingError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.plan import Plan

__all__ = ["HostEngine", "library"]

_FLAGS = ("-std=c99", "-O3", "-fPIC", "-shared")
_NATIVE = "-march=native"
_NAME = "bitflow.so"
_CHUNK = 256  # images that one thread takes at a time, at most
_CHUNK_MACS = 20_000_000  # work that one thread takes at a time: some milliseconds


def _compiler() -> str:
    """Path of the host's C compiler: $CC, cc, gcc or clang."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise MissingError("no C compiler for the host: apt-get install gcc libc6-dev, or use the engine numpy")


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def _build(target: Path, sources: list[Path], include: Path) -> None:
    failed = None
    for flags in ((*_FLAGS, _NATIVE), _FLAGS):
        command = [_compiler(), *flags, f"-I{include}", "-o", str(target), *map(str, sources)]
        failed = subprocess.run(command, capture_output=True, text=True, check=False)
        if failed.returncode == 0:
            return
    reason = (failed.stderr.strip().splitlines() or ["no message"])[0] if failed else ""
    raise MissingError(f"{_compiler()} cannot compile the C library ({reason}); apt-get install gcc libc6-dev")


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled C library. Raises MissingError without a working C compiler."""
    root, own = resources.c_library(), Path(__file__).with_name("host.c")
    sources = [*sorted((root / "src").rglob("*.c")), own]
    key = files.digest(platform.machine(), _processor(), *_FLAGS, own.read_bytes(), files.tree_digest(root))
    folder, _ = files.built("host", key, lambda out: _build(out / _NAME, sources, root / "include"))
    found = ctypes.CDLL(str(folder / _NAME))
    found.bitflow_host_open.restype = ctypes.c_longlong
    found.bitflow_host_status.restype = ctypes.c_char_p
    found.bitflow_host_model_size.restype = ctypes.c_size_t
    return found


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class HostEngine:
    """Runs a packed network with the C library; threads share the work, since C runs outside Python's lock.

    plan: which kernels run the network, on lanes of one word; None: the C library chooses.
    """

    def __init__(self, network: PackedNetwork, plan: Plan | None = None) -> None:
        self.network = network
        data = Image.of(network).data + (plan_format.encode(network, plan) if plan else b"")
        # A copy: NumPy aligns to 16 bytes, while a bytes object may not even be aligned to 4.
        self._image = np.frombuffer(data, dtype=np.uint32).copy()
        self._library = library()
        self._model = np.zeros(self._library.bitflow_host_model_size(), dtype=np.uint8)
        opened = self._library.bitflow_host_open(
            _pointer(self._model), _pointer(self._image), ctypes.c_size_t(self._image.nbytes)
        )
        if opened < 0:
            raise ImageError(f"the C library refuses the network: {self._text(opened)}")
        self.arena_size = int(opened)
        work = sum(layer.macs for layer in network.layers)
        self._chunk = max(1, min(_CHUNK, _CHUNK_MACS // max(work, 1)))

    def _text(self, status: int) -> str:
        return bytes(self._library.bitflow_host_status(ctypes.c_int(status))).decode()

    def _call(self, function: str, images: npt.NDArray[Any], result: npt.NDArray[Any], *extra: Any) -> None:
        def one(start: int) -> int:
            part = images[start : start + self._chunk]
            arena = np.empty(max(self.arena_size // 4, 1), dtype=np.uint32)
            status: int = getattr(self._library, function)(
                _pointer(self._model), _pointer(part), ctypes.c_size_t(len(part)), _pointer(result[start:]),
                _pointer(arena), ctypes.c_size_t(self.arena_size), *extra,
            )  # fmt: skip
            return status

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for status in threads.map(one, range(0, len(images), self._chunk)):
                if status:
                    raise BitflowError(f"the C library stopped: {self._text(status)}")

    def _inputs(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(self.network.input_spec.check(images))

    def scores(self, images: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Scores of images [N, H, W, C] of the input's type: int32 [N, classes]."""
        images = self._inputs(images)
        result = np.empty((len(images), self.network.classes), dtype=np.int32)
        self._call("bitflow_host_scores", images, result)
        return result

    def predict(self, images: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Class of each image, int [N]; of equal scores the first."""
        return np.asarray(np.argmax(self.scores(images), axis=1))

    def hidden(self, images: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint32] | npt.NDArray[np.int32], ...]:
        """The map of each hidden layer: bits channel-packed, uint32 [N, H, W, words]; integers int32 [N, H, W, C]."""
        images = self._inputs(images)
        found: list[npt.NDArray[np.uint32] | npt.NDArray[np.int32]] = []
        for index, layer in enumerate(self.network.layers[:-1]):
            height, width = layer.target.height, layer.target.width
            shape = (len(images), height, width, layer.map_words // (height * width))
            words = np.empty(shape, dtype=np.uint32)
            self._call("bitflow_host_hidden", images, words, ctypes.c_uint(index))
            found.append(words.view(np.int32) if layer.output_type is MapType.INTEGERS else words)
        return tuple(found)

    def trace(self, images: npt.NDArray[Any]) -> Trace:
        """Hidden maps and scores together."""
        return Trace(self.hidden(images), self.scores(images))
