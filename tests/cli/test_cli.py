"""The command line as a user meets it: in a process of its own, its stdout, its one line of stderr, its exit code."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import Refused
from typer.testing import CliRunner

from bitflow.cli.app import app, main
from bitflow.project import load_project

COMMAND = [sys.executable, "-c", "from bitflow.cli.app import main; main()"]


def bitflow(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=600)


def done(*arguments: str, cwd: Path) -> str:
    found = bitflow(*arguments, cwd=cwd)
    assert found.returncode == 0, found.stderr
    return found.stdout


def answer(*arguments: str, cwd: Path) -> Any:
    return json.loads(done(*arguments, "--json", cwd=cwd))


def refused(code: int, *arguments: str, cwd: Path) -> str:
    """The one line of an error; stdout stays empty and nothing is left behind."""
    before = sorted(cwd.rglob("*"))
    found = bitflow(*arguments, cwd=cwd)
    assert found.returncode == code, found.stderr
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("bitflow: ")
    assert sorted(cwd.rglob("*")) == before
    return lines[0]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose network was trained for a moment, in a folder with a space."""
    folder = tmp_path_factory.mktemp("a project")
    done("init", "--name", "quick", cwd=folder)
    found = answer("train", "--epochs", "4", cwd=folder)
    assert found["epochs"] == 4
    assert found["test_accuracy"] > 0.8
    assert sorted(path.name for path in folder.iterdir()) == ["bitflow.toml", "model.bfn", "model.pt", "training"]
    return folder


def test_help_and_version_must_be_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert done("--version", cwd=tmp_path).startswith("bitflow 0.")
    text = done(cwd=tmp_path)
    commands = [command.name for command in app.registered_commands]
    expected = (
        "init train search import fuse convert inspect predict eval verify report compare generate build flash emulate"
    )
    expected += " hil romfs bench boards doctor"
    assert " ".join(map(str, commands)) == expected
    for name in commands:
        assert f"\n  {name} " in text
        monkeypatch.setattr(sys, "argv", ["bitflow", str(name), "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out.startswith(f"Usage: bitflow {name}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evil"], "No such command 'evil'"),
        (["eval", "--foo"], "No such option"),
        (["fuse"], "Missing argument"),
        (["train", "--epochs", "many"], "Invalid value"),
        (["train", "--epochs", "0"], "epochs 0 is outside"),
        (["train", "--architecture", "bitflow-tinny"], "did you mean bitflow-tiny"),
        (["train", "--data", "mnist"], "choose one of digits"),
        (["train", "--data", "folder:nowhere"], "nowhere is not a folder"),
        (["train", "--resume"], "nothing to resume"),
        (["inspect"], "no bitflow.toml"),
        (["inspect", "nothing.bfn"], "nothing.bfn does not exist"),
        (["inspect", "builtin:cats"], "there is builtin:digits"),
        (["fuse", "nothing.pt"], "nothing.pt does not exist"),
        (["eval", "builtin:digits", "--engine", "gpu"], "Invalid value"),
        (["predict", "builtin:digits"], "no picture given"),
        (["predict", "builtin:digits", "nothing.png"], "nothing.png: cannot be read"),
        (["report", "builtin:digits", "--board", "qemu-m44"], "did you mean qemu-m4"),
        (["init", "--architecture", "resnet"], "choose one of"),
        (["init", "--size", "big", "--data", "folder:x"], "'big' is not HEIGHTxWIDTH"),
        (["init", "--width", "9"], "width 9.0 is outside"),
        (["train", "--data", "imagenet:nowhere"], "nowhere is not a folder"),
        (["train", "--data", "hands:nowhere"], "HandInfo.csv: cannot be read (No such file"),
        (["train", "--data", "hands:.@id"], "not by 'id'"),
        (["compare", "--data", "signs:nowhere"], "nowhere is not a folder"),
        (["compare", "--data", "signs:.@three"], "not by 'three'"),
        (["compare", "--width", "9"], "width 9.0 is outside"),
        (["report", "--compare", "float,int8"], "cannot compare 'int8'"),
        (["report", "--compare", "float", "--size", "64x64"], "has no channels"),
        (["report", "--compare", "float", "--size", "8x8x3"], "as small as 8x8"),
        (["report", "--compare", "float", "--width", "0"], "width 0.0 is outside"),
        (["report", "builtin:digits", "--compare", "float"], "no MODEL"),
    ],
)
def test_bad_use_must_end_in_one_line(here: Refused, arguments: list[str], message: str) -> None:
    assert message in here(2, *arguments)


