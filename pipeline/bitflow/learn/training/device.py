"""Where a run computes: on the CPU or a GPU, alone or as one of the processes that `torchrun` started.

All processes have the same weights: torch's DistributedDataParallel averages their gradients after each step. A batch
is divided among them. The first process (rank 0) writes files and prints.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from bitflow.errors import InputError, MissingError
from bitflow.geometry import require
from bitflow.learn.data.dataset import Split
from bitflow.learn.recipe import Recipe
from bitflow.learn.training import torchrun as ranks

__all__ = ["Place", "has_units_for_half", "place"]

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process computes.

    device: of weights and images.
    half: train in bfloat16.
    rank: number of this process among `size`.
    """

    device: torch.device
    half: bool
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def forward(self, module: nn.Module, compiled: bool) -> nn.Module:
        """The module for a training step, with gradients averaged over all processes.

        Raises MissingError if it should be compiled and no compiler is installed.
        """
        if self.size > 1:
            # A weight with a side of length 1 has several equivalent layouts.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            module = nn.parallel.DistributedDataParallel(module)
        return _compiled(module) if compiled else module

    def part(self, order: Indices, batch: int) -> Indices:
        """This process's part of whole batches: int [steps * batch] from `order`, which all processes have."""
        whole = len(order) // (batch * self.size) * batch * self.size
        return order[:whole].reshape(-1, self.size, batch)[:, self.rank].reshape(-1)

    def share(self, split: Split) -> Split:
        """This process's share of images that all processes evaluate together."""
        return split if self.size == 1 else split.take(np.arange(self.rank, len(split), self.size))

    def total(self, *values: float) -> list[float]:
        """Each number summed over all processes."""
        if self.size == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(found)
        return [float(value) for value in found]

    def to_device(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] on the device, channels last, which is the fastest layout on both kinds of devices."""
        return images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)


def place(recipe: Recipe) -> Place:
    """The place of a run; joins the other processes if torchrun started several.

    Raises InputError for a GPU that is not there, and a batch that cannot be shared out evenly.
    """
    gpus = torch.cuda.device_count()
    require(recipe.device != "cuda" or gpus > 0, "device cuda: torch sees no GPU here; use auto or cpu")
    size = ranks.size()
    require(recipe.batch % size == 0, f"a batch of {recipe.batch} cannot be divided among {size} processes")
    device = torch.device("cuda", ranks.local_rank() % gpus) if recipe.device != "cpu" and gpus else torch.device("cpu")
    torch.set_num_threads(recipe.threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size > 1:
        _join(device, size)
    return Place(device, _half(recipe.precision, device), ranks.rank(), size)


def _compiled(module: nn.Module) -> nn.Module:
    compiler, headers = os.environ.get("CXX", "g++"), Path(sysconfig.get_path("include"))
    if shutil.which(compiler) is None or not (headers / "Python.h").exists():
        raise MissingError(
            "compile needs a C++ compiler and Python's headers: apt-get install g++ python3-dev, or compile = false"
        )
    if " " in torch.__file__:
        raise MissingError(f"compile: torch does not link where its path has a space ({torch.__file__})")
    return torch.compile(module)  # type: ignore[return-value]


def _join(device: torch.device, size: int) -> None:
    """Join the other processes. Once per process: a group that was left cannot be joined again."""
    if distributed.is_initialized():
        return
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        # A store that outlives a restart has the addresses of processes that died; see docs/training.md.
        hint = "; set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun" if ranks.was_restarted() else ""
        raise InputError(f"cannot join {size} processes ({str(error).splitlines()[0][:120]}){hint}") from error
    atexit.register(distributed.destroy_process_group)


def _half(precision: str, device: torch.device) -> bool:
    """Whether to train in bfloat16. On processors without units for it bfloat16 is slower than float32."""
    if precision != "auto":
        return precision == "bfloat16"
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else has_units_for_half()


def has_units_for_half() -> bool:
    """Whether this processor has units for bfloat16: Intel's tiles, or AVX-512's instructions (also on Zen 4)."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
