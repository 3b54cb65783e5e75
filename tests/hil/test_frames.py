"""Frames: what goes in comes out, and nothing that was damaged does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitflow.errors import DeviceError
from bitflow_hil.link.frames import CHUNK, Decoder, Frame, Info, Missing, chunks_of, encode

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=110))


@given(st.lists(frames, max_size=5), st.integers(1, 50))
def test_frames_come_back_however_the_stream_is_cut(sent: list[Frame], step: int) -> None:
    stream = b"".join(map(encode, sent))
    decoder = Decoder()
    got = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
    assert got == sent
    assert decoder.damaged == 0


@given(frames, st.data())
def test_frame_with_a_changed_byte_is_dropped(frame: Frame, data: st.DataObject) -> None:
    stream = bytearray(encode(frame))
    at = data.draw(st.integers(1, len(stream) - 2))
    stream[at] ^= data.draw(st.integers(1, 255))
    assert frame not in Decoder().feed(bytes(stream))
    assert all(got == frame for got in Decoder().feed(bytes(stream)))


@given(frames, frames, st.data())
def test_frame_after_a_torn_one_arrives(torn: Frame, whole: Frame, data: st.DataObject) -> None:
    stream = encode(torn)
    cut = stream[: data.draw(st.integers(0, len(stream) - 1))]
    assert Decoder().feed(cut + encode(whole))[-1] == whole


def test_greeting_of_a_firmware_that_starts_is_no_damaged_frame() -> None:
    decoder = Decoder()
    assert decoder.feed(b"m-init-done\r\nm-ready\r\n" + encode(Frame(1, 2))) == [Frame(1, 2)]
    assert decoder.damaged == 0


def test_frame_on_the_line_is_as_documented() -> None:
    assert encode(Frame(8, 0x2A)).hex() == "00" + "07082a2151bb52" + "00"


def test_chunks_cover_the_data_in_order() -> None:
    data = bytes(range(200))
    assert [offset for offset, _ in chunks_of(data)] == [0, CHUNK, 2 * CHUNK]
    assert b"".join(chunk for _, chunk in chunks_of(data)) == data


def test_missing_names_its_chunks() -> None:
    assert Missing.from_body(bytes.fromhex("0700020003000500")) == Missing(7, 2, (3, 5))


@pytest.mark.parametrize("block", [b"", bytes(48)])
def test_info_of_another_version_is_refused(block: bytes) -> None:
    with pytest.raises(DeviceError, match="version"):
        Info.from_block(block)