def test_a_reader_that_goes_away_must_cause_no_noise(tmp_path: Path) -> None:
    shell = f"{shlex.join([*COMMAND, 'boards'])} | true"
    found = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, check=False)
    assert found.stderr == b""


def test_shell_completion_must_know_the_commands(tmp_path: Path) -> None:
    asked = {**os.environ, "_BITFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "bitflow in", "COMP_CWORD": "1"}
    found = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, check=False, env=asked)
    assert found.stdout.split() == ["init", "inspect"]


def test_debug_must_show_the_traceback(tmp_path: Path) -> None:
    found = bitflow("inspect", "nothing.bfn", "--debug", cwd=tmp_path)
    assert found.returncode != 0
    assert "Traceback" in found.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepoch = 3", "did you mean train.epochs?"),
        ("[trian]", "did you mean train?"),
        ("[train]\nepochs = '3'", "train.epochs must be int"),
        ("train = 3", "train must be a table"),
        ("[check]\ntolerance = 2", "tolerance 2.0 is outside"),
        ("[train]\nwidth = 0", "width 0.0 is outside"),
        ("[data]\nsize = '3'", "not HEIGHTxWIDTH"),
        ("name = ", "bitflow.toml"),
    ],
)
def test_bad_settings_must_be_named(here: Refused, text: str, message: str) -> None:
    Path("bitflow.toml").write_text(text)
    assert message in here(2, "inspect")


@pytest.mark.parametrize(
    ("options", "architecture"),
    [
        ([], "bitflow-tiny"),
        (["--data", "idx:mnist"], "bitflow-lenet"),
        (["--data", "signs:photos@two"], "bitflow-alexnet"),
        (["--data", "signs:photos@two", "--size", "32x32x3"], "bitflow-lenet"),
        (["--data", "sound:words.npz"], "bitflow-sound"),
    ],
)
def test_init_must_choose_what_suits_the_data(tmp_path: Path, options: list[str], architecture: str) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path), *options]).exit_code == 0
    assert load_project(tmp_path / "bitflow.toml").architecture == architecture


