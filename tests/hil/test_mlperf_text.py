"""The text language as a client reads it."""

from __future__ import annotations

from bitflow_hil.link.mlperf_text import commands_for, parse


def test_answers_are_cut_at_ready() -> None:
    first, second = parse("m-name-dut-[x]\r\nm-ready\r\nm-results-[3,1,2]\r\nm-ready\r\nm-lap")
    assert first.name == "x"
    assert second.results == (3, 1, 2)


def test_error_is_found() -> None:
    assert parse("e-[no]\r\nm-ready\r\n")[0].error == "no"


def test_input_goes_in_commands_of_at_most_80_characters() -> None:
    commands = commands_for(bytes(range(64)))
    assert commands[0] == "db load 64%"
    assert "".join(command[3:-1] for command in commands[1:]) == bytes(range(64)).hex()
    assert max(map(len, commands)) <= 80
