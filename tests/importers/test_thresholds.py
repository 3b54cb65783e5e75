"""Signs of one map that are joined along the channels: one layer with thresholds, every bit equal to the source's."""

from __future__ import annotations

import pytest
import torch
from tests.importers.test_torch_module import needs_fma
from tests.importers.torch_runs import equal_to_torch
from tests.tiers import turns
from torch import Tensor, nn
from torch.nn import functional

from bitflow.importers.torch.module import network_from_module
from bitflow.ir import LayerKind, Offset, Sign
from bitflow.nn import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryLinear,
    InputConv1d,
    InputConv2d,
    Residual,
    Thermometer,
    binarise,
)


def plane(thresholds: int, place: str) -> nn.Module:
    """Thermometers over planes and over the values of a dense layer."""
    first: list[nn.Module] = [nn.BatchNorm2d(5), Thermometer(5, thresholds)]
    first.insert({"before": 0, "between": 1, "after": 2, "none": 2}[place], nn.MaxPool2d(2))
    second = BinaryConv2d(5 * thresholds, 6, 3, padding=1, padding_value=1)
    head = [BinaryLinear(6 * thresholds * 25, 7), nn.BatchNorm1d(7), Thermometer(7, thresholds)]
    return nn.Sequential(
        InputConv2d(2, 5, 3, padding=1), *first, second, nn.BatchNorm2d(6), Thermometer(6, thresholds), nn.Flatten(),
        *head, BinaryLinear(7 * thresholds, 4),
    )  # fmt: skip


@needs_fma
@pytest.mark.parametrize(("thresholds", "place"), turns([1, 2, 3, 4, 5, 8], ["before", "between", "after"]))
def test_a_thermometer_must_be_one_layer_with_the_bits_of_torch(thresholds: int, place: str) -> None:
    network = equal_to_torch(plane(thresholds, place), (10, 10, 2), seed=thresholds)
    assert [layer.thresholds for layer in network.layers] == [thresholds] * 3 + [1]
    assert [layer.name for layer in network.layers] == ["conv1", "conv2", "dense3", "dense4"]


@needs_fma
@pytest.mark.parametrize("thresholds", [2, 3, 7])
def test_a_thermometer_of_a_sequence_must_have_the_bits_of_torch(thresholds: int) -> None:
    module = nn.Sequential(
        InputConv1d(2, 9, 5, stride=2, padding=2), nn.BatchNorm1d(9), Thermometer(9, thresholds),
        BinaryConv1d(9 * thresholds, 4, 3, padding=1), nn.MaxPool1d(2), nn.BatchNorm1d(4), Thermometer(4, thresholds),
        nn.Flatten(), BinaryLinear(4 * thresholds * 8, 3),
    )  # fmt: skip
    network = equal_to_torch(module, (1, 32, 2), seed=thresholds)
    assert [layer.accumulation.kind for layer in network.layers] == [
        LayerKind.INPUT_CONV, LayerKind.CONV, LayerKind.DENSE,
    ]  # fmt: skip


def test_thresholds_must_be_the_shifts_of_the_layer() -> None:
    layer = Thermometer(3, 4)
    module = nn.Sequential(InputConv2d(1, 3, 2), nn.BatchNorm2d(3), layer, nn.Flatten(), BinaryLinear(12, 2))
    sign = network_from_module(module, (2, 2, 1)).layers[0].sign
    assert sign is not None and sign.thresholds is not None
    assert sign.thresholds.tolist() == (-layer.shift.detach().double()).tolist()
    assert not any(isinstance(step, Offset) for step in network_from_module(module, (2, 2, 1)).layers[0].steps)


