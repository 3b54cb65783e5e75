"""Results of devices in memory: what a farm, a soak and a history make of them. No emulator."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hil.test_device import packed, quick

from bitflow.boards import board
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import CheckFailed, DeviceError, InputError
from bitflow_hil.devices import connect, lock
from bitflow_hil.devices.mock import MockDevice
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.report import history
from bitflow_hil.report import live_table as live
from bitflow_hil.run import runner
from bitflow_hil.run.farm import Farm, Station
from bitflow_hil.run.progress import Progress
from bitflow_hil.run.results import Demands, HilResult, shortfalls
from bitflow_hil.run.soak import SoakResult, duration, soak
from bitflow_hil.run.task import Task

NETWORK = packed(1)
M4, REAL = board("qemu-m4"), board("stm32h7")


@pytest.fixture
def task() -> Task:
    images = random_images(NETWORK.input_spec, 12, 0)
    scores = run_packed(NETWORK, images).scores
    return Task(NETWORK, images, scores.argmax(axis=1), scores)


def device() -> ResumingDevice:
    return ResumingDevice(lambda: quick(MockDevice(NETWORK).line()))


def checked(task: Task, name: str) -> HilResult:
    return runner.check(device(), board(name), replace(task, network=NETWORK))


def test_emulated_board_must_count_and_a_real_one_must_measure(task: Task) -> None:
    """The device in memory takes 1000 ticks a layer, at 15.625 MHz."""
    layers = len(NETWORK.layers)
    counted, timed = checked(task, "qemu-m4"), checked(task, "stm32h7")
    assert counted.instructions_median == counted.instructions_per_image == 1000 * layers
    assert (counted.layer_instructions, counted.layer_ms, counted.device_ms_median) == ((1000,) * layers, (), None)
    assert (timed.layer_ms, timed.device_ms_median) == ((0.064,) * layers, 0.064 * layers)
    assert (timed.layer_instructions, timed.instructions_per_image, timed.instructions_p99) == ((), None, None)
    assert timed.latency_ms_median is not None
    assert timed.latency_ms_p99 is not None
    assert 0 < timed.latency_ms_median <= timed.latency_ms_p99


def test_facts_must_be_json_without_the_samples(task: Task) -> None:
    result = checked(task, "qemu-m4")
    assert result.samples is not None
    assert result.samples.latencies_ms.shape == result.samples.labels.shape == (12,)
    assert "samples" not in json.loads(json.dumps(result.facts()))


def test_budgets_must_be_kept(task: Task) -> None:
    timed = checked(task, "stm32h7")
    assert shortfalls(timed, Demands(accuracy=1.0, latency_ms=50)) == []
    assert "the budget is 97.00%" in shortfalls(replace(timed, accuracy=0.9), Demands(accuracy=0.97))[0]
    assert "the budget is 0.01 ms" in shortfalls(timed, Demands(latency_ms=0.01))[0]
    assert shortfalls(checked(task, "qemu-m4"), Demands(latency_ms=0.01)) == []
    assert "float network" in shortfalls(replace(timed, float_accuracy=1.0, accuracy=0.9), Demands(tolerance=0.05))[0]


# ---- Several boards. ------------------------------------------------------------------------------------------------


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards are devices in memory; qemu-m3 is not there."""

    def resuming(row: object, port: object, build: object) -> ResumingDevice:
        if row == board("qemu-m3"):
            raise DeviceError("nobody answers")
        return device()

    monkeypatch.setattr(connect, "resuming", resuming)


def farm(task: Task, *names: str) -> Farm:
    return Farm(task, [Station(board(name), "memory", Progress(task)) for name in names], lambda row: None)  # type: ignore[arg-type,return-value]


