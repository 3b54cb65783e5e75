"""How a network is trained, and numbers that suit each architecture. No torch: settings must load quickly."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from bitflow.errors import InputError
from bitflow.geometry import require

__all__ = ["RECIPES", "Recipe", "recipe_for"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. shift: images are moved by up to so many pixels. validation: the share of the training images
    that picks the best epoch and is not trained on. threads: of torch; with batches so small one thread is
    often the quickest, and the only one that does not suffer where another program needs a core.
    """

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 0.01
    seed: int = 1
    shift: int = 1
    validation: float = 0.1
    threads: int = 1

    def __post_init__(self) -> None:
        require(1 <= self.epochs <= 100_000, f"epochs {self.epochs} is outside 1..100000")
        require(2 <= self.batch <= 65536, f"batch {self.batch} is outside 2..65536")
        require(0 < self.learning_rate <= 1, f"learning_rate {self.learning_rate} is outside 0..1")
        require(0 <= self.seed < 2**31, f"seed {self.seed} is outside 0..{2**31 - 1}")
        require(0 <= self.shift <= 64, f"shift {self.shift} is outside 0..64")
        require(0 < self.validation < 1, f"validation {self.validation} is outside 0..1")
        require(1 <= self.threads <= 256, f"threads {self.threads} is outside 1..256")


# Tried on digits and MNIST; README.md has what they give, and by which commands.
RECIPES = {
    # Set before its first run and only used on photographs of signs (docs/paper.md). ImageNet wants more threads.
    "bitflow-alexnet": Recipe(epochs=60, batch=64, learning_rate=0.002, shift=4),
    "bitflow-lenet": Recipe(epochs=25, batch=128, learning_rate=0.005, shift=2, validation=0.05, threads=2),
    "bitflow-tiny": Recipe(),
}


def recipe_for(architecture: str) -> Recipe:
    """The recipe that suits an architecture. Raises InputError for an unknown name."""
    if architecture in RECIPES:
        return RECIPES[architecture]
    near = get_close_matches(architecture, RECIPES, 1)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(RECIPES)}"
    raise InputError(f"architecture {architecture!r} is unknown; {hint}")
