"""A run on boards as one HTML file, without scripts or anything from a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.ir import PackedNetwork
from bitflow.show import confusion, html
from bitflow_hil.run.results import HilResult, Samples

__all__ = ["Part", "render"]

_CLASSES = 20  # in a confusion matrix, at most: more do not fit a page, and the confused pairs say more
_PAIRS = 20
_WRONG = 50
_BINS = 24
_THUMBNAIL = 64  # pixels of the longer side

# What is compared with the run before: the fact, its name, and the formats of its numbers.
_COMPARED = (
    ("accuracy", "accuracy", "{:.2%}", "{:+.2%}"),
    ("mismatches", "mismatches", "{:,}", "{:+,}"),
    ("latency_ms_median", "latency, median", "{:.2f} ms", "{:+.2f} ms"),
    ("latency_ms_p99", "latency, p99", "{:.2f} ms", "{:+.2f} ms"),
    ("instructions_per_image", "instructions an image", "{:,}", "{:+,}"),
    ("device_ms_median", "time on the device, median", "{:.3f} ms", "{:+.3f} ms"),
    ("stack_bytes", "stack", "{:,} bytes", "{:+,} bytes"),
    ("flash_bytes", "flash", "{:,} bytes", "{:+,} bytes"),
    ("ram_bytes", "RAM", "{:,} bytes", "{:+,} bytes"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A board in the report.

    facts: all facts of the run.
    before: those of the run before.
    failures: what failed.
    """

    result: HilResult
    facts: Mapping[str, Any]
    before: Mapping[str, Any] | None
    failures: Sequence[str]


def render(
    network: PackedNetwork,
    images: npt.NDArray[Any],
    parts: Sequence[Part],
    surroundings: Mapping[str, Any],
    errors: Sequence[tuple[str, str]] = (),
) -> str:
    """The page.

    images: [N, H, W, C], those that were sent.
    errors: (board, message) of boards without a result.
    """
    return html.render(
        "bitflow_hil.report",
        "page.html.j2",
        title=f"{network.name} on {', '.join(part.result.board for part in parts) or 'no board'}",
        boards=[_view(network, images, part) for part in parts],
        errors=errors,
        date=surroundings["date"],
        commit=surroundings["commit"],
        versions=[(name, version or "missing") for name, version in surroundings["versions"].items()],
    )


def _view(network: PackedNetwork, images: npt.NDArray[Any], part: Part) -> dict[str, Any]:
    result, samples = part.result, part.result.samples
    assert samples is not None
    names = [_name(network, label) for label in range(network.classes)]
    counts = confusion.counted(samples.truth, samples.labels, len(names)) if len(names) <= _CLASSES else None
    return {
        "name": result.board,
        "failures": part.failures,
        "tiles": _tiles(part.result, part.facts),
        "facts": [
            (name, part.facts[name])
            for name in ("runtime", "port", "images", "retries", "interruptions", "crc32", "build_id", "cpuid")
            if part.facts.get(name) is not None
        ],
        "difference": _difference(part.facts, part.before),
        "before": (part.before or {}).get("date", "an unknown time"),
        "matrix": None if counts is None else confusion.matrix(counts, names),
        "pairs": confusion.pairs(samples.truth, samples.labels, names, _PAIRS),
        "histogram": _histogram(samples.latencies_ms),
        "layers": _layers(network, result),
        "unit": "instructions" if result.layer_instructions else "ms",
        "wrong": _wrong(samples, names, images),
        "wrong_count": int((samples.labels != samples.truth).sum()),
    }


def _name(network: PackedNetwork, label: int) -> str:
    return network.labels[label] if label < len(network.labels) else str(label)


def _tiles(result: HilResult, facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important figures."""
    known = "" if result.float_accuracy is None else f", float network {result.float_accuracy:.2%}"
    tiles = [
        ("accuracy", f"{result.accuracy:.2%}", f"host {result.host_accuracy:.2%}{known}"),
        ("mismatches", f"{result.mismatches:,}", f"of {result.images:,} images, score by score"),
    ]
    if result.latency_ms_median is not None:
        tiles.append(
            ("latency", f"{result.latency_ms_median:.1f} ms", f"p99 {result.latency_ms_p99:.1f} ms, over the line")
        )
    if result.instructions_per_image is not None:
        tiles.append(("instructions", f"{result.instructions_per_image:,}", "an image, counted by the emulator"))
    if result.device_ms_median is not None:
        tiles.append(("on the device", f"{result.device_ms_median:.3g} ms", f"p99 {result.device_ms_p99:.3g} ms"))
    if facts.get("flash_bytes"):
        tiles.append(("flash", f"{facts['flash_bytes'] / 1024:.1f} KB", f"RAM {facts['ram_bytes'] / 1024:.1f} KB"))
    return tiles


def _difference(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Rows of the facts that are numbers in both runs; in a file edited by hand they may be anything."""
    rows = []
    for key, name, form, change in _COMPARED:
        new, old = now.get(key), (before or {}).get(key)
        if isinstance(new, int | float) and isinstance(old, int | float):
            form, change = (form, change) if isinstance(new, int) == isinstance(old, int) else ("{}", "{:+g}")
            rows.append(
                {"name": name, "old": form.format(old), "new": form.format(new), "change": change.format(new - old)}
            )
    return rows


def _histogram(milliseconds: npt.NDArray[np.float64]) -> dict[str, Any] | None:
    """Bars of equal width in a drawing of 600 by 160; the last one includes everything above p99."""
    if not milliseconds.size:
        return None
    low, high = float(milliseconds.min()), float(np.percentile(milliseconds, 99))
    counts, edges = np.histogram(np.minimum(milliseconds, high), _BINS, (low, high if high > low else low + 1))
    width = 600 / _BINS
    bars = [
        {
            "x": round(index * width + 1, 1),
            "width": round(width - 2, 1),
            "height": round(160 * count / counts.max(), 1),
            "says": f"{edges[index]:.2f} to {edges[index + 1]:.2f} ms: {count} images",
        }
        for index, count in enumerate(counts.tolist())
    ]
    return {"bars": bars, "low": f"{low:.2f} ms", "high": f"{edges[-1]:.2f} ms and more", "most": int(counts.max())}


def _layers(network: PackedNetwork, result: HilResult) -> list[dict[str, Any]]:
    costs = result.layer_instructions or result.layer_ms
    if len(costs) != len(network.layers):
        return []
    most, total = max(costs) or 1, sum(costs) or 1
    return [
        {
            "name": layer.name,
            "kind": layer.kind.name.lower(),
            "shape": f"{layer.source} → {layer.target}",
            "cost": f"{cost:,}",
            "width": round(100 * cost / most, 1),
            "share": f"{cost / total:.0%}",
        }
        for layer, cost in zip(network.layers, costs, strict=True)
    ]


def _wrong(samples: Samples, names: Sequence[str], images: npt.NDArray[Any]) -> list[dict[str, Any]]:
    found = np.flatnonzero(samples.labels != samples.truth)[:_WRONG]
    return [
        {
            "index": int(index),
            "truth": names[samples.truth[index]],
            "device": names[samples.labels[index]],
            "source": html.picture(images[index], _THUMBNAIL),
        }
        for index in found
    ]
