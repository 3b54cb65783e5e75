"""The networks that `bitflow search` tries: a few choices, which together give a description (`learn.networks.layers`).

A network has 2 to 6 convolutions and sometimes a dense layer. It halves its maps, by the stride of the first layer and
by pools, until the longer side has 3 to 8 values (3 to 16 for a map of height or width 1, whose kernels, strides and
pools are 1 across). The shorter side is halved as long as 3 values remain. A convolution makes up to 4 bits of an
accumulator.

Every network has every choice, even where it has no effect (the channels of a fifth layer of three): a sampler learns
better from choices that always exist than from a tree of choices. No torch here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bitflow.learn.networks.layers import LayerText, parse_layers

__all__ = ["Space"]

Pair = tuple[int, int]

# Multiples of 8, denser at the low end: half of them are at most 64.
_CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
_THRESHOLDS = (1, 2, 3, 4)
_DEPTHS = (2, 3, 4, 5, 6)
_DENSE = (0, 64, 128, 256)
# How often the first layer halves its map. The order is that of `nearest`: a stride counts two, a pool one.
_FIRST = {"same": 0, "pool": 1, "stride": 1, "both": 2}
_PLACES = ("early", "spread", "late")
_POOL = 6  # halvings by one pool, at most: a word has room for pools below 100
_LEAST, _MOST_OF_PICTURES, _MOST_OF_ROWS = 3, 8, 16  # of the last map's longer side


@dataclass(frozen=True, slots=True)
class Space:
    """The networks for pictures of this height and width."""

    picture: Pair

    @property
    def choices(self) -> Mapping[str, tuple[int | str, ...]]:
        """The options of each choice, in an order in which neighbours are similar.

        halvings: of the longer side, in all.
        first: how the first layer halves: by a stride, by a pool, or twice by both. It is one choice, so that a single
            change can replace a stride by a pool.
        place: which of the other layers do the remaining halvings.
        pad0: whether the last layer has no padding.
        """
        flat = 1 in self.picture
        return {
            "depth": _DEPTHS,
            **{f"channels{layer}": _CHANNELS for layer in range(1, _DEPTHS[-1] + 1)},
            **{f"thresholds{layer}": _THRESHOLDS for layer in range(1, _DEPTHS[-1] + 1)},
            "kernel1": (3, 5, 9, 15) if flat else (3, 5, 7),
            "kernel": (3, 5, 7, 9) if flat else (3, 5),
            "halvings": self._halvings(),
            "first": tuple(_FIRST),
            "place": _PLACES,
            "pad0": (0, 1),
            "dense": _DENSE,
        }

    def text(self, taken: Mapping[str, int]) -> str:
        """The description with the options of these numbers."""
        option = {name: options[taken[name]] for name, options in self.choices.items()}
        depth, size, words = int(option["depth"]), self.picture, []
        halvings = _halvings_of_layers(option)
        for layer in range(depth):
            kernel = self._across(int(option["kernel" if layer else "kernel1"]))
            word = f"conv{_pair(kernel, always=True)}:{option[f'channels{layer + 1}']}"
            pools = halvings[layer]
            if layer == 0 and option["first"] in ("stride", "both") and pools:
                step = _halved(size)
                pools -= 1
                word += f"/stride{_pair(step)}"
                size = -(-size[0] // step[0]), -(-size[1] // step[1])
            last = layer + 1 == depth
            if last and option["pad0"] and not pools and all(a >= b for a, b in zip(size, kernel, strict=True)):
                word += "/pad0"
            window = (1, 1)
            for _ in range(min(pools, _POOL)):
                step = _halved(size)
                size = size[0] // step[0], size[1] // step[1]
                window = window[0] * step[0], window[1] * step[1]
            word += f"/pool{_pair(window)}" if window != (1, 1) else ""
            bits = option[f"thresholds{layer + 1}"]
            words.append(word if bits == 1 else f"{word}/t{bits}")
        return " ".join([*words, *([f"dense:{option['dense']}"] if option["dense"] else [])])

    def nearest(self, text: str) -> dict[str, int]:
        """The options nearest to a description. Raises InputError for an invalid one."""
        layers = parse_layers(text)
        maps = [layer for layer in layers if layer.kind != "dense"][: _DEPTHS[-1]]
        dense = [layer.channels for layer in layers if layer.kind == "dense"]
        first, *others = maps
        wanted: dict[str, float] = {
            "depth": len(maps),
            "kernel1": max(first.kernel),
            "kernel": Counter(max(layer.kernel) for layer in others).most_common(1)[0][0] if others else 3,
            "halvings": sum(map(_halves, maps)),
            "pad0": int(maps[-1].sides == (0, 0) and max(maps[-1].kernel) > 1),
            "dense": dense[0] if dense else 0,
        }
        for layer in range(_DEPTHS[-1]):
            near = maps[min(layer, len(maps) - 1)]
            wanted |= {f"channels{layer + 1}": near.channels, f"thresholds{layer + 1}": near.thresholds}
        choices = self.choices
        found = {
            name: min(range(len(choices[name])), key=lambda k: abs(float(choices[name][k]) - wanted[name]))
            for name in wanted
        }
        found["first"] = 2 * (max(first.stride) > 1) + (first.pool is not None)
        halvings = [_halves(layer) for layer in maps]

        def unlike(place: int) -> int:
            option = {name: choices[name][k] for name, k in found.items()} | {"place": _PLACES[place]}
            return sum(abs(a - b) for a, b in zip(halvings, _halvings_of_layers(option), strict=False))

        return found | {"place": min(range(len(_PLACES)), key=unlike)}

    def smallest(self) -> str:
        """The network with the fewest and narrowest layers, and the smallest maps."""
        most = {"halvings", "first"}
        return self.text({name: len(options) - 1 if name in most else 0 for name, options in self.choices.items()})

    def _halvings(self) -> tuple[int, ...]:
        side = max(self.picture)
        most = _MOST_OF_ROWS if 1 in self.picture else _MOST_OF_PICTURES
        found = tuple(n for n in range(side.bit_length()) if _LEAST <= side >> n <= most)
        return found or (0,)

    def _across(self, kernel: int) -> Pair:
        return (1 if self.picture[0] == 1 else kernel), (1 if self.picture[1] == 1 else kernel)


def _halvings_of_layers(option: Mapping[str, int | str]) -> list[int]:
    """How often each layer halves its map. With too few layers some do it more than once."""
    depth, left = int(option["depth"]), int(option["halvings"])
    first = min(_FIRST[str(option["first"])], left)
    others, left = depth - 1, left - first
    every, more = divmod(left, others)
    match option["place"]:
        case "early":
            chosen = set(range(more))
        case "late":
            chosen = set(range(others - more, others))
        case _:
            chosen = {(2 * k + 1) * others // (2 * more) for k in range(more)}
    return [first, *(every + (layer in chosen) for layer in range(others))]


def _halved(size: Pair) -> Pair:
    """The step that halves a map: no side becomes shorter than 3."""
    return (2 if size[0] >> 1 >= _LEAST else 1), (2 if size[1] >> 1 >= _LEAST else 1)


def _halves(layer: LayerText) -> int:
    """About how often a layer halves its map."""
    step = max(layer.stride) * (max(layer.pool.stride) if layer.pool else 1)
    return round(math.log2(step))


def _pair(size: Pair, always: bool = False) -> str:
    return f"{size[0]}x{size[1]}" if always or size[0] != size[1] else str(size[0])
