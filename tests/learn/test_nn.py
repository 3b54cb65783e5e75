"""The binary layers: what they compute, how gradients pass, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from bitflow.nn import ESTIMATORS, BinaryConv2d, BinaryLinear, InputConv2d, Sign, Thermometer, binarise, clip_latent


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


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 3, 4, 2)])
@pytest.mark.parametrize("memory", ["channels first", "channels last"])
@pytest.mark.parametrize("thresholds", [1, 2, 3, 8])
def test_bit_t_of_a_channel_must_be_the_sign_of_its_shifted_value(
    shape: tuple[int, ...], memory: str, thresholds: int
) -> None:
    layer = Thermometer(3, thresholds)
    layer.shift.data.copy_(torch.randn(thresholds, 3))
    x = torch.randn(shape)
    x[0, 0] = -layer.shift[-1, 0]  # a tie is +1
    if memory == "channels last":
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    found = layer(x)
    parts = [binarise(x + row.view(1, 3, *(1,) * (x.dim() - 2))) for row in layer.shift]
    assert torch.equal(found, torch.cat(parts, 1))
    assert found.shape == (5, 3 * thresholds, *shape[2:])
    assert bool((found[0, 3 * thresholds - 3] == 1).all())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_must_pass_each_threshold(estimator: str) -> None:
    layer = Thermometer(3, 4, estimator=estimator)
    x = torch.randn(6, 3, 5, 4)
    weights = torch.randn(6, 12, 5, 4)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    (layer(ours) * weights).sum().backward()
    assert layer.shift.grad is not None
    mine, layer.shift.grad = layer.shift.grad.clone(), None
    parts = [binarise(theirs + row.view(1, 3, 1, 1), estimator) for row in layer.shift]
    (torch.cat(parts, 1) * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(mine, layer.shift.grad)


def test_shifts_must_start_evenly_spaced() -> None:
    wanted = {1: [0.0], 2: [0.6, -0.6], 3: [0.9, 0.0, -0.9], 4: [1.08, 0.36, -0.36, -1.08]}
    for thresholds, shifts in wanted.items():
        assert Thermometer(2, thresholds).shift[:, 1].tolist() == pytest.approx(shifts)
    assert Thermometer(1, 8).shift[0, 0].item() == pytest.approx(1.4)
    assert Thermometer(2, 2, spread=0.25).shift.tolist() == [[0.25, 0.25], [-0.25, -0.25]]


def test_half_precision_must_stay_half() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16)
    assert Thermometer(3)(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"thresholds": 0}, r"0 thresholds are outside 1\.\.8"),
        ({"thresholds": 9}, r"9 thresholds are outside 1\.\.8"),
        ({"spread": 0.0}, "spread 0.0 is not a positive number"),
        ({"spread": -1.0}, "not a positive number"),
        ({"spread": float("nan")}, "not a positive number"),
        ({"spread": float("inf")}, "not a positive number"),
        ({"channels": 0}, "0 channels"),
        ({"estimator": "tanh"}, "not one of bireal, clip, polynomial"),
    ],
)
def test_bad_thermometers_must_be_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Thermometer(**{"channels": 4} | arguments)
    assert "\n" not in str(caught.value)


def test_a_thermometer_must_refuse_a_map_of_other_channels() -> None:
    with pytest.raises(ValueError, match=r"takes \[N, 4, ...\], got \[2, 1, 3\]"):
        Thermometer(4)(torch.zeros(2, 1, 3))
