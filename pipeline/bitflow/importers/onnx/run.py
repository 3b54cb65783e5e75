"""Runs an ONNX model by an independent runtime: onnxruntime, or ONNX's reference for QONNX's own operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from bitflow.errors import InputError

__all__ = ["OnnxRunner"]

Floats = npt.NDArray[np.float32]


class BipolarQuant(OpRun):
    """QONNX's sign, as documented."""

    op_domain = "onnx.brevitas"

    def _run(self, x: Any, scale: Any) -> tuple[Any]:
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


class Quant(OpRun):
    """QONNX's quantiser: it limits first and rounds then, and signed numbers of one bit are -1 and +1."""

    op_domain = "onnx.brevitas"

    def _run(
        self, x: Any, scale: Any, zero: Any, bits: Any, signed: int = 1, narrow: int = 0, rounding_mode: str = "ROUND"
    ) -> tuple[Any]:
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        y = x / scale + zero
        if signed and np.all(bits == 1):
            y = np.where(y >= 0, 1.0, -1.0)
        else:
            y = _rounded(np.minimum(np.maximum(y, low), high), (rounding_mode or "ROUND").upper())
        return (((y - zero) * scale).astype(np.float32),)


def _rounded(y: Any, mode: str) -> Any:
    match mode:
        case "ROUND" | "HALF_EVEN":
            return np.round(y)
        case "CEIL":
            return np.ceil(y)
        case "FLOOR":
            return np.floor(y)
        case "UP":
            return np.sign(y) * np.ceil(np.abs(y))
        case "DOWN" | "ROUND_TO_ZERO":
            return np.fix(y)
        case "HALF_UP":
            return np.sign(y) * np.floor(np.abs(y) + 0.5)
        case "HALF_DOWN":
            return np.sign(y) * np.ceil(np.abs(y) - 0.5)
        case _:
            raise ValueError(f"rounding mode {mode} is unknown")


class IntQuant(Quant):
    """The newer name of Quant."""


class MultiThreshold(OpRun):
    """FINN's thresholds: how many thresholds of its channel a value reaches."""

    op_domain = "onnx.brevitas"

    def _run(self, x: Any, limits: Any, out_scale: float = 1.0, out_bias: float = 0.0, **other: Any) -> tuple[Any]:
        layout = str(other.get("data_layout") or {3: "NWC"}.get(x.ndim, "NC"))
        place = layout.index("C")
        moved = np.moveaxis(x, place, -1)[..., None]
        reached = np.moveaxis((moved >= limits).sum(axis=-1), -1, place)
        return ((reached * out_scale + out_bias).astype(np.float32),)


class BatchNormalization(OpRun):
    """BatchNorm in eval mode. For opsets before 14 the reference uses the batch's statistics, as in training."""

    op_domain = ""

    def _run(self, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, **other: Any) -> tuple[Any]:
        shape = (1, -1, *(1,) * (x.ndim - 2))
        weight, bias, mean, variance = (values.reshape(shape) for values in (weight, bias, mean, variance))
        epsilon = other.get("epsilon")
        deviation = np.sqrt(variance + np.float32(1e-5 if epsilon is None else epsilon))
        return ((weight * (x - mean) / deviation + bias).astype(np.float32),)


def _in_domain(operation: type[OpRun], domain: str) -> type[OpRun]:
    return type(operation.__name__, (operation,), {"op_domain": domain})


class OnnxRunner:
    """Runs a model on floats.

    kind: name of the runtime, for people to read.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        domains = sorted({str(node.domain) for node in model.graph.node if node.domain not in ("", "ai.onnx")})
        initial = {tensor.name for tensor in model.graph.initializer}
        entry = next(value for value in model.graph.input if value.name not in initial)
        first = entry.type.tensor_type.shape.dim[0]
        self._batch = first.dim_value if first.HasField("dim_value") and first.dim_value > 0 else 256
        self._run: Callable[[Floats], Floats]
        try:
            if domains:
                self.kind = "ONNX reference"
                known = {opset.domain for opset in model.opset_import}
                missing = [onnx.helper.make_opsetid(domain, 1) for domain in domains if domain not in known]
                model.opset_import.extend(missing)
                operations = [
                    _in_domain(o, d) for o in (BipolarQuant, Quant, IntQuant, MultiThreshold) for d in domains
                ]
                evaluator = ReferenceEvaluator(model, new_ops=[*operations, BatchNormalization])
                self._run = lambda values: next(iter(evaluator.run(None, {entry.name: values})))
                return
            import onnxruntime

            self.kind = "onnxruntime"
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 4
            session = onnxruntime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
            self._run = lambda values: session.run(None, {entry.name: values})[0]
        except ImportError:
            raise
        except Exception as error:  # each runtime has its own exceptions
            raise InputError(f"{self.kind} cannot run the model: {' '.join(str(error).split())[:200]}") from error

    def run(self, values: Floats) -> Floats:
        """Logits float32 [N, classes]. A model with a fixed batch size gets its images batch by batch."""
        found = []
        for start in range(0, len(values), self._batch):
            part = values[start : start + self._batch]
            whole = np.zeros((self._batch, *part.shape[1:]), np.float32) if len(part) < self._batch else part
            whole[: len(part)] = part
            found.append(np.asarray(self._run(whole)).reshape(self._batch, -1)[: len(part)])
        return np.concatenate(found)
