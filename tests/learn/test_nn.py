"""The binary layers: what they compute, how gradients pass, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from bitflow.nn import ESTIMATORS, BinaryConv2d, BinaryLinear, InputConv2d, Sign, binarise, clip_latent


def test_sign_of_zero_must_be_plus_one() -> None:
    assert Sign()(torch.tensor([-0.0, 0.0, -1e-30, 1e-30])).tolist() == [1, 1, -1, 1]


def test_gradient_must_pass_within_one_only() -> None:
    x = torch.tensor([-1.1, -1.0, 0.0, 1.0, 1.1], requires_grad=True)
    torch.autograd.backward(binarise(x).sum())
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("value", [-1, 0, 1])
def test_binary_convolution_must_be_the_scaled_integer(value: int) -> None:
    layer = BinaryConv2d(4, 6, (3, 2), (2, 1), (1, 2), value, groups=2).eval()
    x = binarise(torch.randn(2, 4, 7, 5))
    padded = functional.pad(x, (2, 2, 1, 1), value=float(value))
    exact = functional.conv2d(padded, torch.sign(layer.weight), None, (2, 1), groups=2)
    assert torch.equal(exact, exact.round())
    alpha = layer.weight.detach().abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(layer(x), exact * alpha.view(1, -1, 1, 1))


def test_a_padded_pixel_must_not_count() -> None:
    layer = InputConv2d(1, 1, 3, padding=1, zero_point=100).eval()
    assert torch.equal(layer(torch.full((1, 1, 4, 4), 100.0)), torch.zeros(1, 1, 4, 4))


def test_logits_of_equal_integers_must_be_equal() -> None:
    layer = BinaryLinear(3, 4).eval()
    layer.weight.data = torch.tensor([[0.9, -0.1, 0.2], [0.1, -0.7, 0.3], [-1.0, 0.1, 0.2], [0.2, 0.2, 0.2]])
    logits = layer(torch.tensor([[1.0, -1.0, 1.0]]))[0]
    assert logits[0] == logits[1]
    assert int(np.argmax(logits.detach().numpy())) == 0


def test_eval_must_stay_on_the_integers() -> None:
    layer = BinaryLinear(2, 1).eval()
    assert torch.equal(layer(torch.tensor([[1.0001, 1.0]])), layer(torch.tensor([[1.0, 1.0]])))


def test_latent_weights_must_be_clipped() -> None:
    layer = BinaryLinear(2, 2)
    layer.weight.data.fill_(3)
    clip_latent(torch.nn.Sequential(layer))
    assert layer.weight.max() == 1


def test_scaling_factor_must_not_depend_on_threads() -> None:
    layer = BinaryConv2d(64, 64, 3)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(layer.scaling_factor())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_bad_arguments_must_be_refused() -> None:
    with pytest.raises(ValueError, match="padding_value"):
        BinaryConv2d(1, 1, 3, padding_value=2)
    with pytest.raises(ValueError, match="3 groups"):
        BinaryConv2d(4, 4, 3, groups=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_estimators_must_be_what_they_say(dtype: torch.dtype) -> None:
    beyond = 1 + torch.finfo(dtype).eps
    x = torch.tensor([-2, -beyond, -1, -0.5, -0.0, 0.0, 0.25, 1, beyond, 3], dtype=dtype)
    wanted = {
        "clip": [0, 0, 1, 1, 1, 1, 1, 1, 0, 0],
        "polynomial": [0, 0, 0, 1.125, 1.5, 1.5, 1.40625, 0, 0, 0],
        "bireal": [0, 0, 0, 1, 2, 2, 1.5, 0, 0, 0],
    }
    assert wanted.keys() == ESTIMATORS.keys()
    for name, slope in wanted.items():
        given = x.clone().requires_grad_()
        signs = binarise(given, name)
        signs.backward(torch.full_like(x, 3))
        assert signs.tolist() == [-1, -1, -1, -1, 1, 1, 1, 1, 1, 1]
        assert given.grad is not None
        assert given.grad.tolist() == pytest.approx([3 * value for value in slope], rel=1e-2)


def test_float_weights_must_be_the_latent_ones() -> None:
    layer = BinaryConv2d(2, 3, 3)
    x = binarise(torch.randn(1, 2, 5, 5))
    layer.float_weights = True
    torch.testing.assert_close(layer(x), functional.conv2d(x, layer.weight))
    layer.float_weights = False
    alpha = layer.scaling_factor().view(1, 3, 1, 1)
    whole = functional.conv2d(x, binarise(layer.weight)) * alpha
    torch.testing.assert_close(layer(x), whole)  # while training
    assert torch.equal(layer.eval()(x), whole)
