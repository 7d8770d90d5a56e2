"""Every setting that an engine works by reaches it."""

from __future__ import annotations

import socket
from dataclasses import fields
from pathlib import Path

import pytest

from engine.commands.engine_options import session_options
from engine.core.compact import Endpoint
from engine.core.proxy_address import ProxyAddress, Scheme
from engine.errors import SettingsError
from engine.net.connection import Transport
from engine.session.filtering import FilterOptions
from engine.session.options import DhtOptions, SessionOptions
from engine.setting_sections import Settings
from engine.settings import Override, merge
from engine.torrent.facilities import Limits
from engine.wire.encryption_policy import EncryptionPolicy, Level, Wish

CHANGED = {
    "network.listen": "10.1.2.3:77",
    "network.interface": "tun0",
    "network.dns": "10.8.0.1",
    "network.proxy": "socks5://me:secret@10.8.0.2:1080",
    "network.transports": "utp",
    "network.isolated": "true",
    "network.pex": "false",
    "network.lsd": "false",
    "network.port_mapping": "false",
    "network.max_connections": "11",
    "network.max_connections_per_torrent": "12",
    "network.half_open": "13",
    "network.encryption": "required",
    "network.encryption_level": "plaintext",
    "transfer.down_limit": "14",
    "transfer.up_limit": "15",
    "transfer.upload_slots": "16",
    "transfer.max_request_queue": "17",
    "transfer.super_seed": "true",
    "network.listen_port_file": "/port",
    "storage.save_path": "/save",
    "storage.watch_folder": "/watch",
    "storage.preallocate": "true",
    "storage.buffer_bytes": "18MiB",
    "storage.open_files": "19",
    "storage.disk_threads": "20",
    "trackers.numwant": "21",
    "trackers.min_interval_s": "22",
    "trackers.stop_timeout_s": "23",
    "dht.enabled": "false",
    "dht.bootstrap": "127.0.0.1:24",
    "dht.read_only": "true",
    "filter.source": "/list",
    "filter.refresh_s": "24h",
    "filter.allow": "10.0.0.0/8",
    "daemon.state_dir": "/state",
}


def _settings(**values: str) -> Settings:
    return merge(overrides=[Override(key, value) for key, value in values.items()]).settings


def test_every_setting_reaches_the_session() -> None:
    made = session_options(_settings(**CHANGED))
    assert made == SessionOptions(
        listen_host="10.1.2.3",
        listen_port=77,
        listen_port_file=Path("/port"),
        interface="tun0",
        name_servers=("10.8.0.1",),
        proxy=ProxyAddress(Scheme.SOCKS5, "10.8.0.2", 1080, "me", "secret"),
        transports=frozenset({Transport.UTP}),
        save_path=Path("/save"),
        watch_folder=Path("/watch"),
        preallocate=True,
        down_limit=14,
        up_limit=15,
        limits=Limits(
            max_connections=11,
            max_connections_per_torrent=12,
            half_open=13,
            upload_slots=16,
            max_request_queue=17,
            super_seed=True,
            numwant=21,
            min_announce_interval_s=22.0,
            is_isolated=True,
            pex=False,
            encryption=EncryptionPolicy(Wish.REQUIRED, Level.PLAINTEXT),
        ),
        dht=DhtOptions(is_enabled=False, bootstrap=("127.0.0.1:24",), is_read_only=True),
        lsd=False,
        port_mapping=False,
        filter=FilterOptions(
            source="/list",
            refresh_s=86_400.0,
            allow=("10.0.0.0/8",),
            copy=Path("/state/ip-filter"),
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


def test_both_transports_unless_one_is_named() -> None:
    for name, wanted in (("both", set(Transport)), ("tcp", {Transport.TCP})):
        made = session_options(_settings(**{"network.transports": name}))
        assert made.transports == wanted


def test_a_star_is_every_address_and_a_host_the_only_one() -> None:
    everywhere = session_options(_settings(**{"network.listen": "*:6881"}))
    assert everywhere.listen_port == 6881
    assert everywhere.route().family == socket.AF_UNSPEC
    one = session_options(_settings(**{"network.listen": "[::1]:5"}), any_port=True)
    assert one.listen_port == 0
    assert not one.route().can_reach(Endpoint("127.0.0.1", 1))
    assert one.route().can_reach(Endpoint("::2", 1))


@pytest.mark.parametrize("proxy", ["http://10.8.0.2:3128", "socks5://10.8.0.2:1080"])
def test_utp_alone_needs_a_proxy_that_relays_datagrams(proxy: str) -> None:
    given = {"network.transports": "utp", "network.proxy": proxy}
    settings = merge(overrides=[Override(key, value) for key, value in given.items()]).settings
    if proxy.startswith("http"):
        with pytest.raises(SettingsError, match="HTTP proxy"):
            session_options(settings)
    else:
        assert session_options(settings).transports == {Transport.UTP}
