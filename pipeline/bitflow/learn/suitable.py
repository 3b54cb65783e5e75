"""The network to begin with where nobody names one: the recipe for pictures of about that size. No torch here."""

from __future__ import annotations

__all__ = ["suitable"]

# Up to which longer side, in pixels, a recipe suits.
_SIDES = {"bitflow-tiny": 15, "bitflow-lenet": 63}
_LARGE = "bitflow-alexnet"

# Height and width that a source usually has; all others: about those of MNIST.
_USUAL = {"digits": (8, 8), "sound": (1, 64)} | dict.fromkeys(("hands", "imagenet", "signs"), (224, 224))
_OTHER = (28, 28)


def suitable(data: str, size: tuple[int, ...] | None = None) -> str:
    """The name or the layers of a network that suits a data source (`learn.data`).

    size: (height, width, ...) of its pictures; None where it is not known: what the source usually has. For maps of
    height or width 1, which no recipe is made for, layers along the other side.
    """
    height, width = (size or _USUAL.get(data.partition(":")[0], _OTHER))[:2]
    if 1 in (height, width):
        nine, five, two = (f"1x{n}" if height == 1 else f"{n}x1" for n in (9, 5, 2))
        return f"conv{nine}:32/stride{two} conv{five}:64/pool{two} conv{five}:64"
    return next((name for name, side in _SIDES.items() if max(height, width) <= side), _LARGE)
