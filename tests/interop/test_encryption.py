"""Encrypted connections with other clients: who dials, who has the data, how much is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.net.connection import Encryption
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from engine.wire.encryption_policy import Level, Wish
from tests.end_to_end.encrypted_rig import watch, wishing
from tests.end_to_end.rig import LOOPBACK, endpoint_of, seeding, until
from tests.end_to_end.rig import running as session_running
from tests.interop.clients import LOOPBACK as HOST
from tests.interop.clients import (
    Aria2Client,
    Client,
    LibtorrentClient,
    TransmissionClient,
    require,
    running,
)
from tests.interop.content import Content, many_files, single_file
from tests.interop.leg import TRANSFER_S
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.own_network import address, run_in_own_network

pytestmark = pytest.mark.timeout(200)

NONE, HANDSHAKE, ALL = Encryption.NONE, Encryption.HANDSHAKE, Encryption.ALL
DISABLED, FORCED, ENABLED = 2, 0, 1
"""libtorrent's enc_policy."""
PLAINTEXT, RC4, BOTH = 1, 2, 3
"""libtorrent's enc_level."""


def policy(which: int, level: int, *, prefer_rc4: bool = False) -> dict[str, int | bool]:
    return {
        "in_enc_policy": which,
        "out_enc_policy": which,
        "allowed_enc_level": level,
        "prefer_rc4": prefer_rc4,
    }


def test_the_numbers_are_those_of_libtorrent() -> None:
    lt = pytest.importorskip("libtorrent", reason="pip install libtorrent")
    assert tuple(
        int(getattr(lt.enc_policy, name)) for name in ("pe_forced", "pe_enabled", "pe_disabled")
    ) == (FORCED, ENABLED, DISABLED)
    assert tuple(
        int(getattr(lt.enc_level, name)) for name in ("pe_plaintext", "pe_rc4", "pe_both")
    ) == (PLAINTEXT, RC4, BOTH)


async def until_complete(session: Session, torrent: Torrent) -> None:
    try:
        await until(session, lambda: torrent.state is State.SEEDING)
    except AssertionError as error:
        connected = list(torrent.live.peers.connected) if torrent.live else []
        raise AssertionError(f"{torrent.state} {torrent.log_lines} {connected}") from error


async def they_seed(
    other: Client,
    ours: SessionOptions,
    content: Content,
    at: Path,
    *,
    they_dial: bool = False,
) -> set[Encryption]:
    """Fetch from them; return how we were connected."""
    metainfo = Metainfo.parse(content.torrent)
    async with running(other, at / "other"), session_running(ours) as session:
        seen = watch(session)
        await other.add(content.torrent, content.write(at / "source"), seed=True)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        peers = [] if they_dial else [other.endpoint]
        torrent = await session.add(metainfo, save_path=at / "target", peers=peers)
        if they_dial and other.can_dial:
            await other.connect_peer(metainfo.info_hash, endpoint_of(session))
        await until_complete(session, torrent)
        content.check(at / "target")
        assert {is_incoming for _, is_incoming in seen} == {they_dial}
        return {encryption for encryption, _ in seen}


async def they_leech(
    other: Client,
    ours: SessionOptions,
    content: Content,
    at: Path,
    *,
    they_dial: bool = False,
) -> set[Encryption]:
    """Seed to them; return how we were connected."""
    metainfo = Metainfo.parse(content.torrent)
    async with running(other, at / "other"), session_running(ours) as session:
        seen = watch(session)
        torrent = await seeding(session, metainfo, content.write(at / "source"))
        if they_dial and not other.can_dial:
            # By the tracker, which names nobody before they have come.
            await until(session, lambda: not torrent.announcer.owes_stopped)
        (at / "target").mkdir()
        await other.add(content.torrent, at / "target")
        if they_dial and other.can_dial:
            await other.connect_peer(metainfo.info_hash, endpoint_of(session))
        elif not they_dial:
            torrent.add_peer(other.endpoint)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        content.check(at / "target", empty_files=other.makes_empty_files)
        assert (True in {is_incoming for _, is_incoming in seen}) is they_dial
        return {encryption for encryption, _ in seen}


# ── libtorrent ──────────────────────────────────────────────────────────────────────────────────

