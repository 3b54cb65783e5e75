"""A board's progress, image by image: one thread adds to it, others may read it meanwhile."""

from __future__ import annotations

from array import array

import numpy as np

from bitflow_hil.devices.device import Run
from bitflow_hil.run.task import Task

__all__ = ["Progress"]


class Progress:
    """The scores of a board beside the host's. Images may be sent repeatedly; the last scores of each are kept.

    done: images so far.
    right: images with the true label.
    mismatches: images whose scores differ.
    latencies_ms: of each image, as seen by the host.
    ticks: of the board's timer, for each image.
    """

    def __init__(self, task: Task) -> None:
        self._host_scores, self._labels = task.host_scores, task.labels
        self.scores = np.zeros_like(task.host_scores)
        self.done = self.right = self.mismatches = 0
        self.latencies_ms = array("d")
        self.ticks = array("Q")

    @property
    def total(self) -> int:
        """The number of images."""
        return len(self._labels)

    @property
    def accuracy(self) -> float:
        """The fraction of right labels among the images so far; 0 before the first."""
        return self.right / max(self.done, 1)

    def add(self, run: Run) -> None:
        """Add the board's result for the next image."""
        index = self.done % self.total
        self.scores[index] = run.scores
        self.right += int(run.scores.argmax() == self._labels[index])
        self.mismatches += int((run.scores != self._host_scores[index]).any())
        self.latencies_ms.append(1000 * run.seconds)
        self.ticks.append(run.ticks)
        self.done += 1
