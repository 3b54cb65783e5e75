"""The result of a check on a device, as JSON and JUnit XML, and whether it is good enough."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.files import write_atomic

__all__ = ["Demands", "HilResult", "Mismatch", "Samples", "junit", "shortfalls", "write_junit"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An image whose scores differ."""

    image: int
    host: tuple[int, ...]
    device: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The images of a run.

    labels: the device's labels [N].
    truth: the true labels [N].
    latencies_ms: milliseconds until the scores came, as seen by the host, [N]; [0] if not measured.
    """

    labels: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    latencies_ms: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a result must satisfy.

    tolerance: how much less accurate than the float network it may be, a fraction.
    accuracy: the least accuracy, a fraction; 0: no demand.
    latency_ms: the highest latency on the device; 0: no demand.
    """

    tolerance: float = 0.0
    accuracy: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class HilResult:
    """The result of a check.

    accuracy, host_accuracy, float_accuracy: fractions; the last is None if no float network is known.
    mismatches: images whose scores differ.
    retries: requests and chunks that were sent again.
    interruptions: how often the device was lost and connected again.
    round_trips: answers of the device.
    instructions_per_image: mean; None on a real board.
    stack_bytes: stack that was ever used; None with MicroPython.
    cpuid: the core; None with MicroPython.
    examples: the first mismatches.
    latency_ms_*: from sending an image to its scores, as seen by the host; None if not measured.
    device_ms_*, layer_ms: by a real board's timer; an emulator counts no time. layer_ms is of one image.
    instructions_*, layer_instructions: on emulated boards only; the latter are of one image.
    samples: the images; not part of facts().
    """

    board: str
    runtime: str
    images: int
    accuracy: float
    host_accuracy: float
    float_accuracy: float | None
    mismatches: int
    retries: int
    interruptions: int
    round_trips: int
    instructions_per_image: int | None
    stack_bytes: int | None
    crc32: str
    build_id: str
    cpuid: str | None
    examples: tuple[Mismatch, ...] = ()
    latency_ms_median: float | None = None
    latency_ms_p99: float | None = None
    device_ms_median: float | None = None
    device_ms_p99: float | None = None
    instructions_median: int | None = None
    instructions_p99: int | None = None
    layer_instructions: tuple[int, ...] = ()
    layer_ms: tuple[float, ...] = ()
    samples: Samples | None = field(default=None, repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """The result as one JSON object; its keys are stable."""
        facts = asdict(replace(self, samples=None))
        del facts["samples"]
        return facts


def shortfalls(result: HilResult, demands: Demands) -> list[str]:
    """Why a result is not good enough, one line each; empty if it is.

    An emulated board has no latency: a caller that demands one must say that it was not checked.
    """
    lines = []
    if result.mismatches:
        lines.append(f"{result.mismatches} of {result.images} images have different scores on {result.board}")
    lost = (result.float_accuracy or 0) - result.accuracy
    if lost > demands.tolerance:
        lines.append(f"{result.board} is less accurate than the float network by {lost:.2%}")
    if result.accuracy < demands.accuracy:
        lines.append(f"{result.board} is right in {result.accuracy:.2%}, the budget is {demands.accuracy:.2%}")
    if demands.latency_ms and (took := result.device_ms_median or 0) > demands.latency_ms:
        lines.append(f"{result.board} takes {took:.3g} ms per image, the budget is {demands.latency_ms:g} ms")
    return lines


def junit(results: Sequence[tuple[HilResult, float]], errors: Sequence[tuple[str, str]] = ()) -> str:
    """Results as JUnit XML: one test suite per board, inside <testsuites> if there are several.

    results: each result and its seconds.
    errors: (board, message) of boards without a result.
    """
    suites = [*(_suite(*result) for result in results), *(_broken(*error) for error in errors)]
    root = suites[0]
    if len(suites) > 1:
        root = ET.Element("testsuites", name="bitflow.hil")
        root.extend(suites)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _broken(board: str, message: str) -> ET.Element:
    suite = ET.Element("testsuite", name=f"bitflow.hil.{board}", tests="1", failures="0", errors="1", time="0")
    case = ET.SubElement(suite, "testcase", classname=f"hil.{board}", name="board_answers")
    ET.SubElement(case, "error", message=message)
    return suite


def _suite(result: HilResult, seconds: float) -> ET.Element:
    """A test case for the scores, and one for the accuracy."""
    suite = ET.Element(
        "testsuite",
        name=f"bitflow.hil.{result.board}",
        tests="2",
        failures=str((result.mismatches > 0) + (result.accuracy != result.host_accuracy)),
        errors="0",
        time=f"{seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in result.facts().items():
        if name != "examples":
            ET.SubElement(properties, "property", name=name, value="" if value is None else str(value))
    case = ET.SubElement(suite, "testcase", classname=f"hil.{result.board}", name="scores_equal_the_hosts")
    if result.mismatches:
        failure = ET.SubElement(case, "failure", message=f"{result.mismatches} of {result.images} images differ")
        failure.text = "\n".join(f"image {m.image}: host {m.host} device {m.device}" for m in result.examples)
    case = ET.SubElement(suite, "testcase", classname=f"hil.{result.board}", name="accuracy_equals_the_hosts")
    if result.accuracy != result.host_accuracy:
        ET.SubElement(case, "failure", message=f"device {result.accuracy:.4f}, host {result.host_accuracy:.4f}")
    return suite


def write_junit(results: Sequence[tuple[HilResult, float]], path: Path, errors: Sequence[tuple[str, str]] = ()) -> None:
    """Write the text of junit() to a file, at once."""
    write_atomic(path, junit(results, errors))
