"""What surrounds the tests: skips that nobody allowed fail a run, samples are whole, times are counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiers, times

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("reason", "code"), [("nobody allowed this", 1), ("real data is not on this machine", 0)])
def test_a_skip_that_nobody_allowed_must_fail_the_run(tmp_path: Path, workers: str, reason: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_sessionfinish\n")
    (tmp_path / "test_any.py").write_text(
        f"import pytest\n\ndef test_a():\n    pass\n\ndef test_b():\n    pytest.skip({reason!r})\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, "--rootdir", str(tmp_path)]
    found = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert found.returncode == code, found.stdout + found.stderr
    assert (f"not in tests/allowed_skips.txt: Skipped: {reason}" in found.stdout) == bool(code)


def test_both_tiers_together_must_have_every_seed() -> None:
    ranges = [part.values[0] for part in tiers.parts(300, 140)]
    assert [seed for part in ranges for seed in part] == list(range(300))
    seeds = [getattr(seed, "values", (seed,))[0] for seed in tiers.seeds(300)]
    assert seeds == list(range(300))
    assert [bool(part.marks) for part in tiers.parts(300, 140)] == [False, True, True]


def test_times_must_be_summed_by_group(tmp_path: Path) -> None:
    cases = (("tests.c.test_a", 1), ("tests.c.test_b", 2), ("tests.test_bits", 9))
    rows = "".join(f'<testcase classname="{name}" name="x" time="{seconds}"/>' for name, seconds in cases)
    rows += '<testcase classname="" name="tests.c.test_skipped" time="0"/>'
    (tmp_path / "test.xml").write_text(f"<testsuites><testsuite>{rows}</testsuite></testsuites>")
    assert times.table([tmp_path / "test.xml"]).splitlines()[2:] == [
        "| test | test_bits | 1 | 9 |",
        "| test | c | 3 | 3 |",
        "| test | all | 4 | 12 |",
    ]