WITH_LIBTORRENT = [
    # ours, theirs, connected when they dial, when we dial
    (wishing(Wish.ALLOWED), policy(FORCED, RC4), ALL, ALL),
    (wishing(Wish.ALLOWED), policy(FORCED, PLAINTEXT), HANDSHAKE, HANDSHAKE),
    (wishing(Wish.ALLOWED), policy(FORCED, BOTH, prefer_rc4=True), HANDSHAKE, ALL),
    (wishing(Wish.ALLOWED), policy(ENABLED, BOTH), HANDSHAKE, NONE),
    (wishing(Wish.ALLOWED), policy(DISABLED, BOTH), NONE, NONE),
    (wishing(Wish.PREFERRED), policy(ENABLED, BOTH, prefer_rc4=True), ALL, ALL),
    (wishing(Wish.PREFERRED), policy(ENABLED, BOTH), ALL, HANDSHAKE),
    (wishing(Wish.PREFERRED), policy(FORCED, PLAINTEXT), HANDSHAKE, HANDSHAKE),
    (wishing(Wish.PREFERRED), policy(DISABLED, BOTH), NONE, NONE),
    (wishing(Wish.REQUIRED), policy(FORCED, RC4), ALL, ALL),
    (wishing(Wish.REQUIRED), policy(ENABLED, BOTH), ALL, ALL),
    (wishing(Wish.REQUIRED, Level.PLAINTEXT), policy(FORCED, PLAINTEXT), HANDSHAKE, HANDSHAKE),
    (wishing(Wish.REQUIRED, Level.PLAINTEXT), policy(FORCED, RC4), ALL, ALL),
    (wishing(Wish.DISABLED), policy(ENABLED, BOTH), NONE, NONE),
]


def name_of(ours: SessionOptions, theirs: Mapping[str, int | bool]) -> str:
    mine = ours.limits.encryption
    which = ("forced", "enabled", "disabled")[int(theirs["in_enc_policy"])]
    level = ("", "plaintext", "rc4", "both")[int(theirs["allowed_enc_level"])]
    return f"{mine.wish}-{mine.level} with {which}-{level}"


@pytest.mark.parametrize("they_dial", [True, False], ids=["they dial", "we dial"])
@pytest.mark.parametrize(
    ("ours", "theirs", "dialled", "dialling"),
    WITH_LIBTORRENT,
    ids=[name_of(ours, theirs) for ours, theirs, _, _ in WITH_LIBTORRENT],
)
async def test_libtorrent_and_we(
    tmp_path: Path,
    ours: SessionOptions,
    theirs: dict[str, int | bool],
    dialled: Encryption,
    dialling: Encryption,
    they_dial: bool,
) -> None:
    require(LibtorrentClient)
    expected = {dialled if they_dial else dialling}
    for way in (they_seed, they_leech):
        other = LibtorrentClient(settings=theirs)
        at = tmp_path / way.__name__
        seen = await way(other, ours, single_file([]), at, they_dial=they_dial)
        assert seen == expected, way.__name__


# ── Transmission and aria2 ──────────────────────────────────────────────────────────────────────


def transmission(host: str = HOST) -> TransmissionClient:
    return TransmissionClient(host, {"encryption": 2})


def aria2(host: str = HOST) -> Aria2Client:
    return Aria2Client(host, {"bt-require-crypto": "true", "bt-min-crypto-level": "arc4"})


@pytest.mark.parametrize("wish", [Wish.ALLOWED, Wish.REQUIRED])
@pytest.mark.parametrize("make", [transmission, aria2])
async def test_who_requires_it_seeds_to_us(tmp_path: Path, make, wish: Wish) -> None:  # type: ignore[no-untyped-def]
    other = make()
    require(type(other))
    assert await they_seed(other, wishing(wish), many_files([]), tmp_path) == {ALL}


@pytest.mark.parametrize("wish", [Wish.ALLOWED, Wish.REQUIRED])
@pytest.mark.parametrize("make", [transmission, aria2])
async def test_who_requires_it_is_served(tmp_path: Path, make, wish: Wish) -> None:  # type: ignore[no-untyped-def]
    other = make()
    require(type(other))
    assert await they_leech(other, wishing(wish), many_files([]), tmp_path) == {ALL}


@pytest.mark.parametrize("wish", [Wish.ALLOWED, Wish.REQUIRED])
async def test_aria2_dials_us(tmp_path: Path, wish: Wish) -> None:
    require(Aria2Client)
    async with tracker_on(HOST) as tracker:
        content = single_file(urls_of(tracker, "http"))
        seen = await they_leech(aria2(), wishing(wish), content, tmp_path, they_dial=True)
        assert seen == {ALL}


def test_transmission_dials_us(tmp_path: Path) -> None:
    """In a network of its own: on loopback it dials nobody."""
    require(TransmissionClient)

    async def test() -> None:
        async with tracker_on(address(1)) as tracker:
            ours = replace(LOOPBACK, listen_host=address(2))
            content = single_file(urls_of(tracker, "http"))
            seen = await they_leech(
                transmission(address(3)),
                wishing(Wish.ALLOWED, options=ours),
                content,
                tmp_path,
                they_dial=True,
            )
            assert seen == {ALL}

    run_in_own_network(test, hosts=3)


@pytest.mark.parametrize("make", [TransmissionClient, Aria2Client])
async def test_who_is_as_it_comes_gets_on_with_who_requires(
    tmp_path: Path, make: type[Client]
) -> None:
    """Their defaults take encrypted connections too."""
    require(make)
    other = TransmissionClient(settings={"encryption": 1}) if make is TransmissionClient else make()
    assert await they_seed(other, wishing(Wish.REQUIRED), single_file([]), tmp_path) == {ALL}
