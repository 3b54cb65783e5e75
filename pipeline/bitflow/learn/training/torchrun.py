"""What `torchrun` says to the processes that it starts. No torch here: commands ask before they load it."""

from __future__ import annotations

import os

__all__ = ["is_first", "is_shared", "local_rank", "rank", "size", "was_restarted"]


def rank() -> int:
    """The number of this process among all; 0 if it is alone."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this process among those of this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """The number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def is_shared() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def was_restarted() -> bool:
    """Whether torchrun restarted this process after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
