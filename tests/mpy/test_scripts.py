"""The scripts in `device` do the same on every build of bitflow."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mpy.conftest import Port


@pytest.mark.parametrize("script", ["api", "errors", "hostile", "memory", "picture"])
def test_script_must_pass(port: Port, script: str) -> None:
    assert port.run(script).splitlines()[-1:] == ["ok"]


def test_scores_of_images_must_be_equal(port: Port, files: Path) -> None:
    said = port.run("images").split()
    assert said[:2] == ["digits", "200"], said
    assert said[-1] == "ok"
    if not (files / "mnist.bfn").exists():
        pytest.skip("real data is not on this machine")
    assert said[2:4] == ["mnist", "20"], said


def test_ctrl_c_must_be_answered_between_layers(port: Port) -> None:
    said = port.interrupt("interrupt").split()
    assert said[0] == "running"
    assert said[-1] == "ok", said


def test_network_must_be_compiled_in(compiled_in: Port) -> None:
    assert compiled_in.run("compiled_in").splitlines()[-1:] == ["ok"]
