"""The default network: the recipe for pictures of about the same size. No torch here."""

from __future__ import annotations

__all__ = ["default_network"]

# The longest side, in pixels, for which a recipe is suitable.
_SIDES = {"bitflow-tiny": 15, "bitflow-lenet": 47, "bitflow-hands": 127}
_LARGE = "bitflow-alexnet"
_LONG = 24  # steps of a row: enough for the pools of bitflow-sound

# The usual height and width of a source; for all others about those of MNIST.
_USUAL = {"digits": (8, 8), "sound": (1, 64)} | dict.fromkeys(("hands", "imagenet", "signs"), (224, 224))
_OTHER = (28, 28)


def default_network(data: str, size: tuple[int, ...] | None = None) -> str:
    """The name or the layers of a network for a data source (`learn.data.sources`).

    For columns and short rows, which no recipe is made for, it describes layers along the other side.

    size: (height, width, ...) of the pictures; None: the usual size of the source.
    """
    height, width = (size or _USUAL.get(data.partition(":")[0], _OTHER))[:2]
    if height == 1 and width >= _LONG:
        return "bitflow-sound"
    if 1 in (height, width):
        nine, five, two = (f"1x{n}" if height == 1 else f"{n}x1" for n in (9, 5, 2))
        return f"conv{nine}:32/stride{two} conv{five}:64/pool{two} conv{five}:64"
    return next((name for name, side in _SIDES.items() if max(height, width) <= side), _LARGE)
