"""Settings → SessionOptions, in one place; loads the engine, which front ends do without."""

from __future__ import annotations

from engine.core.compact import split_host_port
from engine.session.options import SessionOptions
from engine.settings import Settings
from engine.torrent.facilities import Limits


def session_options(settings: Settings, *, any_port: bool = False) -> SessionOptions:
    """Translate settings for a session. With `any_port` the one of the setting is left to the
    daemon: a one-shot command beside it must not fail for it."""
    network, transfer = settings.network, settings.transfer
    storage, trackers = settings.storage, settings.trackers
    host, port = split_host_port(network.listen)
    return SessionOptions(
        listen_host="" if host == "*" else host,
        listen_port=0 if any_port else port,
        save_path=storage.save_path.absolute(),
        preallocate=storage.preallocate,
        down_limit=transfer.down_limit,
        up_limit=transfer.up_limit,
        limits=Limits(
            max_connections=network.max_connections,
            max_connections_per_torrent=network.max_connections_per_torrent,
            half_open=network.half_open,
            upload_slots=transfer.upload_slots,
            max_request_queue=transfer.max_request_queue,
            numwant=trackers.numwant,
            min_announce_interval_s=trackers.min_interval_s,
            is_isolated=network.isolated,
        ),
        buffer_bytes=storage.buffer_bytes,
        open_files=storage.open_files,
        disk_threads=storage.disk_threads,
        stop_timeout_s=trackers.stop_timeout_s,
    )
