"""What a module says of images: logits, labels, accuracy; and BatchNorm's statistics, taken anew before it is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bitflow.learn.data.dataset import Images, Labels, Split, blocks

__all__ = ["accuracy", "as_input", "copied", "logits", "predict", "renew_norms", "right_answers"]

# Images are evaluated in blocks of so many bytes: the first layer's floats take about 50 times as much.
BLOCK_BYTES = 2**22


def as_input(images: np.ndarray[Any, Any]) -> Tensor:
    """uint8 or int8 [N, H, W, C] -> float32 [N, C, H, W] of the pixel values, as a module takes them; channels last."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def logits(module: nn.Module, images: Images) -> npt.NDArray[np.float32]:
    """Logits float32 [N, classes] that a module in eval mode gives for images [N, H, W, C]."""
    module.eval()
    device = _device(module)
    with torch.inference_mode():
        parts = (module(as_input(part).to(device)) for part in blocks(images, BLOCK_BYTES, 1000))
        return np.concatenate([found.cpu().numpy() for found in parts])


def predict(module: nn.Module, images: Images) -> Labels:
    """Labels int64 [N] of images [N, H, W, C]: the largest logit, of equal ones the first."""
    return np.asarray(np.argmax(logits(module, images), axis=1))


def accuracy(module: nn.Module, split: Split) -> float:
    """The share of images that a module in eval mode gives the right label."""
    return right_answers(module, split) / len(split)


def right_answers(module: nn.Module, split: Split) -> int:
    """How many images a module in eval mode gives the right label."""
    return int(np.sum(predict(module, split.images) == split.labels))


def copied(module: nn.Module) -> dict[str, Tensor]:
    """The weights and statistics of a module as they are now, which training does not change any more."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def renew_norms(module: nn.Module, split: Split, count: int) -> None:
    """Give each BatchNorm its mean and variance over `count` images of the split, with the weights as they are.

    Its running averages lag behind binary weights, whose signs flip, and know nothing of averaged weights.
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
