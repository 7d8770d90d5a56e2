"""The schema as a whole: names are unique, older and newer ends understand each other."""

from __future__ import annotations

import msgspec
import pytest

from engine.control import schema
from tests.fakes.fake_engine import FakeEngine


def test_every_method_has_a_name_of_its_own() -> None:
    names = [request.METHOD for request in schema.REQUESTS]
    names += [note.METHOD for note in schema.NOTIFICATIONS]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize("request_type", schema.REQUESTS)
def test_requests_survive_the_wire_and_fields_of_a_newer_end(
    request_type: type[schema.Request],
) -> None:
    samples: dict[type[object], object] = {str: "a", int: 1, bool: True}
    required = {
        field.name: samples.get(field.type, ["a"])
        for field in msgspec.structs.fields(request_type)
        if field.required
    }
    request = request_type(**required)
    sent = msgspec.json.decode(msgspec.json.encode(request))
    sent["a_field_of_next_year"] = {"deep": [1, 2]}
    assert msgspec.convert(sent, request_type) == request


def test_a_row_of_an_older_engine_is_understood() -> None:
    old = {
        "info_hash": "0" * 40,
        "name": "t",
        "state": "downloading",
        "size": 10,
        "have": 5,
        "progress": 0.5,
    }
    row = msgspec.convert(old, schema.TorrentRow)
    assert (row.down_rate, row.eta_s, row.error) == (0, None, "")


def test_waiting_is_a_download_that_has_a_reason_not_to_move() -> None:
    engine = FakeEngine()
    rows = [engine.row(info_hash) for info_hash in engine.info_hashes()]
    waiting = [row for row in rows if row and row.is_waiting]
    assert waiting
    for row in waiting:
        assert row.state is schema.TorrentState.DOWNLOADING
        assert row.reason
        assert not row.down_rate
