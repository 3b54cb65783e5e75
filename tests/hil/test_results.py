"""Results as JSON and JUnit XML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

from bitflow_hil.run.results import HilResult, Mismatch, write_junit

GOOD = HilResult("qemu-m4", "firmware", 2, 0.5, 0.5, None, 0, 0, 0, 3, 1000, 900, "0badcafe", "12345678", "410fc240")


def test_facts_have_the_stable_keys() -> None:
    wanted = {"board", "runtime", "images", "accuracy", "host_accuracy", "mismatches", "retries"}
    assert wanted | {"instructions_per_image"} <= json.loads(json.dumps(GOOD.facts())).keys()


def test_junit_names_what_differs(tmp_path: Path) -> None:
    bad = replace(GOOD, mismatches=1, examples=(Mismatch(1, (1, 2), (1, 3)),))
    for result, failures in ((GOOD, 0), (bad, 1)):
        write_junit([(result, 0.1)], tmp_path / "x.xml")
        suite = ET.parse(tmp_path / "x.xml").getroot()
        assert suite.get("failures") == str(failures)
        assert len(suite.findall("testcase/failure")) == failures
    assert [path.name for path in tmp_path.iterdir()] == ["x.xml"]
