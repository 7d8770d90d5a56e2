"""The limits that hold for every tracker's reply."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import (
    MAX_INTERVAL_S,
    MAX_TEXT_CHARS,
    AnnounceEvent,
    AnnounceRequest,
    checked_interval_s,
    clean_text,
)
from engine.errors import TrackerReplyError


@given(st.integers(max_value=-1))
def test_a_negative_interval_is_refused_by_name(seconds: int) -> None:
    with pytest.raises(TrackerReplyError, match="min interval is negative"):
        checked_interval_s(seconds, "min interval")


@given(st.integers(min_value=0))
def test_an_absurd_interval_is_bounded(seconds: int) -> None:
    assert checked_interval_s(seconds) == min(seconds, MAX_INTERVAL_S)


@given(st.binary(max_size=3000))
def test_text_from_a_tracker_is_one_short_printable_line(raw: bytes) -> None:
    text = clean_text(raw)
    assert text.isprintable()
    assert len(text) <= MAX_TEXT_CHARS
    assert text == " ".join(text.split())


def test_text_keeps_what_can_be_read() -> None:
    assert clean_text("zu viele Anfragen – später\x1b[2J\u202e\r\n\tmal".encode()) == (
        "zu viele Anfragen – später [2J mal"
    )


def test_a_stopped_asks_for_no_peers() -> None:
    request = AnnounceRequest(
        info_hash=InfoHash(bytes(20)), peer_id=PeerId(bytes(20)), port=1, numwant=80
    )
    assert request.peers_wanted == 80
    assert dataclasses.replace(request, event=AnnounceEvent.STOPPED).peers_wanted == 0
