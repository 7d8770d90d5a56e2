"""Every setting that an engine works by reaches it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from engine.commands.engine_options import session_options
from engine.session.options import SessionOptions
from engine.settings import Override, Settings, merge
from engine.torrent.facilities import Limits

CHANGED = {
    "network.listen": "10.1.2.3:77",
    "network.isolated": "true",
    "network.max_connections": "11",
    "network.max_connections_per_torrent": "12",
    "network.half_open": "13",
    "transfer.down_limit": "14",
    "transfer.up_limit": "15",
    "transfer.upload_slots": "16",
    "transfer.max_request_queue": "17",
    "storage.save_path": "/save",
    "storage.preallocate": "true",
    "storage.buffer_bytes": "18MiB",
    "storage.open_files": "19",
    "storage.disk_threads": "20",
    "trackers.numwant": "21",
    "trackers.min_interval_s": "22",
    "trackers.stop_timeout_s": "23",
}


def _settings(**values: str) -> Settings:
    return merge(overrides=[Override(key, value) for key, value in values.items()]).settings


def test_every_setting_reaches_the_session() -> None:
    made = session_options(_settings(**CHANGED))
    assert made == SessionOptions(
        listen_host="10.1.2.3",
        listen_port=77,
        save_path=Path("/save"),
        preallocate=True,
        down_limit=14,
        up_limit=15,
        limits=Limits(
            max_connections=11,
            max_connections_per_torrent=12,
            half_open=13,
            upload_slots=16,
            max_request_queue=17,
            numwant=21,
            min_announce_interval_s=22.0,
            is_isolated=True,
        ),
        buffer_bytes=18 << 20,
        open_files=19,
        disk_threads=20,
        stop_timeout_s=23.0,
    )
    plain = session_options(_settings())
    for field in fields(SessionOptions):
        assert getattr(made, field.name) != getattr(plain, field.name), f"{field.name} is not set"
    for field in fields(Limits):
        changed = getattr(made.limits, field.name) != getattr(plain.limits, field.name)
        assert changed, f"limits.{field.name} is not set"


def test_a_star_is_every_address_and_a_host_the_only_one() -> None:
    everywhere = session_options(_settings(**{"network.listen": "*:6881"}))
    assert (everywhere.listen_port, everywhere.local_host) == (6881, None)
    one = session_options(_settings(**{"network.listen": "[::1]:5"}), any_port=True)
    assert (one.listen_port, one.local_host) == (0, "::1")
