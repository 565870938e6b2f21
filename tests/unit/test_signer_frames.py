"""Frames between a server and the signer: whole ones come out however the octets arrive."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.zone import jobs
from ddns.zone.jobs import Frames, FrameTooLong, framed


@given(bodies=st.lists(st.binary(max_size=40), max_size=6), cuts=st.lists(st.integers(1, 30), min_size=1))
@settings(max_examples=200, deadline=None)
def test_frames_come_out_whole_and_in_order_wherever_the_octets_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    octets = b"".join(map(framed, bodies))
    frames = Frames()
    found: list[bytes] = []
    at = turn = 0

    while at < len(octets):
        step = cuts[turn % len(cuts)]
        found += frames.feed(octets[at : at + step])
        at, turn = at + step, turn + 1

    assert found == bodies
    assert frames.wanted == 0


def test_a_frame_that_has_begun_says_how_long_it_is() -> None:
    frames = Frames()

    assert frames.feed(b"\0") == []
    assert frames.wanted == 4
    assert frames.feed(b"\0\0\5ab") == []
    assert frames.wanted == 9
    assert frames.feed(b"cde\0\0\0\1") == [b"abcde"]
    assert frames.wanted == 5


@pytest.mark.parametrize("before", [b"", framed(b"one"), b"\0"])
def test_a_frame_of_the_greatest_length_is_taken_and_one_octet_more_is_not(
    before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_FRAME", 256)
    monkeypatch.setattr(jobs, "_LARGE", 260)
    whole = Frames()
    whole.feed(before[:1] if before == b"\0" else before)
    rest = framed(bytes(256))[1:] if before == b"\0" else framed(bytes(256))
    assert whole.feed(rest) == [bytes(256)]

    with pytest.raises(FrameTooLong, match="a frame of 257 octets is too long"):
        Frames().feed(before[:0] + struct.pack("!I", 257) + bytes(257))
