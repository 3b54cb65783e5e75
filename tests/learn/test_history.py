"""What is noted of each epoch: at once, without the epochs that a resumed run does again, and for TensorBoard."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from bitflow.errors import InputError, MissingError
from bitflow.learn.training.history import COLUMNS, History


def row(epoch: int, loss: float = 0.5) -> dict[str, float]:
    return dict(zip(COLUMNS, (epoch, loss, 0.75, 0.7031254, 1.25e-7, 12.5 * epoch), strict=True))


def test_an_epoch_must_be_written_at_once(tmp_path: Path) -> None:
    history = History(tmp_path / "training")
    path = tmp_path / "training" / "metrics.csv"
    assert path.read_text() == "epoch,loss,train_accuracy,validation_accuracy,learning_rate,seconds\n"
    history.add(row(1))
    assert path.read_text().splitlines()[1:] == ["1,0.5,0.75,0.703125,1.25e-07,12.5"]
    history.add(row(2))
    assert [found["epoch"] for found in history.rows()] == [1, 2]
    assert history.rows()[1] == pytest.approx(row(2), rel=1e-5)


def test_a_new_run_must_forget_the_old_one(tmp_path: Path) -> None:
    for _ in range(2):
        history = History(tmp_path)
        assert history.rows() == []
        history.add(row(1))


def test_a_resumed_run_must_drop_what_it_does_again(tmp_path: Path) -> None:
    first = History(tmp_path)
    for epoch in range(1, 6):
        first.add(row(epoch))
    history = History(tmp_path, resume=True, keep_until=3)
    history.add(row(4, 0.25))
    assert [(found["epoch"], found["loss"]) for found in history.rows()] == [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.25)]


@pytest.mark.parametrize("torn", ["3,0.5,0.", "3", "3,0.5,0.7,0.7,1e", ",,,,,", "\x00\xff,1,1,1,1,1", "0,1,1,1,1,1"])
def test_a_line_that_is_torn_must_be_left_out(tmp_path: Path, torn: str) -> None:
    history = History(tmp_path)
    history.add(row(1))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write(torn)
    assert [found["epoch"] for found in history.rows()] == [1]
    History(tmp_path, resume=True, keep_until=9).add(row(2))
    assert [found["epoch"] for found in history.rows()] == [1, 2]


def test_a_file_of_an_older_version_must_be_gone_on_with(tmp_path: Path) -> None:
    old = "epoch,loss,validation_accuracy,learning_rate,seconds\r\n1,0.50000,0.90000,0.010000,1.0\r\n"
    (tmp_path / "metrics.csv").write_text(old, newline="")
    history = History(tmp_path, resume=True, keep_until=1)
    history.add(row(2))
    first, second = history.rows()
    assert (first["validation_accuracy"], first["seconds"]) == (0.9, 1.0)
    assert math.isnan(first["train_accuracy"])
    assert second["train_accuracy"] == 0.75


def test_a_folder_that_cannot_be_must_be_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"metrics\.csv: cannot be written"):
        History(tmp_path / "file")


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_must_read_each_number(tmp_path: Path) -> None:
    with History(tmp_path, tensorboard=True) as history:
        history.add(row(1))
        history.add({**row(2, 0.25), "train_accuracy": math.nan})
        found = events(tmp_path / "tensorboard")  # before it is closed: a run is watched
    assert sorted(found) == sorted(COLUMNS[1:])
    assert found["loss"] == [(1, 0.5), (2, 0.25)]
    assert found["train_accuracy"] == [(1, 0.75)]
    assert found["learning_rate"][0][1] == pytest.approx(1.25e-7)


def test_tensorboard_must_see_one_run(tmp_path: Path) -> None:
    with History(tmp_path, tensorboard=True) as history:
        for epoch in (1, 2, 3):
            history.add(row(epoch))
    with History(tmp_path, resume=True, tensorboard=True, keep_until=2) as history:
        history.add(row(3, 0.125))
    assert events(tmp_path / "tensorboard")["loss"] == [(1, 0.5), (2, 0.5), (3, 0.125)]
    with History(tmp_path, tensorboard=True) as history:
        history.add(row(1, 0.0625))
    assert events(tmp_path / "tensorboard")["loss"] == [(1, 0.0625)]


def test_without_tensorboard_there_must_be_one_line_and_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(tmp_path).add(row(1))
    before = (tmp_path / "metrics.csv").read_bytes()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingError, match=r"pip install 'bitflow-net\[tensorboard\]'"):
        History(tmp_path, tensorboard=True)
    assert (tmp_path / "metrics.csv").read_bytes() == before
