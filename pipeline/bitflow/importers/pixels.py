"""How a source scaled its pixels (raw, unit, signed, or a mean and a deviation), and the network behind that."""

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
    """How a source scaled a pixel p: ((p - shift) / divisor - mean) / deviation.

    text: as in `--input`, which Pixels.parse reads: raw, unit, signed, MEAN,STD or, for each channel, M;M;M,S;S;S.
    mean, deviation: one number, or one per channel.
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
        """Pixels from a word or MEAN,STD. Raises InputError for anything else."""
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
        """The scaling as steps. Raises InputError if the numbers do not fit the channels."""
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
        """Images [N, H, W, C] as the source gets them: float32 of the same shape."""
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
    """The network of a file's graph for pictures of a shape.

    notes: more notes for the user. The other arguments and the errors are those of `assemble`.
    """
    input_spec = InputSpec(shape, "uint8", 0, ChannelOrder.default(shape.channels))
    steps = pixels.steps(shape.channels)
    imported = assemble(graph, input_spec, pixel_steps=steps, name=name, labels=labels, sign_zero=sign_zero)
    return replace(imported, notes=(f"input: the source got {pixels} for a pixel p", *notes, *imported.notes))