def test_train_without_a_project_must_choose_what_suits_the_data(tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
    np.savez(tmp_path / "noise.npz", x=pictures, y=np.arange(60) % 2)
    done("train", "--data", "npz:noise.npz", "--epochs", "1", cwd=tmp_path)
    layers = answer("inspect", "model.bfn", cwd=tmp_path)["layers"]
    assert [layer["output"] for layer in layers[:3]] == ["13x13x36", "5x5x72", "5x5x96"]  # bitflow-lenet's


@pytest.mark.long
def test_training_in_pieces_must_say_how_it_goes_on(tmp_path: Path) -> None:
    done("init", "--name", "pieces", cwd=tmp_path)
    run = bitflow("train", "--minutes", "0", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == "stopped before the first epoch ended; next: bitflow train --resume\n"
    assert not (tmp_path / "model.pt").exists()
    run = bitflow("train", "--resume", "--epochs", "2", cwd=tmp_path)
    assert run.stderr.count("training 2 of 2, best ") == 1
    assert " 0:00:00 left\n" in run.stderr


def test_init_must_not_overwrite(tmp_path: Path) -> None:
    done("init", "new", "--data", "folder:photos", "--size", "16x16x1", cwd=tmp_path)
    assert 'source = "folder:../photos"' in (tmp_path / "new" / "bitflow.toml").read_text()
    assert "exists already" in refused(2, "init", "new", cwd=tmp_path)
    done("init", "new", "--force", cwd=tmp_path)


def test_inspect_must_tell_what_is_inside(trained: Path) -> None:
    found = answer("inspect", cwd=trained)
    assert (found["name"], found["input_shape"], found["classes"]) == ("quick", [8, 8, 1], 10)
    assert found["labels"] == [str(n) for n in range(10)]
    assert [layer["kind"] for layer in found["layers"]] == ["input_conv", "conv", "dense"]
    assert found["bytes"] == (trained / "model.bfn").stat().st_size <= 16384
    assert found["crc32"] in done("inspect", cwd=trained)


def test_fuse_must_give_the_same_bytes_as_train(trained: Path, tmp_path: Path) -> None:
    found = answer("fuse", str(trained / "model.pt"), "-o", "again.bfn", cwd=tmp_path)
    assert (tmp_path / "again.bfn").read_bytes() == (trained / "model.bfn").read_bytes()
    assert [layer["flipped"] for layer in found["layers"]]
    assert "BatchShift" in done("fuse", str(trained / "model.pt"), "-o", "again.bfn", cwd=tmp_path)


@pytest.mark.parametrize("engine", ["c", "numpy"])
def test_eval_must_equal_the_float_network(trained: Path, engine: str) -> None:
    found = answer("eval", "--engine", engine, cwd=trained)
    assert (found["images"], found["mismatches"]) == (360, 0)
    assert found["accuracy"] > 0.8


def test_eval_must_say_null_where_no_float_network_is_known(tmp_path: Path) -> None:
    assert answer("eval", "builtin:digits", cwd=tmp_path)["mismatches"] is None


def test_eval_must_fail_against_another_network(trained: Path) -> None:
    found = bitflow("eval", "builtin:digits", "--against", "model.pt", "--json", cwd=trained)
    assert found.returncode == 1
    assert json.loads(found.stdout)["mismatches"] > 0
    assert "labels differ" in found.stderr


def test_verify_must_climb_every_rung(trained: Path) -> None:
    found = answer("verify", "--limit", "40", cwd=trained)
    assert found["equal"] is True
    assert [step["name"] for step in found["steps"]] == ["float", "integer", "packed", "C on the host"]


def test_verify_must_name_a_difference(trained: Path) -> None:
    found = bitflow("verify", "builtin:digits", "--against", "model.pt", "--limit", "40", cwd=trained)
    assert found.returncode == 1
    assert "integer differs from float: image" in found.stderr


def test_predict_must_rank_the_classes(trained: Path) -> None:
    from bitflow.learn.data.sources import load_data

    test = load_data("digits").test
    Image.fromarray(np.kron(test.images[0, :, :, 0], np.ones((4, 4), np.uint8))).save(trained / "digit.png")
    found = answer("predict", "digit.png", cwd=trained)["predictions"][0]
    scores = [entry["score"] for entry in found["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(entry["index"] for entry in found["ranking"]) == list(range(10))
    assert "digit.png" in done("predict", "model.bfn", "digit.png", "digit.png", cwd=trained)


def test_report_must_count_and_judge(trained: Path) -> None:
    found = answer("report", "--board", "qemu-m0", cwd=trained)
    assert {"flash_bytes", "ram_bytes", "arena_bytes", "layers"} <= found.keys()
    assert {"name", "kind", "macs", "bytes", "kernel"} <= found["layers"][0].keys()
    text = (trained / "bitflow.toml").read_text()
    try:
        (trained / "bitflow.toml").write_text(text.replace("flash = 0", "flash = 100"))
        failed = bitflow("report", cwd=trained)
        assert (failed.returncode, "does not fit" in failed.stderr) == (1, True)
    finally:
        (trained / "bitflow.toml").write_text(text)


def test_generate_must_write_equal_bytes_twice(trained: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done("generate", str(trained / "model.bfn"), "-o", name, cwd=tmp_path)
    first = {path.relative_to(tmp_path / "a"): path.read_bytes() for path in (tmp_path / "a").rglob("*.c")}
    second = {path.relative_to(tmp_path / "b"): path.read_bytes() for path in (tmp_path / "b").rglob("*.c")}
    assert first == second != {}


def test_a_damaged_network_must_be_refused(trained: Path, tmp_path: Path) -> None:
    content = bytearray((trained / "model.bfn").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.bfn").write_bytes(content)
    assert "bad.bfn" in refused(2, "eval", "bad.bfn", cwd=tmp_path)


def test_data_that_does_not_fit_must_be_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros((20, 9, 9), np.uint8), y=np.arange(20) % 10)
    assert "does not fit" in refused(2, "eval", "builtin:digits", "--data", "npz:other.npz", cwd=tmp_path)
    np.savez(tmp_path / "many.npz", x=np.zeros((90, 8, 8), np.uint8), y=np.arange(90) % 12)
    assert "has a label 11" in refused(2, "eval", "builtin:digits", "--data", "npz:many.npz", cwd=tmp_path)


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("torch", "train", ["train"]),
        ("sklearn", "train", ["eval", "builtin:digits", "--data", "digits"]),
    ],
)
def test_a_missing_extra_must_be_named(tmp_path: Path, module: str, extra: str, arguments: list[str]) -> None:
    block = f"import sys; sys.modules[{module!r}] = None; from bitflow.cli.app import main; main()"
    command = [sys.executable, "-c", block, *arguments]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (3, "")
    assert f"pip install 'bitflow-net[{extra}]'" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_ctrl_c_must_end_training_and_keep_the_best(tmp_path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, "train", "--epochs", "1000"], cwd=tmp_path, text=True, **pipes)
    best = tmp_path / "training" / "best.pt"
    deadline = time.monotonic() + 300
    while not best.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    assert "before its end; continue with: bitflow train --resume" in process.communicate(timeout=600)[0]
    assert process.returncode == 0
    assert (tmp_path / "model.bfn").exists()
    assert not list(tmp_path.rglob(".*"))
