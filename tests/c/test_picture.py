"""bf_picture: a camera's frame becomes the input that Pillow makes of the same picture, bit for bit."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.c.compiling import HERE, SANITIZERS, compile_c, sources
from tests.c.test_library import STATUS

from bitflow.learn.data.image_files import read_picture

GRAY, RGB565, RGB565_BE, RGB888 = range(4)  # BF_FRAME_*
NONE, STRETCH, CROP = range(3)  # BF_RESIZE_*
RGB, BGR = 1, 2  # BF_ORDER_*
OUTS = (1, 2, 3, 5, 7, 8, 16, 28, 31, 32, 33, 48, 64, 96, 100, 128, 160, 200, 224, 227)
CAMERAS = (96, 120, 144, 160, 176, 240, 288, 296, 320, 352, 400, 480, 600, 640, 720, 768, 800, 1024, 1080, 1280, 1600)
FORMS = [("gcc", "-O2"), ("gcc", *SANITIZERS), ("clang", *SANITIZERS)]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A frame [height, width, bytes of a pixel] and what the network takes."""

    frame: Bytes
    format: int
    to: tuple[int, int]  # width, height
    channels: int = 1
    resize: int = STRETCH
    order: int = RGB
    gap: int = 0  # bytes after each row
    dtype: int = 0
    missing: int = 0  # bytes of scratch
    lost: int = 0  # bytes of the frame

    def packed(self) -> bytes:
        height, width, size = self.frame.shape
        rows = np.pad(self.frame.reshape(height, width * size), ((0, 0), (0, self.gap)), constant_values=77).reshape(-1)
        data = rows[: len(rows) - self.gap - self.lost].tobytes()
        numbers = (width, height, width * size + self.gap if self.gap else 0, len(data), self.format, *self.to)
        rest = (self.channels, self.order, self.resize, self.dtype, self.missing)
        return struct.pack("<12I", *numbers, *rest) + data

    def by_pillow(self) -> Bytes:
        """What Pillow makes of the frame."""
        picture = Image.fromarray(expanded(self.frame, self.format)).convert("L" if self.channels == 1 else "RGB")
        if self.resize == CROP:
            picture = picture.crop(middle(picture.size, self.to))
        # Row by row first: in one call Pillow 13 begins with the columns where that is less work.
        picture = picture.resize((self.to[0], picture.height), Image.Resampling.BILINEAR)
        picture = picture.resize(self.to, Image.Resampling.BILINEAR)
        found = np.asarray(picture, np.uint8).reshape(self.to[1], self.to[0], self.channels)
        return found[..., ::-1] if self.order == BGR else found


def expanded(frame: Bytes, form: int) -> Bytes:
    """A frame as 8-bit gray or RGB."""
    if form == GRAY:
        return frame[..., 0]
    if form == RGB888:
        return frame
    value = frame.copy().view("<u2" if form == RGB565 else ">u2")[..., 0].astype(np.uint32)
    r, g, b = value >> 11, value >> 5 & 63, value & 31
    return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], axis=-1).astype(np.uint8)


