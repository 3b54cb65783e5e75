"""compare and report --compare, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import answer, bitflow, done

ASKED = ("compare", "--data", "signs:photos@two", "--size", "32x32x3", "--width", "0.04", "--batch", "16")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two classes of noise were compared."""
    folder = tmp_path_factory.mktemp("compared")
    random = np.random.default_rng(0)
    for number in range(120):
        place = folder / "photos" / str(number % 10)
        place.mkdir(parents=True, exist_ok=True)
        picture = random.integers(0, 120, (32, 32, 3)) + (100 if number % 10 >= 5 else 0)
        Image.fromarray(picture.astype(np.uint8)).save(place / f"IMG_{number:04}.JPG")
    done(*ASKED, "--epochs", "1", cwd=folder)
    return folder


def test_compare_must_print_all_networks_and_no_difference(compared: Path) -> None:
    found = answer(*ASKED, "--epochs", "1", cwd=compared)
    assert [row["network"] for row in found["networks"]] == ["float", "xnor", "bitflow", "bitflow fused"]
    assert (found["train_images"], found["test_images"], found["classes"]) == (100, 20, 2)
    assert found["label_differences"] == 0
    assert found["networks"][2]["test_accuracy"] == found["networks"][3]["test_accuracy"]
    assert "label differences  0" in done(*ASKED, "--epochs", "1", cwd=compared)
    assert (compared / "compare" / "model.bfn").exists()


@pytest.mark.long
def test_compare_must_train_only_what_is_not_there(compared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in compared.rglob("metrics.json")}
    assert len(before) == 3
    done(*ASKED, "--epochs", "1", cwd=compared)
    assert before == {path: path.stat().st_mtime_ns for path in compared.rglob("metrics.json")}
    (compared / "compare" / "xnor" / "metrics.json").write_text("torn")
    found = answer(*ASKED, "--epochs", "1", cwd=compared)
    assert found["networks"][1]["epochs"] == 1
    assert answer(*ASKED, "--epochs", "2", cwd=compared)["networks"][0]["epochs"] == 2


def test_compare_must_fail_where_a_label_differs(compared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from bitflow.cli import compare
    from bitflow.cli.app import app
    from bitflow.errors import CheckFailed

    def turned(*arguments: object) -> object:
        return -original(*arguments)  # type: ignore[arg-type]

    original = compare.host_scores
    monkeypatch.setattr(compare, "host_scores", turned)
    monkeypatch.chdir(compared)
    found = CliRunner().invoke(app, [*ASKED, "--epochs", "2", "--json"])
    assert isinstance(found.exception, CheckFailed)
    assert json.loads(found.stdout)["label_differences"] > 0


def test_report_must_count_the_paper_s_network(tmp_path: Path) -> None:
    found = answer("report", "--compare", "float,xnor,bitflow", cwd=tmp_path)
    assert (found["input_shape"], found["classes"]) == ([224, 224, 3], 1000)
    networks = found["networks"]
    assert networks["bitflow"]["total"]["bytes"] < 9_000_000
    middle = networks["bitflow"]["layers"][1:-1]
    assert all(layer["float_multiplications"] == layer["float_additions"] == 0 for layer in middle)
    assert len(middle) == 6
    text = done(
        "report", "--compare", "bitflow", "--classes", "2", "--size", "64x64x3", "--width", "0.25", cwd=tmp_path
    )
    assert [line.split()[1] for line in text.splitlines()[1:]] == ["bitflow"] * 9


def test_report_must_count_a_described_network(tmp_path: Path) -> None:
    asked = ("report", "--compare", "float,bitflow", "--size", "16x16x1", "--classes", "4", "--architecture")
    layers = answer(*asked, "conv3x3:8/w8 conv3x3:16 res3x3:16", cwd=tmp_path)["networks"]["bitflow"]["layers"]
    assert [layer["name"] for layer in layers] == ["conv1", "conv2", "res3", "dense4"]
    assert [layer["integer_multiplications"] for layer in layers] == [16 * 16 * 8 * 9, 0, 0, 0]
    assert [layer["integer_additions"] for layer in layers] == [16 * 16 * 8 * 10, 0, 16 * 16 * 16 * 3, 4]
    text = done(*asked, "conv3x3:8/w8 conv3x3:16 res3x3:16", cwd=tmp_path)
    assert text.splitlines()[0].endswith("binary ops  integer mul")
    assert "integer mul" not in done(*asked, "conv3x3:8 conv3x3:16 res3x3:16", cwd=tmp_path)


def test_init_must_write_a_width(tmp_path: Path) -> None:
    options = ("--architecture", "bitflow-alexnet", "--size", "64x64x3", "--width", "0.25")
    done("init", "new", "--data", "signs:photos@two", *options, cwd=tmp_path)
    text = (tmp_path / "new" / "bitflow.toml").read_text()
    assert "width = 0.25" in text
    assert 'name = "photos"' in text
    failed = bitflow("train", cwd=tmp_path / "new")
    assert (failed.returncode, len(failed.stderr.splitlines())) == (2, 1)
    assert "photos is not a folder" in failed.stderr


def test_train_must_take_the_project_s_width(compared: Path) -> None:
    options = ("--architecture", "bitflow-alexnet", "--size", "32x32x3", "--width", "0.04")
    done("init", "project", "--data", "signs:photos@two", *options, cwd=compared)
    folder = compared / "project"
    answer("train", "--epochs", "1", cwd=folder)
    assert answer("inspect", cwd=folder)["layers"][0]["output"] == "7x7x8"
    assert answer("eval", cwd=folder)["mismatches"] == 0
