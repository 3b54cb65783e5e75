"""The report: one file that loads nothing, in which names of others stay text."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.hil.test_farm import NETWORK, checked

from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow_hil.report.page import Part, render
from bitflow_hil.run.task import Task

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "</style>&amp;")
AROUND = {"date": "2026-01-02T03:04:05+00:00", "commit": "v1-<b>", "versions": {"bitflow": "0.1.0", "qemu": None}}
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Tags with their attributes, and the text; AssertionError where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def page(images: int = 80, before: dict[str, object] | None = None) -> str:
    """Of a network whose classes have hostile names, and labels half of which are wrong."""
    labels = tuple(HOSTILE[i % len(HOSTILE)] for i in range(NETWORK.classes))
    network = replace(NETWORK, labels=labels)
    pixels = random_images(NETWORK.input_spec, images, 0)
    scores = run_packed(NETWORK, pixels).scores
    truth = np.where(np.arange(images) % 10 == 0, scores.argmax(axis=1), (scores.argmax(axis=1) + 1) % network.classes)
    task = Task(network, pixels, truth, scores)
    result = checked(task, "qemu-m4")
    facts = {**result.facts(), "port": None, "flash_bytes": 4096, "ram_bytes": 2048}
    part = Part(result, facts, before, ["<i>it is wrong</i>"])
    return render(network, pixels, [part], AROUND, [("stm32h7", "<u>not there</u>")])


def test_page_must_keep_names_as_text() -> None:
    found = Reader(page())
    assert {"script", "i", "u", "b"} & {tag for tag, _ in found.tags} == set()
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    for text in (*HOSTILE[: NETWORK.classes], "<i>it is wrong</i>", "<u>not there</u>", "v1-<b>"):
        assert text in found.text


def test_page_must_load_nothing() -> None:
    found = Reader(page())
    sources = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "href")]
    assert sources
    assert all(str(value).startswith("data:image/png;base64,") for value in sources)
    assert "http" not in page().replace("http-equiv", "")
    assert "default-src 'none'" in page()


def test_page_must_show_each_part() -> None:
    found = Reader(page())
    assert found.count("img") == 50, "72 are wrong"
    assert "Wrong images: 72, the first 50 of them" in found.text
    assert found.count("svg") == 1
    assert sum(attributes.get("class") == "bar" for _, attributes in found.tags) == len(NETWORK.layers)
    for words in ("Confusion matrix", "Most frequent confusions", "Latency", "Layers", "failed"):
        assert words in found.text
    assert "Compared with the last run" not in found.text


def test_page_must_show_what_changed() -> None:
    found = Reader(page(before={"date": "2026-01-01", "accuracy": 0.5, "mismatches": 3, "stack_bytes": "many"}))
    assert "Compared with the last run, 2026-01-01" in found.text
    assert "-40.00%" in found.text
    assert "-3" in found.text


def test_page_must_come_without_latency_and_layers() -> None:
    """As MicroPython gives it."""
    pixels = random_images(NETWORK.input_spec, 3, 0)
    scores = run_packed(NETWORK, pixels).scores
    result = checked(Task(NETWORK, pixels, scores.argmax(axis=1), scores), "qemu-m4")
    assert result.samples is not None
    samples = replace(result.samples, latencies_ms=np.empty(0))
    bare = replace(result, layer_instructions=(), latency_ms_median=None, latency_ms_p99=None, samples=samples)
    found = Reader(render(NETWORK, pixels, [Part(bare, bare.facts(), None, [])], {**AROUND, "commit": None}))
    assert found.count("svg") == found.count("img") == 0
    assert "passed" in found.text


@pytest.mark.skipif(BROWSER is None, reason="no headless browser is on this machine")
def test_browser_must_have_nothing_to_complain_of(tmp_path: Path) -> None:
    def console(text: str) -> str:
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        words = [
            str(BROWSER),
            "--headless",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path}/b",
        ]
        words += ["--no-sandbox"] if os.geteuid() == 0 else []
        words += ["--dump-dom", f"file://{tmp_path}/report.html"]
        found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
        assert "Confusion matrix" in found.stdout
        return "\n".join(line for line in found.stderr.splitlines() if "CONSOLE" in line)

    assert console(page()) == ""
    # What the page forbids is said there: so silence means something.
    assert "Content Security Policy" in console(page().replace("</main>", "<script>1</script></main>"))
