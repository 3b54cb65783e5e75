"""The supported operations as a Markdown page, made from the code: `make docs` writes it, a test checks it."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterable, Mapping

from bitflow import accumulation, steps
from bitflow.importers.keras import layers as keras_layers
from bitflow.importers.onnx import operations as onnx_operations
from bitflow.importers.torch import operations as torch_operations
from bitflow.ir import Accumulation, LayerKind, Step

__all__ = ["markdown"]

_INTRODUCTION = """# What BitFlow takes

Made from the code by `make docs`. A network is a graph of layers. Each layer makes integers, and the steps that follow
become one integer per channel. Anything else is refused, with the name of its layer and the reason.

"""


def _first_sentence(thing: object) -> str:
    text = " ".join((inspect.getdoc(thing) or "").split())
    return text.partition(". ")[0].rstrip(".")


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows) + "\n"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) + "\n\n"


def _refused(reasons: Mapping[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(f"`{name}`")
    return "".join(f"- {', '.join(sorted(names))}: {reason}\n" for reason, names in sorted(by_reason.items())) + "\n"


def markdown() -> str:
    """The page."""
    made = typing.get_args(Accumulation)
    done = typing.get_args(Step)
    kinds = ", ".join(f"`{kind.name.lower()}`" for kind in LayerKind)
    return "".join(
        (
            _INTRODUCTION,
            "## What makes the integers of a layer\n\n",
            _table((f"`{kind.__name__}`", _first_sentence(kind)) for kind in made),
            f"Kinds of layer in a `.bfn`: {kinds}. At most {accumulation.MAX_SOURCES} maps enter one layer. No "
            f"accumulator may be larger than {accumulation.BOUND_LIMIT:,}.\n\n",
            "## What may follow them\n\n",
            _table((f"`{step.__name__}`", _first_sentence(step)) for step in done),
            f"In any order, at most one max-pool and one sign per layer (`{steps.__name__}`). Signs of one map "
            "that are joined along the channels, as in `cat([sign(x + 1), sign(x - 1)])` or `sign(cat([x, x]) + s)`, "
            "become one layer of several "
            f"bits, at most {accumulation.MAX_THRESHOLDS}. Each channel must rise, or fall, in all of them.\n\n",
            "## PyTorch\n\nBy `torch.export`, so in any style. Operations of ATen: ",
            _names(torch_operations.OPERATIONS),
            f"Rounding between limits, as in `round(clamp(x, 0, 1) * 3) / 3`, gives values of several bits, at most "
            f"{accumulation.MAX_THRESHOLDS} (below); `relu` and `clamp` are taken before it.\n\n",
            "Ignored, since they do nothing in eval mode: ",
            _names(torch_operations.SILENT),
            "At the end only: ",
            _names(torch_operations.AT_THE_END),
            "Refused with a reason:\n\n",
            _refused(torch_operations.UNWANTED),
            "## ONNX (opsets 9 to 21) and QONNX\n\n",
            _names(onnx_operations.OPERATIONS),
            "`Quant`, `IntQuant` and `MultiThreshold` make values of 1, 2 and 3 bits (at most "
            f"{accumulation.MAX_THRESHOLDS} thresholds, each of which becomes a bit): signed or not, narrow, of any "
            "scale, zero point and way to round, over pixels too. `Relu` and `Clip` may stand before them. Layers with "
            "+-1 or int8 weights take such values, and so do additions of equal scales and the global average.\n\n",
            "At the end only: ",
            _names(onnx_operations.AT_THE_END),
            "Refused with a reason:\n\n",
            _refused(onnx_operations.UNWANTED),
            "## Larq and Keras (`.h5`, `.keras`)\n\n",
            _names(keras_layers.LAYERS),
            "Quantizers of activations: ",
            _names(name for name in keras_layers.ACTIVATION_QUANTIZERS if "_" in name),
            "Quantizers of kernels: ",
            _names(name for name in keras_layers.KERNEL_QUANTIZERS if "_" in name),
        )
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())
