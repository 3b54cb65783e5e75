"""What a check on a device found, as JSON and as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["HilResult", "Mismatch", "junit", "write_junit"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An image whose scores differ."""

    image: int
    host: tuple[int, ...]
    device: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HilResult:
    """Accuracies are fractions; float_accuracy is None where no float network is known. mismatches: images whose scores
    differ. retries: requests and chunks that were sent again. interruptions: how often the device was lost and
    connected again. stack_bytes: of the stack, that were ever used.
    instructions_per_image: mean, None on a real board. examples: the first mismatches. MicroPython does not say
    stack_bytes and cpuid: None.
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

    def facts(self) -> dict[str, Any]:
        """As one JSON object; its keys are stable."""
        return asdict(self)


def junit(result: HilResult, seconds: float) -> str:
    """One test suite with a case for the scores and one for the accuracy, as JUnit XML."""
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
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def write_junit(result: HilResult, seconds: float, path: Path) -> None:
    """Write it beside the target, then rename: a reader never sees half a file."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(junit(result, seconds), encoding="utf-8")
    beside.replace(path)
