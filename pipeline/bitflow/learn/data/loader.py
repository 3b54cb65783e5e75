"""Batches for training: from memory, or decoded ahead by other processes. No torch here.

Workers are spawned, not forked: torch has threads, and a fork of a process with threads may hang. They do not import
torch, so each takes only 45 MB. As always with spawned processes, a program that makes a Loader with workers must start
below `if __name__ == "__main__":`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.data.dataset import Labels, Split
from bitflow.learn.data.image_files import Pictures

__all__ = ["Loader"]

Indices = npt.NDArray[np.intp]
Batch = npt.NDArray[Any]

# Batches handed to each worker: one in work and one waiting, so that a worker never idles.
_AHEAD = 2


class Loader:
    """Batches of a split, in any order. A context manager, because workers must be ended.

    The batches are the same with any number of workers. Arrays in memory are not sent to workers: that would cost more.

    batch: images per batch.
    workers: processes that decode pictures ahead; 0: this process decodes them.
    """

    def __init__(self, split: Split, batch: int, workers: int = 0) -> None:
        require(batch >= 1, f"batch {batch} is less than 1")
        require(0 <= workers <= 256, f"workers {workers} is outside 0..256")
        self._split = split
        self._batch = batch
        self._workers = workers if isinstance(split.images, Pictures) else 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and wait for them. Another epoch would start new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def epoch(self, order: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[Batch, Labels]]:
        """Images uint8 or int8 [batch, H, W, C] and labels int64 [batch] in the order of the indices `order`.

        Images at the end that do not fill a batch are left out. Raises InputError that names a picture which cannot be
        read, and if a worker was killed.
        """
        count = len(order) // self._batch
        chosen = [np.asarray(order[k * self._batch : (k + 1) * self._batch], np.intp) for k in range(count)]
        decoded = self._ahead(chosen) if self._workers else (self._split.images[part] for part in chosen)
        for part, images in zip(chosen, decoded, strict=True):
            yield images, self._split.labels[part]

    def _ahead(self, chosen: list[Indices]) -> Iterator[Batch]:
        pending: deque[Future[Batch]] = deque()
        try:
            for part in chosen:
                pending.append(self._submit(part))
                if len(pending) > _AHEAD * self._workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            self.close()
            raise InputError(
                "a worker that decodes pictures was killed (for want of memory?) or could not start: use fewer, or 0"
            ) from error
        finally:
            for future in pending:
                future.cancel()

    def _submit(self, part: Indices) -> Future[Batch]:
        """Hand a batch to the workers.

        This may start a worker. It must never see the Ctrl-C for this process, and it inherits the blocked signal.
        """
        if self._pool is None:
            # Not below: with its first lock Python starts a tracker process and then unblocks the signal.
            assert isinstance(self._split.images, Pictures)
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, spawn, _begin, (self._split.images,))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(_decode, part)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_pictures: Pictures


def _begin(pictures: Pictures) -> None:
    """Prepare a worker."""
    global _pictures
    _pictures = pictures
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _decode(part: Indices) -> Batch:
    return _pictures[part]


def _end_with_parent() -> None:
    """End with the parent: a trainer that is killed cannot end its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
