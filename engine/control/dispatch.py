"""From a decoded line to the engine and back: which method of the port serves which request.

Invariant: nothing reaches the port that was not checked: params have the types of schema.py,
torrents exist, addresses are numeric. Requests that belong to a connection (Subscribe, Unsubscribe)
go to its Subscriptions instead.
"""

from __future__ import annotations

import os
from pathlib import PurePath

import msgspec

from engine.control import framing, schema
from engine.control.framing import Call
from engine.control.port import EnginePort
from engine.control.schema import Accepted, Empty, Request
from engine.control.subscriptions import Subscriptions
from engine.control.torrent_names import find_torrent, find_torrents
from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.errors import BadRequestError, InputError

MAX_LIMIT = 1 << 50
"""Bytes a second."""

_DECODERS = {kind.METHOD: msgspec.json.Decoder(kind) for kind in schema.REQUESTS}


def decode_request(call: Call) -> Request:
    """Turn a call into its struct. Raises BadRequestError: an unknown method, wrong params."""
    decoder = _DECODERS.get(call.method)
    if decoder is None:
        raise framing.malformed(framing.METHOD_NOT_FOUND, f"there is no method {call.method!r}")
    try:
        return decoder.decode(call.params)
    except (msgspec.DecodeError, RecursionError) as error:
        raise framing.malformed(framing.INVALID_PARAMS, f"{call.method}: {error}") from error


async def serve(port: EnginePort, subscriptions: Subscriptions, request: Request) -> object:
    """Do what the request says and return its reply. Raises what the port raises, and
    BadRequestError and UnknownTorrentError of its own."""
    match request:
        case schema.Hello():
            return _hello(port, request)
        case schema.Status():
            return port.status()
        case schema.GetHealth():
            return await port.health()
        case schema.ListTorrents():
            return [row for each in port.info_hashes() if (row := port.row(each)) is not None]
        case schema.GetTorrent():
            return port.info(find_torrent(port, request.torrent))
        case schema.GetFiles():
            return port.files(find_torrent(port, request.torrent))
        case schema.SetFiles():
            return await port.set_files(find_torrent(port, request.torrent), request)
        case schema.GetPeers():
            return port.peers(find_torrent(port, request.torrent))
        case schema.GetTrackers():
            return port.trackers(find_torrent(port, request.torrent))
        case schema.GetLog():
            return port.log(find_torrent(port, request.torrent))
        case schema.GetFilter():
            return port.filter_status()
        case schema.ReloadFilter():
            await port.reload_filter()
            return port.filter_status()
        case schema.IsBlocked():
            return port.test_address(_host(request.address))
        case schema.Subscribe():
            return schema.Subscribe.Reply(subscriptions.open(request))
        case schema.Unsubscribe():
            subscriptions.close(request.id)
            return Empty()
        case schema.Shutdown():
            port.shut_down()
            return Empty()
        case schema.AddTorrent():
            return await _add(port, request)
        case schema.DhtRequest():
            return await port.dht(request)
        case schema.SetLimits():
            return await _set_limits(port, request)
        case _:
            return await _on_several(port, request)


async def _on_several(port: EnginePort, request: Request) -> Accepted:
    match request:
        case schema.Pause():
            reached = find_torrents(port, request.torrents)
            await port.pause(reached)
        case schema.Resume():
            reached = find_torrents(port, request.torrents)
            await port.resume(reached)
        case schema.Recheck():
            reached = find_torrents(port, request.torrents)
            await port.recheck(reached)
        case schema.Announce():
            reached = find_torrents(port, request.torrents)
            await port.announce(reached)
        case schema.Remove():
            reached = find_torrents(port, request.torrents)
            await port.remove(reached, delete_data=request.delete_data)
        case schema.AddPeer():
            reached = find_torrents(port, request.torrents)
            for peer in await _peers(port, request.peer):
                await port.add_peer(reached, peer)
        case _:
            raise framing.malformed(framing.METHOD_NOT_FOUND, f"{request.METHOD} is not served")
    return Accepted(reached)


def _hello(port: EnginePort, request: schema.Hello) -> schema.Hello.Reply:
    if request.version != schema.VERSION:
        raise BadRequestError(
            f"the engine speaks version {schema.VERSION} of the control protocol, "
            f"the client {request.version}"
        )
    return schema.Hello.Reply(
        version=schema.VERSION, engine=f"seedwright {port.status().version}", pid=os.getpid()
    )


async def _add(port: EnginePort, request: schema.AddTorrent) -> schema.TorrentRow:
    if (request.metainfo is None) == (request.source is None):
        raise BadRequestError("torrent.add: exactly one of metainfo and source")
    if request.save_path is not None and not PurePath(request.save_path).is_absolute():
        raise BadRequestError(f"torrent.add: save_path {request.save_path!r} is not absolute")
    if request.save_path is not None and "\0" in request.save_path:
        raise BadRequestError(f"torrent.add: save_path {request.save_path!r} has a zero byte")
    for peer in request.peers:
        _peer(peer)
    info_hash = await port.add(request)
    row = port.row(info_hash)
    if row is None:
        raise BadRequestError(f"torrent {info_hash} was removed while it was added")
    return row


async def _set_limits(port: EnginePort, request: schema.SetLimits) -> schema.SetLimits.Reply:
    for limit in (request.down, request.up):
        if limit is not None and not 0 <= limit <= MAX_LIMIT:
            raise BadRequestError(f"session.limits: a limit is 0 (none) to {MAX_LIMIT} bytes/s")
    info_hash = None if request.torrent is None else find_torrent(port, request.torrent)
    return await port.set_limits(info_hash, down=request.down, up=request.up)


def _host(text: str) -> str:
    try:
        return endpoint(text.strip().strip("[]"), 1).host
    except InputError as error:
        raise BadRequestError(str(error)) from error


async def _peers(port: EnginePort, text: str) -> list[Endpoint]:
    try:
        return await port.find_peers(text)
    except InputError as error:
        raise BadRequestError(str(error)) from error


def _peer(text: str) -> Endpoint:
    try:
        return endpoint(*split_host_port(text))
    except InputError as error:
        raise BadRequestError(str(error)) from error