def middle(size: tuple[int, int], to: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest part of a picture in the proportions of `to`."""
    (w, h), (a, b) = size, to
    if w * b > h * a:
        w = max(1, h * a // b)
    else:
        h = max(1, w * b // a)
    left, top = (size[0] - w) // 2, (size[1] - h) // 2
    return left, top, left + w, top + h


def noise(seed: int, width: int, height: int, form: int) -> Bytes:
    """Random pixels, half of them black or white: those find roundings."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, (1, 2, 2, 3)[form]), dtype=np.uint8)
    extreme = rng.integers(0, 4, pixels.shape, dtype=np.uint8)
    return np.where(extreme < 2, extreme * np.uint8(255), pixels)


@pytest.fixture(scope="module", params=FORMS, ids=["gcc", "gcc-sanitized", "clang-sanitized"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "picture"
    compile_c(request.param, path, [*sources(), str(HERE / "picture.c")])
    return path


def run(program: Path, cases: Iterable[Case]) -> list[tuple[int, int, Bytes]]:
    """(status, scratch, input) of each case."""
    cases = list(cases)
    given = b"".join(case.packed() for case in cases)
    done = subprocess.run([program], input=given, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    found, at = [], 0
    for case in cases:
        status, scratch = struct.unpack_from("<2i", done.stdout, at)
        size = 0 if status else case.to[0] * case.to[1] * case.channels
        found.append((status, scratch, np.frombuffer(done.stdout, np.uint8, size, at + 8)))
        at += 8 + size
    assert at == len(done.stdout)
    return found


def equals_pillow(program: Path, cases: list[Case]) -> None:
    for case, (status, _, got) in zip(cases, run(program, cases), strict=True):
        assert status == 0, case
        assert np.array_equal(got, case.by_pillow().reshape(-1)), case


def test_every_size_must_be_pillows(program):
    """1 .. 200 pixels in one direction to sizes that networks have, a few rows in the other."""
    cases = []
    for size in range(1, 201):
        for out in OUTS:
            other = (size * 7 + out) % 13 + 1
            cases.append(Case(noise(size, size, other, GRAY), GRAY, (out, out % 5 + 1)))
            cases.append(Case(noise(size, other, size, GRAY), GRAY, (out % 5 + 1, out)))
    equals_pillow(program, cases)


def test_frames_of_cameras_must_be_pillows(program):
    sizes = [(160, 120), (320, 240), (240, 320), (640, 480), (321, 239), (97, 3), (1, 1)]
    outs = [(8, 8), (28, 28), (32, 24), (33, 47), (224, 224), (320, 240), (1, 1)]
    cases = []
    for seed, size in enumerate(sizes):
        for index, to in enumerate(outs):
            form, channels = (seed + index) % 4, (1, 3)[(seed + index // 2) % 2]
            resize = (STRETCH, CROP)[(seed + index) // 2 % 2]
            order, gap = (RGB, BGR)[index % 2], (0, 5)[seed % 2]
            cases.append(Case(noise(seed, *size, form), form, to, channels, resize, order, gap))
    equals_pillow(program, cases)


@pytest.mark.parametrize("resize", [NONE, STRETCH, CROP])
def test_frame_of_the_inputs_size_must_need_no_scratch(program, resize):
    cases = [
        Case(noise(form, 31, 17, form), form, (31, 17), channels, resize, order)
        for form in (GRAY, RGB565, RGB565_BE, RGB888)
        for channels in (1, 3)
        for order in (RGB, BGR)
    ]
    equals_pillow(program, cases)
    assert {scratch for _, scratch, _ in run(program, cases)} == {0}


def test_host_must_read_the_same_picture(program, tmp_path):
    """`bitflow predict` and training read a file."""
    for size, to in [((320, 240), (8, 8)), ((20, 200), (30, 10)), ((64, 64), (48, 7))]:
        for form, channels in [(GRAY, 1), (RGB888, 3), (RGB888, 1)]:
            case = Case(noise(1, *size, form), form, to, channels)
            Image.fromarray(expanded(case.frame, form)).save(tmp_path / "picture.png")
            read = read_picture(tmp_path / "picture.png", (to[1], to[0]), channels)
            assert np.array_equal(run(program, [case])[0][2], read.reshape(-1))


def test_every_colour_must_be_pillows(program):
    """All 65,536 colours of RGB565, and grays of colours at the edges of rounding."""
    colours = np.arange(65536, dtype="<u2").reshape(256, 256)
    little = colours.view(np.uint8).reshape(256, 256, 2)
    cases = [Case(little, RGB565, (256, 256), channels) for channels in (1, 3)]
    cases += [Case(little[..., ::-1], RGB565_BE, (256, 256), channels) for channels in (1, 3)]
    cases += [Case(noise(3, 256, 256, RGB888), RGB888, (256, 256))]
    equals_pillow(program, cases)
    assert np.array_equal(run(program, cases[:1])[0][2], run(program, cases[2:3])[0][2])


def test_proportions_must_be_cropped_from_the_middle(program):
    sizes = [(1, 9), (9, 1), (2, 9), (10, 7), (7, 10), (320, 240), (240, 320), (64, 65)]
    outs = [(1, 9), (9, 1), (3, 2), (8, 8), (31, 32)]
    equals_pillow(program, [Case(noise(1, *size, GRAY), GRAY, to, 1, CROP) for size in sizes for to in outs])


WRONG = {
    "another size": (Case(noise(0, 9, 8, GRAY), GRAY, (8, 8), resize=NONE), "PICTURE"),
    "two channels": (Case(noise(0, 8, 8, GRAY), GRAY, (8, 8), channels=2), "PICTURE"),
    "int8": (Case(noise(0, 8, 8, GRAY), GRAY, (8, 8), dtype=1), "PICTURE"),
    "a format that is none": (Case(noise(0, 8, 8, GRAY), 4, (8, 8)), "ARGUMENT"),
    "wider than 65535": (Case(np.zeros((1, 65536, 1), np.uint8), GRAY, (8, 8)), "ARGUMENT"),
    "no rows": (Case(np.zeros((0, 8, 1), np.uint8), GRAY, (8, 8)), "ARGUMENT"),
    "no columns": (Case(np.zeros((8, 0, 1), np.uint8), GRAY, (8, 8)), "ARGUMENT"),
    "a byte short": (Case(noise(0, 9, 8, GRAY), GRAY, (8, 8), lost=1), "ARGUMENT"),
    "a byte short, with gaps": (Case(noise(0, 9, 8, RGB565), RGB565, (8, 8), gap=3, lost=1), "ARGUMENT"),
    "bytes of half the pixels": (Case(noise(0, 16, 8, GRAY), RGB565, (8, 8)), "ARGUMENT"),
    "scratch too small": (Case(noise(0, 9, 8, GRAY), GRAY, (8, 8), missing=1), "SPACE"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_frame_must_be_refused(program, what):
    case, status = WRONG[what]
    assert run(program, [case])[0][0] == int(STATUS[status])


def test_rows_shorter_than_their_pixels_must_be_refused(program):
    packed = bytearray(Case(noise(0, 8, 8, GRAY), GRAY, (4, 4)).packed())
    for row_bytes in (1, 7, 9, 0x80000000, 0xFFFFFFFF):
        packed[8:12] = struct.pack("<I", row_bytes)
        done = subprocess.run([program], input=bytes(packed), capture_output=True, timeout=300, check=True)
        assert struct.unpack_from("<i", done.stdout)[0] == int(STATUS["ARGUMENT"])


def test_largest_frame_must_be_taken(program):
    equals_pillow(program, [Case(noise(0, 65535, 2, GRAY), GRAY, (3, 1)), Case(noise(0, 2, 65535, GRAY), GRAY, (1, 3))])


# ---- The weights themselves: fractions here, doubles in Pillow. ----


def weights_of_pillow(size: int, out: int) -> list[npt.NDArray[np.int64]]:
    """precompute_coeffs and normalize_coeffs_8bpc of Pillow's Resample.c, step by step in doubles; per position those
    that are not 0."""
    scale = size / out
    support = wide = max(scale, 1.0)
    found = []
    for i in range(out):
        centre = (i + 0.5) * scale
        low, high = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), size)
        distance = np.abs((np.arange(high - low) + low - centre + 0.5) * (1.0 / wide))
        weight = np.where(distance < 1.0, 1.0 - distance, 0.0)
        total = 0.0
        for one in weight:
            total += one
        rounded = np.floor(0.5 + weight / total * (1 << 22)).astype(np.int64)
        found.append(rounded[rounded > 0])
    return found


def weights_of_fractions(size: int, out: int) -> list[npt.NDArray[np.int64]]:
    """What src/picture.c computes."""
    larger, found = max(size, out), []
    for i in range(out):
        weight = np.maximum(0, 2 * larger - np.abs((2 * np.arange(size) + 1) * out - (2 * i + 1) * size))
        total = int(weight.sum())
        rounded = ((weight << 23) + total) // (2 * total)
        found.append(rounded[rounded > 0])
    return found


# Sizes at which a weight lies so near to a half of its last bit that a double rounds it the other way.
APART: list[tuple[int, int]] = []


def test_fractions_must_be_rounded_as_doubles_are():
    pairs = [(size, out) for size in range(1, 201) for out in OUTS[:12:2]]
    pairs += [(size, out) for size in CAMERAS for out in (8, 28, 32, 96, 224)]
    apart = [
        (size, out)
        for size, out in pairs
        if any(
            not np.array_equal(a, b)
            for a, b in zip(weights_of_pillow(size, out), weights_of_fractions(size, out), strict=True)
        )
    ]
    assert apart == APART
