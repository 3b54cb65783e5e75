"""What all tests share: where real data lies, and which reasons to skip a test are allowed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bitflow.planner.patterns import grouping

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = tuple(
    line for line in (Path(__file__).parent / "allowed_skips.txt").read_text().splitlines() if line and line[0] != "#"
)

# How long an example takes depends on what else the machine does, so no test fails by it.
settings.register_profile("bitflow", deadline=None)
settings.load_profile("bitflow")

# Workers share the processors: torch and NumPy would start as many threads as there are processors in each of them, and
# emulators of two workers would meet on one.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("BITFLOW_QEMU_PROCESSOR", worker.removeprefix("gw"))

# What a shell starts in the background ignores Ctrl-C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_pictures_in_the_cache() -> Iterator[None]:
    """Tests leave no pictures in the user's cache; those of the cache have one of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITFLOW_PICTURE_CACHE", "0")
        yield


@pytest.fixture(scope="module")
def few_tries() -> Iterator[None]:
    """A short search for groups of filters: any grouping has the bits, and the sizes, that are compared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "TRIES", 60)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: BITFLOW_SHARED, or `shared` beside the checkout."""
    folder = Path(os.environ.get("BITFLOW_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("real data is not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_models(shared_data: Path) -> Path:
    """The folder of networks that others trained, beside the data."""
    folder = shared_data.parent / "models"
    if not folder.is_dir():
        pytest.skip("real data is not on this machine")
    return folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped for a reason nobody allowed fails the run: a missing tool must not look like success."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    reasons = {str(report.longrepr[2]) for report in reporter.stats.get("skipped", [])}
    stray = sorted(reason for reason in reasons if not any(allowed in reason for allowed in ALLOWED))
    for reason in stray:
        reporter.write_line(f"not in tests/allowed_skips.txt: {reason}", red=True)
    if stray and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
