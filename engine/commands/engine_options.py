"""Settings → SessionOptions, in one place; loads the engine, which front ends do without."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from errno import EADDRINUSE
from typing import Final

from engine.control.socket_path import default_state_dir
from engine.core.compact import split_host_port
from engine.core.proxy_address import Scheme
from engine.errors import InputError, SettingsError
from engine.net.connection import Transport
from engine.session.filtering import FilterOptions
from engine.session.options import DhtOptions, SessionOptions
from engine.setting_sections import Settings
from engine.torrent.facilities import Limits
from engine.wire.encryption_policy import EncryptionPolicy, Level, Wish

FILTER_COPY: Final = "ip-filter"
"""In the state folder: the last good list of blocked addresses."""


@contextlib.contextmanager
def hint_where_a_port_is_taken(hint: str) -> Iterator[None]:
    """Say how to go on if a session cannot start because another program has its port."""
    try:
        yield
    except InputError as error:
        is_taken = getattr(error.__cause__, "errno", 0) == EADDRINUSE
        if is_taken and not str(error).startswith("cannot serve metrics"):
            raise InputError(f"{error}; another program has that port: {hint}") from error
        raise


def session_options(settings: Settings, *, any_port: bool = False) -> SessionOptions:
    """Translate settings for a session. With `any_port` the port of the settings, and the folder to
    watch, are left to the daemon: a one-shot command beside it must not take them. Raises
    SettingsError if two settings leave no way to any peer."""
    network, transfer = settings.network, settings.transfer
    if network.transports == "utp" and network.proxy and network.proxy.scheme is Scheme.HTTP:
        raise SettingsError("uTP alone cannot pass an HTTP proxy: take one of SOCKS5, or TCP too")
    storage, trackers = settings.storage, settings.trackers
    state_dir = settings.daemon.state_dir or default_state_dir(os.environ)
    host, port = split_host_port(network.listen)
    return SessionOptions(
        listen_host="" if host == "*" else host,
        listen_port=0 if any_port else port,
        listen_port_file=None if any_port else network.listen_port_file,
        interface=network.interface,
        name_servers=network.dns,
        proxy=network.proxy,
        transports=frozenset(each for each in Transport if network.transports in ("both", each)),
        save_path=storage.save_path.absolute(),
        watch_folder=None if any_port else storage.watch_folder,
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
            pex=network.pex,
            super_seed=transfer.super_seed,
            encryption=EncryptionPolicy(Wish(network.encryption), Level(network.encryption_level)),
        ),
        dht=DhtOptions(
            is_enabled=settings.dht.enabled,
            bootstrap=settings.dht.bootstrap,
            is_read_only=settings.dht.read_only,
        ),
        lsd=network.lsd,
        port_mapping=network.port_mapping,
        buffer_bytes=storage.buffer_bytes,
        open_files=storage.open_files,
        disk_threads=storage.disk_threads,
        filter=FilterOptions(
            source=settings.filter.source,
            refresh_s=settings.filter.refresh_s,
            allow=settings.filter.allow,
            copy=state_dir.absolute() / FILTER_COPY,
        ),
        stop_timeout_s=trackers.stop_timeout_s,
    )