@pytest.mark.usefixtures("in_memory")
def test_board_that_fails_must_not_stop_the_others(task: Task) -> None:
    boards = farm(task, "qemu-m4", "qemu-m3", "stm32h7")
    boards.check()
    assert [station.state for station in boards.stations] == ["done", "failed", "done"]
    assert [station.failures(Demands()) for station in boards.stations] == [[], ["qemu-m3: nobody answers"], []]
    assert boards.stations[1].facts() == {"board": "qemu-m3", "error": "nobody answers"}
    assert boards.stations[0].facts()["images"] == 12
    rows = [dict(zip(live.COLUMNS, live.row(station), strict=True)) for station in boards.stations]
    assert [row["images"] for row in rows] == ["12/12", "0/12", "12/12"]
    assert rows[0]["on the device"].endswith("instr")
    assert rows[2]["on the device"].endswith("µs")


@pytest.mark.usefixtures("in_memory")
def test_bug_in_a_thread_must_come_to_light(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "check", lambda *words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        farm(task, "qemu-m4").check()


@pytest.mark.usefixtures("in_memory")
def test_ctrl_c_must_end_every_board(task: Task) -> None:
    boards = farm(task, "qemu-m4", "stm32h7")

    def interrupt() -> None:
        if all(station.progress.done for station in boards.stations):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boards.soak(3600, lambda line: None, interrupt)
    for station in boards.stations:
        assert station.soaked is not None
        assert station.soaked.images == station.progress.done
        assert station.soaked.mismatches == 0


# ---- Soak. ----------------------------------------------------------------------------------------------------------


def soaked(task: Task, seconds: float, wrong: bool = False) -> tuple[SoakResult, list[str], Station]:
    """A soak whose clock goes on by a second with each look at it."""
    host_scores = task.host_scores + 1 if wrong else task.host_scores
    task = replace(task, host_scores=host_scores)
    station = Station(M4, None, Progress(task))
    said: list[str] = []
    clock = itertools.count()
    result = soak(
        device(),
        M4,
        task,
        station.progress,
        seconds,
        lambda: False,
        said.append,
        lambda: float(next(clock)),
    )
    return result, said, station


def test_soak_must_repeat_the_images_and_say_so_each_minute(task: Task) -> None:
    result, said, _ = soaked(task, 300)
    assert result.images > len(task.images)
    assert (result.mismatches, result.accuracy, result.interruptions) == (0, 1.0, 0)
    assert len(said) in (4, 5), "the last minute may end with the run"
    assert all("mismatches 0" in line for line in said)
    assert result.failures() == []


def test_soak_must_fail_on_a_mismatch(task: Task) -> None:
    result, _, _ = soaked(task, 40, wrong=True)
    assert result.mismatches == result.images
    assert "have different scores on qemu-m4" in result.failures()[0]


def test_soak_must_not_take_a_full_stack(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitflow_hil.run.soak.require_stack", lambda *words: (_ for _ in ()).throw(CheckFailed("full")))
    with pytest.raises(CheckFailed):
        soaked(task, 5)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200)])
def test_duration_must_have_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-1s", "1.5h", "2d", "²h"])
def test_other_durations_must_be_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a duration"):
        duration(text)


# ---- History and locks. ---------------------------------------------------------------------------------------------


def test_history_must_give_the_last_run_of_a_board(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    assert history.read(file) == []
    history.append(file, [{"board": "a", "n": 1}, {"board": "b", "n": 2}])
    history.append(file, [{"board": "a", "n": 3}])
    records = history.read(file)
    assert history.last(records, board="a") == {"board": "a", "n": 3}
    assert history.last(records, board="c") is None
    assert {"date", "commit", "versions"} == history.surroundings({}).keys()


@pytest.mark.parametrize("line", ["no json", "[1]", "NaN"])
def test_history_that_is_none_must_be_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.jsonl").write_text(f'{{"board": "a"}}\n{line}\n')
    with pytest.raises(InputError, match="line 2"):
        history.read(tmp_path / "r.jsonl")


def test_lock_must_keep_another_process_out(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from bitflow_hil.devices import lock\n"
        "with lock.held('/dev/x', 0, pathlib.Path(sys.argv[1])): print('got it')"
    )

    def other() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    with lock.held("/dev/x", place=tmp_path), lock.held("/dev/y", place=tmp_path):
        found = other()
        assert "in use by process" in found.stderr
        assert found.returncode == 1
    assert other().stdout == "got it\n"