class Stream(nn.Module):
    """Integers that a residual sum needs besides their thermometer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(InputConv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), Thermometer(6, 2))
        self.first = BinaryConv2d(12, 6, 3, padding=1, scaled=False)
        body = [nn.BatchNorm2d(6), Thermometer(6, 3), BinaryConv2d(18, 6, 3, padding=1, scaled=False)]
        self.block = Residual(nn.Sequential(*body))
        self.norm, self.bits, self.head = nn.BatchNorm2d(6), Thermometer(6, 4), BinaryLinear(24 * 42, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bits(self.norm(self.block(self.first(self.stem(x))))).flatten(1))


@needs_fma
def test_integers_that_are_also_added_must_keep_their_map() -> None:
    network = equal_to_torch(Stream(), (6, 7, 1), seed=3)
    conv, sums = LayerKind.CONV, LayerKind.SUM
    kinds = [layer.accumulation.kind for layer in network.layers]
    assert kinds == [LayerKind.INPUT_CONV, conv, sums, conv, sums, LayerKind.DENSE]
    assert [layer.thresholds for layer in network.layers] == [2, 1, 3, 1, 4, 1]


# ---- Modules of other styles ----

SHIFTS = torch.tensor([[0.75, -0.5, 0.0], [0.0, 1.5, -0.25], [-1.0, -1.0, 2.0]]).view(3, 1, 3, 1, 1)


def norms() -> nn.ModuleList:
    return nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))


class Style(nn.Module):
    """One map of 3 channels, and what a style makes of it."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.conv, self.norm, self.norms = InputConv2d(1, 3, 3), nn.BatchNorm2d(3), norms()
        for norm in self.norms:
            norm.falls = style == "norms that fall"
        if style in KEPT:
            self.norm.falls = False
        self.register_buffer("shifts", SHIFTS)
        self.wide = nn.BatchNorm2d(9)
        self.wide.falls = False
        self.other, self.head = InputConv2d(1, 3, 3), nn.LazyLinear(4)

    def features(self, image: Tensor) -> Tensor:
        integers = self.conv(image)
        x = self.norm(integers)
        moved = [x + s for s in self.shifts]
        one = torch.ones_like(x)
        match self.style:
            case "where":
                parts = [torch.where(value >= 0, one, -one) for value in moved]
            case "numbers of comparisons":
                parts = [(x > -s).float() * 2 - 1 for s in self.shifts]
            case "each with its zero":
                parts = [torch.where(moved[0] > 0, one, -one), binarise(moved[1]), torch.where(moved[2] < 0, -one, one)]
            case "zeros and ones":
                parts = [(value >= 0).float() for value in moved]
            case "in any order":
                parts = [binarise(moved[i]) for i in (2, 0, 1, 0)]
            case "one without a shift":
                parts = [binarise(x), binarise(moved[0])]
            case "two shifts":
                parts = [binarise(x + s + 0.1) for s in self.shifts]
            case "joined first":
                return binarise(torch.cat(moved, 1))
            case "joined and pooled first":
                return binarise(functional.hardtanh(functional.max_pool2d(torch.cat(moved, 1), 2)))
            case "joined first, then a sign of a sign":
                return torch.sign(torch.sign(torch.cat(moved, 1)) + 0.1)
            case "joined with itself":
                return binarise(torch.cat([x] * 3, 1) + self.shifts.view(9, 1, 1))
            case "joined with itself, scaled":
                return binarise(
                    functional.max_pool2d(torch.cat([x] * 3, 1) * (2 + self.shifts.view(1, 9, 1, 1)) - 1.0, 2)
                )
            case "joined with itself and normalised":
                return binarise(self.wide(torch.cat([x] * 3, 1)))
            case "a sign of a sign":
                parts = [torch.sign(torch.sign(value) + 0.1 * (1 - 2 * (n % 2))) for n, value in enumerate(moved)]
            case "pools before":
                parts = [binarise(functional.max_pool2d(value, 2)) for value in moved]
            case "pools before norms":
                parts = [binarise(norm(functional.max_pool2d(integers, 2))) for norm in self.norms]
            case "pools after":
                parts = [functional.max_pool2d(binarise(value), 2) for value in moved]
            case "norms" | "norms that fall":
                parts = [binarise(norm(integers)) for norm in self.norms]
            case "nested":
                return torch.cat([torch.cat([binarise(v) for v in moved[:2]], 1), binarise(moved[2])], 1)
            case "pixels":
                parts = [binarise(image - limit) for limit in (50, 100.5, 200)]
            case "upside down":
                parts = [binarise(s - x) for s in self.shifts]
            case "two maps":
                parts = [binarise(moved[0]), binarise(self.other(image))]
            case "two maps joined first":
                return binarise(torch.cat([moved[0], self.other(image)], 1))
            case "both ways":
                parts = [binarise(x), binarise(-x)]
            case "pools that differ":
                parts = [binarise(functional.max_pool2d(x, 1)), binarise(x)]
            case "nine":
                parts = [binarise(x + n / 10) for n in range(9)]
            case "a part used again":
                parts = [binarise(value) for value in moved]
                return torch.cat([torch.cat(parts, 1), parts[0]], 1)
        return torch.cat(parts, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).flatten(1))


ONE = [
    "where", "numbers of comparisons", "each with its zero", "in any order", "one without a shift",
    "two shifts", "joined first", "joined and pooled first", "joined first, then a sign of a sign", "a sign of a sign",
    "joined with itself", "joined with itself, scaled", "joined with itself and normalised",
    "pools before", "pools before norms", "pools after", "norms", "norms that fall", "nested", "pixels", "upside down",
]  # fmt: skip
SEVERAL = ["two maps", "two maps joined first", "both ways", "pools that differ", "nine"]


KEPT = [*SEVERAL, "a part used again"]  # torch's numbers must tell the integers


def styled(style: str) -> Style:
    torch.manual_seed(len(style))
    module = Style(style).eval()
    with torch.no_grad():
        size = module.features(torch.zeros(1, 1, 8, 8)).flatten(1).shape[1]
    module.head = BinaryLinear(size, 4)
    return module


@needs_fma
@pytest.mark.parametrize("style", [*ONE, "zeros and ones"])
def test_signs_of_one_map_must_be_one_layer_in_any_style(style: str) -> None:
    network = equal_to_torch(styled(style), (8, 8, 1), seed=1, whole=style != "zeros and ones")
    bits, head = network.layers
    assert bits.thresholds == {"in any order": 4, "one without a shift": 2}.get(style, 3)
    assert isinstance(bits.sign, Sign) and (bits.accumulation.kind, head.accumulation.kind) == (
        LayerKind.INPUT_CONV,
        LayerKind.DENSE,
    )
    if style == "each with its zero":
        assert bits.sign.zero == (-1, 1, 1)


@needs_fma
@pytest.mark.parametrize("style", SEVERAL)
def test_other_signs_must_stay_a_concatenation(style: str) -> None:
    network = equal_to_torch(styled(style), (8, 8, 1), seed=1, whole=style not in ("nine", "two maps joined first"))
    assert network.layers[-2].accumulation.kind is LayerKind.CONCAT


def test_bits_that_are_used_again_must_stay_a_layer() -> None:
    network = equal_to_torch(styled("a part used again"), (8, 8, 1), seed=1)
    kinds = [layer.accumulation.kind for layer in network.layers]
    assert kinds.count(LayerKind.CONCAT) == 2
