"""A torch module beside the networks that are made of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_network, run_packed
from bitflow.importers.torch.module import network_from_module, run_module
from bitflow.ir import Network, Rounding
from bitflow.learn.training.evaluate import as_input
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.nn import Shift, Thermometer

__all__ = ["equal_to_torch"]


def equal_to_torch(module: nn.Module, shape: tuple[int, int, int], seed: int, *, whole: bool = True) -> Network:
    """The network of a module with random numbers, after every hidden bit and label was compared with torch's.

    BatchNorms get gammas of both signs and of 0, unless they have an attribute `falls`: then one sign.
    whole: torch has a tensor for each map.
    """
    torch.manual_seed(seed)
    module.eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                _randomise(part)
            elif isinstance(part, Shift):
                part.bias.normal_()
            elif isinstance(part, Thermometer):
                part.shift += 0.3 * torch.randn_like(part.shift)
    images = np.random.default_rng(seed).integers(0, 256, (40, *shape), np.uint8)
    images[0], images[1] = 0, 255
    network = network_from_module(module, shape)
    found, packed = run_network(network, images), pack(fuse(network))
    with torch.no_grad():
        logits = module(as_input(images) if shape[0] > 1 else as_input(images).squeeze(2)).numpy()
    exact = all(layer.rounding is Rounding.FLOAT32 for layer in network.layers)
    np.testing.assert_allclose(found.scores, logits, 0, 0 if exact else 1e-5)
    if whole:
        theirs = run_module(module, images)
        for layer, want, got in zip(network.layers, theirs.hidden, found.hidden, strict=False):
            assert np.array_equal(want, got), layer.name
    for ours in (run_packed(packed, images), HostEngine(packed).trace(images)):
        assert np.array_equal(ours.labels, logits.argmax(1))
        for layer, want, got in zip(network.layers, found.hidden, ours.hidden, strict=False):
            assert np.array_equal(want, got), layer.name
    return network


def _randomise(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.normal_(0, 1.5)
    norm.running_var.uniform_(0.2, 9)
    norm.bias.normal_()
    norm.weight.normal_()
    if hasattr(norm, "falls"):
        norm.weight.abs_()
        norm.weight *= -1 if norm.falls else 1
    else:
        norm.weight[0], norm.weight[-1] = 0, -0.5
