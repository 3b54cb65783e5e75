"""Batches: the same from memory, from pictures and from workers; workers that end, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitflow.errors import InputError
from bitflow.learn.data.dataset import Split
from bitflow.learn.data.image_files import Pictures
from bitflow.learn.data.loader import Loader

COUNT = 22
ORDER = np.random.default_rng(0).permutation(COUNT)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        Image.new("RGB", (9, 7), (number, 3 * number, 9)).save(folder / f"{number}.png")
    labels = np.arange(COUNT, dtype=np.int64) % 3
    return Split(Pictures(folder, [f"{number}.png" for number in range(COUNT)], (7, 9, 3)), labels)


@pytest.fixture(scope="module")
def working(split: Split) -> Iterator[Loader]:
    """A loader with two workers, which several tests share: to start them takes a second."""
    with Loader(split, 4, workers=2) as loader:
        yield loader


def test_an_array_must_give_whole_batches_in_the_order() -> None:
    images = np.random.default_rng(1).integers(-128, 128, (COUNT, 2, 3, 1), np.int8)
    labels = np.arange(COUNT, dtype=np.int64)
    with Loader(Split(images, labels), 5, workers=3) as loader:
        batches = list(loader.epoch(ORDER))
        assert loader._pool is None
    assert [len(part) for part, _ in batches] == [5, 5, 5, 5]
    assert np.array_equal(np.concatenate([part for part, _ in batches]), images[ORDER[:20]])
    assert np.array_equal(np.concatenate([part for _, part in batches]), ORDER[:20])
    assert list(loader.epoch(ORDER[:4])) == []


def test_workers_must_give_what_one_process_gives(split: Split, working: Loader) -> None:
    want = list(Loader(split, 4).epoch(ORDER))
    workers = set()
    for _ in range(2):
        for (images, labels), (right, truth) in zip(working.epoch(ORDER), want, strict=True):
            assert np.array_equal(images, right)
            assert np.array_equal(labels, truth)
        assert working._pool is not None
        workers |= set(working._pool._processes)
    assert 1 <= len(workers) <= 2


def test_an_epoch_that_is_left_must_not_be_felt_by_the_next(split: Split, working: Loader) -> None:
    epoch = working.epoch(ORDER)
    next(epoch)
    epoch.close()  # type: ignore[attr-defined]
    images, _ = next(iter(working.epoch(ORDER[::-1])))
    assert np.array_equal(images, split.images[ORDER[::-1][:4]])


def test_a_damaged_picture_must_be_one_line_with_and_without_workers(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (9, 7), (number, 0, 0)).save(tmp_path / f"{number}.png")
    images = Pictures(tmp_path, [f"{number}.png" for number in range(6)], (7, 9, 3))
    (tmp_path / "4.png").write_bytes(b"torn")
    lines = []
    for workers in (0, 1):
        with Loader(Split(images, np.zeros(6, np.int64)), 2, workers) as loader:
            epoch = loader.epoch(np.arange(6))
            assert np.array_equal(next(epoch)[0], images[:2])
            with pytest.raises(InputError, match=r"4\.png: cannot be read as a picture") as caught:
                list(epoch)
            lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]


def test_a_worker_that_was_killed_must_be_one_line(split: Split) -> None:
    with Loader(split, 2, workers=1) as loader:
        epoch = loader.epoch(np.tile(ORDER, 20))
        next(epoch)
        assert loader._pool is not None
        for process in list(loader._pool._processes):
            os.kill(process, signal.SIGKILL)
        with pytest.raises(InputError, match="was killed"):
            list(epoch)
        assert np.array_equal(next(iter(loader.epoch(ORDER)))[0], split.images[ORDER[:2]])


@pytest.mark.parametrize(("batch", "workers"), [(0, 0), (4, -1), (4, 257)])
def test_senseless_numbers_must_be_refused(split: Split, batch: int, workers: int) -> None:
    with pytest.raises(InputError, match=r"batch 0|workers"):
        Loader(split, batch, workers)


TRAINER = """
import sys
from pathlib import Path
import numpy as np
from bitflow.learn.data.dataset import Split
from bitflow.learn.data.loader import Loader
from bitflow.learn.data.image_files import Pictures

if __name__ == "__main__":
    images = Pictures(Path(sys.argv[1]), ["0.png"] * 1000, (300, 300, 3))
    with Loader(Split(images, np.zeros(1000, np.int64)), 20, 2) as loader:
        try:
            while True:
                for _ in loader.epoch(np.arange(1000)):
                    print(*loader._pool._processes, flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    print("ended", flush=True)
"""


@pytest.mark.parametrize("ending", ["interrupt", "kill"])
def test_workers_must_end_with_their_trainer(tmp_path: Path, split: Split, ending: str) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "0.png")
    program = tmp_path / "trainer.py"
    program.write_text(TRAINER)
    command = [sys.executable, str(program), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as trainer:
        assert trainer.stdout is not None
        workers = [int(number) for number in trainer.stdout.readline().split()]
        assert len(workers) == 2
        if ending == "interrupt":
            # As a terminal does: to all processes in its foreground.
            os.killpg(trainer.pid, signal.SIGINT)
        else:
            trainer.kill()
        output, errors = trainer.communicate(timeout=300)
    if ending == "interrupt":
        assert output.splitlines()[-2:] == ["interrupted", "ended"]
        assert (trainer.returncode, errors) == (0, "")
    deadline = time.monotonic() + 300
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
