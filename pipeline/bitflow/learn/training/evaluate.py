"""A module's results for images: logits, labels, accuracy; and fresh BatchNorm statistics before evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bitflow.learn.data.dataset import Images, Labels, Split, blocks

__all__ = ["accuracy", "as_input", "copied", "logits", "predict", "renew_norms", "right_answers"]

# Images are evaluated in blocks of this size, bytes; the first layer's floats take about 50 times as much.
BLOCK_BYTES = 2**22


def as_input(images: np.ndarray[Any, Any]) -> Tensor:
    """uint8 or int8 [N, H, W, C] -> the pixel values as float32 [N, C, H, W], channels last in memory, for a module."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def logits(module: nn.Module, images: Images) -> npt.NDArray[np.float32]:
    """Logits float32 [N, classes] of a module in eval mode for images [N, H, W, C]."""
    module.eval()
    device = _device(module)
    with torch.inference_mode():
        parts = (module(as_input(part).to(device)) for part in blocks(images, BLOCK_BYTES, 1000))
        return np.concatenate([found.cpu().numpy() for found in parts])


def predict(module: nn.Module, images: Images) -> Labels:
    """Labels int64 [N] of images [N, H, W, C]: the largest logit, of equal ones the first."""
    return np.asarray(np.argmax(logits(module, images), axis=1))


def accuracy(module: nn.Module, split: Split) -> float:
    """The fraction of images to which a module in eval mode gives the right label."""
    return right_answers(module, split) / len(split)


def right_answers(module: nn.Module, split: Split) -> int:
    """The number of images to which a module in eval mode gives the right label."""
    return int(np.sum(predict(module, split.images) == split.labels))


def copied(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's current weights and statistics, which training does not change."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def renew_norms(module: nn.Module, split: Split, count: int) -> None:
    """Compute each BatchNorm's mean and variance from `count` images of the split, with the current weights.

    The running averages lag behind binary weights, whose signs flip, and do not include averaged weights.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    chosen = np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.intp)
    module.train()
    with torch.no_grad():
        for images in blocks(split.take(chosen).images, BLOCK_BYTES, 1000):
            if len(images) > 1:  # a single image has no variance
                module(as_input(images).to(_device(module)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
