"""What other software takes for the same data, as this project measured it. Their code is not part of it.

int8: plain convolutional networks (convolution and ReLU, one dense layer), trained in float and quantised afterwards
with 1,000 calibration images, run by CMSIS-NN of July 2026. `conv6s4p1:12` is a 6x6 convolution of stride 4, padding 1
and 12 filters. BitNetMCU (cpldcpu/BitNetMCU, January 2026): weights of 2 to 8 bits, activations of 8, its released
weights.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INT8", "RIVALS", "Rival"]


@dataclass(frozen=True, slots=True)
class Rival:
    """A network that somebody would deploy instead.

    data: as in bench.front.ROWS.
    accuracy: of the test images, 0 to 100; seeds: trainings of which it is the mean. 0: the weights are released ones,
        or only the spread is known, and the accuracy is its middle.
    spread: the accuracies of single trainings, where they are known.
    m4, m0, m55: instructions of a run on qemu-m4, qemu-m0-4m and qemu-m55; None: not counted.
    flash: bytes of network and library on the M4; ram: bytes that are alive at the peak, the input included.
    """

    data: str
    kind: str
    network: str
    accuracy: float
    seeds: int
    m4: int
    m0: int | None = None
    m55: int | None = None
    flash: int | None = None
    ram: int | None = None
    spread: str = ""

    @property
    def costs(self) -> tuple[int | None, ...]:
        return self.m4, self.m0, self.m55, self.flash, self.ram


INT8, _BITNET = "int8 (CMSIS-NN)", "BitNetMCU"

RIVALS = (
    Rival("digits", INT8, "conv3:8 conv3s2:16 conv3p0:24 fc", 98.89, 1, 150_973, 387_388, 44_452, 15_880, 1_056),
    Rival("digits", INT8, "conv3s2:16 conv3p0:24 fc", 97.78, 1, 57_652, flash=14_704, ram=928),
    Rival(
        "MNIST",
        INT8,
        "conv6s4p1:12 conv3p0:16 conv3p0:24 fc",
        99.14,
        3,
        326_432,
        906_940,
        84_260,
        18_064,
        1_516,
        "99.09 to 99.19",
    ),
    Rival("MNIST", INT8, "conv3s2:8 conv3s2:16 conv3p0:24 fc", 99.25, 1, 568_220, flash=20_920, ram=2_640),
    Rival(
        "MNIST",
        INT8,
        "conv5s2:8 conv3s2:16 conv3p0:32 fc",
        99.29,
        3,
        788_927,
        2_056_186,
        218_019,
        24_296,
        2_640,
        "99.26 to 99.33",
    ),
    Rival("MNIST", INT8, "conv5s2:12 conv3s2:24 conv3p0:32 fc", 99.43, 1, 1_099_681, flash=28_284, ram=3_960),
    Rival("MNIST", _BITNET, "cnn_32", 99.27, 0, 550_000, 800_000, flash=13_100),
    Rival("MNIST", _BITNET, "cnn_48", 99.43, 0, 800_000, 1_150_000, flash=15_100),
    Rival("MNIST", _BITNET, "cnn_64", 99.54, 0, 1_040_000, 1_520_000, flash=17_000),
    Rival(
        "hands",
        INT8,
        "conv6s4p1:8 conv3s2:16 conv3s2:24 conv3:32 fc",
        99.03,
        3,
        1_486_311,
        4_106_046,
        359_000,
        28_128,
        14_768,
    ),
    Rival("hands", INT8, "conv3s4:8 conv3s2:16 conv3s2:24 conv3:32 fc", 99.03, 2, 917_404, flash=27_480, ram=14_448),
    Rival(
        "sound",
        INT8,
        "conv5s2:16 conv3s2:32 conv3s2:48 fc",
        68.5,
        0,
        1_087_030,
        flash=37_720,
        ram=3_824,
        spread="67.5 to 69.5",
    ),
)
