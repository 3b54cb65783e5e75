"""Builds and runs the fuzz target. `python -m tests.c.fuzzing 1000000` runs that many images with sanitizers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.c import hostile
from tests.c.every_kind import every_kind

from bitflow import resources
from bitflow.check.random_networks import SEEDS, random_network
from bitflow.lower import image
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

__all__ = ["LARGEST", "build", "run", "write_seeds"]

LARGEST = 4096  # bytes of an image: larger ones only make the fuzzer slower

SANITIZERS = ("-std=c99", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def build(target: Path, *flags: str) -> None:
    """Compile fuzz_open.c and the C library with clang's fuzzer and sanitizers."""
    root = resources.c_library()
    files = [*sorted((root / "src").glob("*.c")), Path(__file__).with_name("fuzz_open.c")]
    subprocess.run(["clang", *SANITIZERS, *flags, f"-I{root / 'include'}", *files, "-o", target], check=True)


def write_seeds(folder: Path) -> None:
    """Valid images of every layer kind, and one image for every refusal."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = [pack(fuse(random_network(seed))) for seed in range(0, SEEDS, 5)]
    networks += [every_kind(seed, channels) for seed, channels in enumerate((2, 4, 6, 6))]
    for index, network in enumerate(networks):
        data = image.encode(network)
        if len(data) <= LARGEST:
            (folder / f"valid-{index}").write_bytes(data)
    for name, data, _ in hostile.cases():
        with (folder / name.replace(" ", "-")).open("xb") as file:  # no two of one name
            file.write(data)


def run(target: Path, seeds: Path, runs: int, *options: str) -> None:
    """Run from a fixed seed; raises CalledProcessError when the fuzzer finds something, and shows what it says."""
    command = [target, f"-runs={runs}", "-seed=1", f"-max_len={LARGEST}", "-print_final_stats=1", *options, seeds]
    subprocess.run(command, check=True, cwd=target.parent)


def main() -> None:
    """Command line: the number of images."""
    folder = Path(".bitflow") / "fuzz"
    write_seeds(folder / "seeds")
    build((folder / "fuzz").resolve())
    run((folder / "fuzz").resolve(), (folder / "seeds").resolve(), int(sys.argv[1]))


if __name__ == "__main__":
    main()
