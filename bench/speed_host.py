"""`python -m bench.speed_host FILE`: images a second of a network through the C library on this computer.

On one core and on all; prints, and asserts nothing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import load

IMAGES = 10_000


def main() -> None:
    network = load(Path(sys.argv[1]))
    images = random_images(network.input_spec, IMAGES, seed=0)
    engine = HostEngine(network)
    engine.predict(images[:500])
    cores = sorted(os.sched_getaffinity(0))
    for used in sorted({1, len(cores)}):
        os.sched_setaffinity(0, cores[:used])
        start = time.perf_counter()
        engine.predict(images)
        seconds = time.perf_counter() - start
        print(f"{used} of {len(cores)} cores: {len(images) / seconds:,.0f} images/s")


if __name__ == "__main__":
    main()
