"""What float a source got for a pixel (raw, unit, signed, or a mean and a deviation), and the network that it feeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.geometry import ChannelOrder, InputSpec, Shape
from bitflow.importers.assemble import Imported, assemble
from bitflow.importers.graph import Graph
from bitflow.ir import Divide, Offset, Scale, Step

__all__ = ["Pixels", "network_of"]


@dataclass(frozen=True, slots=True)
class Pixels:
    """((p - shift) / divisor - mean) / deviation, each of `mean` and `deviation` one number or one a channel.

    Pixels.parse reads what `--input` takes: raw, unit, signed, MEAN,STD or, one number a channel, M;M;M,S;S;S.
    """

    text: str
    shift: float = 0.0
    divisor: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    RAW: ClassVar[Pixels]
    UNIT: ClassVar[Pixels]
    SIGNED: ClassVar[Pixels]

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Pixels:
        """Pixels of a word or of MEAN,STD. Raises InputError."""
        words = {"raw": cls.RAW, "unit": cls.UNIT, "signed": cls.SIGNED}
        if text in words:
            return words[text]
        try:
            mean, deviation = (tuple(map(float, part.split(";"))) for part in text.split(","))
        except ValueError:
            raise InputError(f"--input {text!r} is none of raw, unit, signed or MEAN,STD") from None
        if not np.isfinite([*mean, *deviation]).all() or min(deviation) <= 0:
            raise InputError(f"--input {text!r}: a mean must be finite and a deviation positive")
        return cls(f"(p/255 - {_text(mean)}) / {_text(deviation)}", 0.0, 255.0, mean, deviation)

    def steps(self, channels: int) -> tuple[Step, ...]:
        """What becomes of a pixel, as steps. Raises InputError where the channels do not fit."""
        for numbers in (self.mean, self.deviation):
            if len(numbers) not in (1, channels):
                raise InputError(f"--input has {len(numbers)} numbers for {channels} channels")
        found: list[Step] = []
        if self.shift:
            found.append(Offset(np.full(channels, -self.shift)))
        if self.divisor != 1:
            found.append(Divide(self.divisor))
        if any(self.mean):
            found.append(Offset(np.broadcast_to(-np.array(self.mean), channels)))
        if len(set(self.deviation)) > 1:
            found.append(Scale(1 / np.array(self.deviation)))
        elif self.deviation[0] != 1:
            found.append(Divide(self.deviation[0]))
        return tuple(found)

    def floats(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """What the source gets for images [N, H, W, C], float32 of that shape."""
        values = (images.astype(np.float32) - np.float32(self.shift)) / np.float32(self.divisor)
        if self.mean == (0.0,) and self.deviation == (1.0,):
            return np.asarray(values)
        return np.asarray((values - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32))


def _text(numbers: tuple[float, ...]) -> str:
    return f"{numbers[0]:g}" if len(numbers) == 1 else "[" + ", ".join(f"{n:g}" for n in numbers) + "]"


Pixels.RAW = Pixels("p")
Pixels.UNIT = Pixels("p/255", divisor=255.0)
Pixels.SIGNED = Pixels("(p-128)/128", shift=128.0, divisor=128.0)


def network_of(
    graph: Graph,
    shape: Shape,
    pixels: Pixels,
    name: str,
    *,
    labels: Sequence[str] = (),
    sign_zero: int | None = None,
    notes: Sequence[str] = (),
) -> Imported:
    """The network of a file's graph over pictures of a shape; notes: what else to say. The rest as `assemble`."""
    input_spec = InputSpec(shape, "uint8", 0, ChannelOrder.default(shape.channels))
    steps = pixels.steps(shape.channels)
    imported = assemble(graph, input_spec, pixel_steps=steps, name=name, labels=labels, sign_zero=sign_zero)
    return replace(imported, notes=(f"input: the source got {pixels} for a pixel p", *notes, *imported.notes))
