"""KRPC, the messages of the DHT ↔ bytes (BEP 5, 32, 33, 42, 43, 44, 51).

`decode` takes whatever a datagram holds and returns a message in which every length and range was
checked, or raises ProtocolError; optional fields that make no sense are left out. A query that says
who asks but asks badly becomes a BadQuery, which deserves an answer.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias, TypeVar

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.discovery.dht import items
from engine.discovery.dht.bloom import FILTER_BYTES
from engine.discovery.dht.contact import is_possible, pack_nodes, unpack_nodes
from engine.discovery.dht.messages import (
    AnnouncePeer,
    BadQuery,
    Body,
    ErrorCode,
    ErrorReply,
    FindNode,
    GetItem,
    GetPeers,
    Message,
    Ping,
    PutItem,
    Query,
    Reply,
    SampleInfohashes,
    Want,
)
from engine.discovery.dht.node_id import ID_BYTES, NodeId
from engine.errors import BencodeError, ProtocolError

MAX_RECEIVED_BYTES = 4096
"""The longest datagram that is looked at; honest ones have 1500 bytes at most."""
MAX_TRANSACTION_BYTES = 32
MAX_TOKEN_BYTES = 128
MAX_ERROR_CHARS = 200
CLIENT_VERSION = b"SW\x01\x00"

_T = TypeVar("_T", int, bytes)
_Arguments = Mapping[bytes, bencode.Value]
_Encodables: TypeAlias = "dict[str, bencode.Encodable]"


class _BadArgumentError(Exception):
    """`code` and the text are what the asker is told."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.PROTOCOL) -> None:
        super().__init__(text)
        self.code = code


def decode(datagram: bytes) -> Message:
    """Read one message that fills the datagram. Raises ProtocolError and nothing else."""
    if len(datagram) > MAX_RECEIVED_BYTES:
        raise ProtocolError(f"KRPC message of {len(datagram)} bytes")
    try:
        top = bencode.decode_dict(datagram, strict=False)
    except BencodeError as error:
        raise ProtocolError(f"no KRPC message: {error}") from error
    transaction = top.get(b"t")
    if not isinstance(transaction, bytes) or not 0 < len(transaction) <= MAX_TRANSACTION_BYTES:
        raise ProtocolError("KRPC message without a sensible transaction id")
    kind = top.get(b"y")
    if kind == b"q":
        return _query(transaction, top, datagram)
    if kind == b"r":
        return _reply(transaction, top, datagram)
    if kind == b"e":
        return _error(transaction, top)
    raise ProtocolError("KRPC message that is no query, reply or error")


def _query(transaction: bytes, top: _Arguments, datagram: bytes) -> Query | BadQuery:
    method, arguments = top.get(b"q"), top.get(b"a")
    if not isinstance(arguments, dict) or not isinstance(method, bytes):
        raise ProtocolError("query without a method or arguments")
    sender = arguments.get(b"id")
    if not isinstance(sender, bytes) or len(sender) != ID_BYTES:
        raise ProtocolError("query without the id of its sender")
    try:
        body = _body(method, arguments, datagram)
    except _BadArgumentError as error:
        return BadQuery(transaction, error.code, str(error))
    want = _want(arguments.get(b"want"))
    return Query(transaction, NodeId(sender), body, want, top.get(b"ro") == 1)


def _body(method: bytes, arguments: _Arguments, datagram: bytes) -> Body:
    match method:
        case b"ping":
            return Ping()
        case b"find_node":
            return FindNode(_key(arguments, b"target"))
        case b"get_peers":
            return GetPeers(
                _key(arguments, b"info_hash"),
                arguments.get(b"noseed") == 1,
                arguments.get(b"scrape") == 1,
            )
        case b"announce_peer":
            return _announce(arguments)
        case b"get":
            seq = arguments.get(b"seq")
            return GetItem(_key(arguments, b"target"), seq if isinstance(seq, int) else None)
        case b"put":
            return _put(arguments, datagram)
        case b"sample_infohashes":
            return SampleInfohashes(_key(arguments, b"target"))
    # A query of the future that looks for something is answered with the nodes nearer to it.
    for name in (b"target", b"info_hash"):
        if name in arguments:
            return FindNode(_key(arguments, name))
    raise _BadArgumentError("method unknown", ErrorCode.METHOD_UNKNOWN)


def _key(arguments: _Arguments, name: bytes) -> bytes:
    key = arguments.get(name)
    if not isinstance(key, bytes) or len(key) != ID_BYTES:
        raise _BadArgumentError(f"{name.decode()} is not 20 bytes")
    return key


def _token(arguments: _Arguments) -> bytes:
    token = arguments.get(b"token")
    if not isinstance(token, bytes) or not 0 < len(token) <= MAX_TOKEN_BYTES:
        raise _BadArgumentError("no token")
    return token


def _announce(arguments: _Arguments) -> AnnouncePeer:
    port = arguments.get(b"port")
    is_port = isinstance(port, int) and 0 < port < 65536
    is_implied = arguments.get(b"implied_port") not in {None, 0}
    if not is_port and not is_implied:
        raise _BadArgumentError("no port")
    return AnnouncePeer(
        _key(arguments, b"info_hash"),
        _token(arguments),
        port if isinstance(port, int) and is_port else 0,
        is_implied,
        arguments.get(b"seed") == 1,
    )


def _put(arguments: _Arguments, datagram: bytes) -> PutItem:
    token = _token(arguments)
    value = _raw_value(datagram, b"a")
    if value is None:
        raise _BadArgumentError("no value")
    if len(value) > items.MAX_VALUE_BYTES:
        raise _BadArgumentError("value too big", ErrorCode.VALUE_TOO_BIG)
    if not items.is_storable(value):
        raise _BadArgumentError("value is not canonical")
    if b"k" not in arguments:
        return PutItem(items.ImmutableItem(value), token)
    key, signature = arguments[b"k"], arguments.get(b"sig")
    seq, salt, cas = arguments.get(b"seq"), arguments.get(b"salt", b""), arguments.get(b"cas")
    if not isinstance(key, bytes) or len(key) != items.KEY_BYTES:
        raise _BadArgumentError("k is not 32 bytes")
    if not isinstance(signature, bytes) or len(signature) != items.SIGNATURE_BYTES:
        raise _BadArgumentError("sig is not 64 bytes", ErrorCode.INVALID_SIGNATURE)
    if not isinstance(seq, int) or not 0 <= seq <= items.MAX_SEQ:
        raise _BadArgumentError("no sequence number")
    if not isinstance(salt, bytes) or len(salt) > items.MAX_SALT_BYTES:
        raise _BadArgumentError("salt too big", ErrorCode.SALT_TOO_BIG)
    item = items.MutableItem(key, seq, value, signature, salt)
    return PutItem(item, token, cas if isinstance(cas, int) else None)


def _raw_value(datagram: bytes, under: bytes) -> bytes | None:
    """The bytes of `v`: hashes and signatures are over what was sent, not over what was read."""
    start, end = bencode.spans(datagram, strict=False)[under]
    inner = datagram[start:end]
    span = bencode.spans(inner, strict=False).get(b"v")
    return inner[span[0] : span[1]] if span else None


def _want(value: bencode.Value | None) -> Want | None:
    if not isinstance(value, list):
        return None
    want = Want(0)
    if b"n4" in value:
        want |= Want.IPV4
    if b"n6" in value:
        want |= Want.IPV6
    return want or None


def _reply(transaction: bytes, top: _Arguments, datagram: bytes) -> Reply:
    fields = top.get(b"r")
    if not isinstance(fields, dict):
        raise ProtocolError("reply without a dictionary")
    sender = fields.get(b"id")
    if not isinstance(sender, bytes) or len(sender) != ID_BYTES:
        raise ProtocolError("reply without the id of its sender")
    nodes, nodes6 = fields.get(b"nodes"), fields.get(b"nodes6")
    value = _raw_value(datagram, b"r") if b"v" in fields else None
    samples = fields.get(b"samples")
    seq = fields.get(b"seq")
    return Reply(
        transaction,
        NodeId(sender),
        tuple(unpack_nodes(nodes, ipv6=False)) if isinstance(nodes, bytes) else None,
        tuple(unpack_nodes(nodes6, ipv6=True)) if isinstance(nodes6, bytes) else None,
        _field(fields, b"token", b"", at_most=MAX_TOKEN_BYTES),
        _values(fields.get(b"values")),
        _field(fields, b"BFsd", b"", exactly=FILTER_BYTES),
        _field(fields, b"BFpe", b"", exactly=FILTER_BYTES),
        value if value is not None and items.is_storable(value) else None,
        _field(fields, b"k", b"", exactly=items.KEY_BYTES),
        seq if isinstance(seq, int) and 0 <= seq <= items.MAX_SEQ else None,
        _field(fields, b"sig", b"", exactly=items.SIGNATURE_BYTES),
        _samples(samples) if isinstance(samples, bytes) else None,
        min(max(_field(fields, b"interval", 0), 0), 21600),
        min(max(_field(fields, b"num", 0), 0), 2**31),
        _address(top.get(b"ip")),
    )


def _field(
    fields: _Arguments, name: bytes, default: _T, *, exactly: int = -1, at_most: int = -1
) -> _T:
    found = fields.get(name)
    if not isinstance(found, type(default)):
        return default
    if isinstance(found, bytes) and exactly >= 0 and len(found) != exactly:
        return default
    if isinstance(found, bytes) and 0 <= at_most < len(found):
        return default
    return found


def _values(found: bencode.Value | None) -> tuple[Endpoint, ...]:
    if not isinstance(found, list):
        return ()
    return tuple(peer for peer in map(_address, found) if peer is not None)


def _address(data: bencode.Value | None) -> Endpoint | None:
    if not isinstance(data, bytes) or len(data) not in {6, 18}:
        return None
    host, port = data[:-2], int.from_bytes(data[-2:], "big")
    if not port or not is_possible(host):
        return None
    family = socket.AF_INET if len(host) == 4 else socket.AF_INET6
    return Endpoint(socket.inet_ntop(family, host), port)


def _samples(data: bytes) -> tuple[bytes, ...] | None:
    if len(data) % ID_BYTES:
        return None
    return tuple(data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES))


def _error(transaction: bytes, top: _Arguments) -> ErrorReply:
    said = top.get(b"e")
    code, text = (*said, b"", b"")[:2] if isinstance(said, list) else (0, b"")
    words = text.decode("utf-8", "replace")[:MAX_ERROR_CHARS] if isinstance(text, bytes) else ""
    clean = "".join(c if c.isprintable() else " " for c in words)
    return ErrorReply(transaction, code if isinstance(code, int) else 0, clean)


def encode(message: Message) -> bytes:
    """The datagram that says this message."""
    if isinstance(message, Query):
        return _encode_query(message)
    if isinstance(message, Reply):
        return _encode_reply(message)
    error: list[bencode.Encodable] = [int(message.code), message.text]
    return bencode.encode({"e": error, "t": message.transaction, "v": CLIENT_VERSION, "y": "e"})


def encode_reply_within(reply: Reply, max_bytes: int) -> bytes:
    """Encode a reply, leaving out as many of its last peers, then nodes, as it takes to fit."""
    encoded = _encode_reply(reply)
    excess = len(encoded) - max_bytes
    if excess > 0 and reply.values:
        each = len(bencode.encode(_pack_address(reply.values[0])))
        kept = max(0, len(reply.values) - -(-excess // each))
        reply = replace(reply, values=reply.values[:kept])
        encoded = _encode_reply(reply)
    while len(encoded) > max_bytes and (reply.nodes6 or reply.nodes):
        if reply.nodes6:
            reply = replace(reply, nodes6=reply.nodes6[:-1])
        elif reply.nodes:
            reply = replace(reply, nodes=reply.nodes[:-1])
        encoded = _encode_reply(reply)
    return encoded


def _encode_query(query: Query) -> bytes:
    method, arguments = _arguments(query.body)
    arguments["id"] = query.sender
    if query.want is not None:
        wanted = ((Want.IPV4, "n4"), (Want.IPV6, "n6"))
        arguments["want"] = [name for family, name in wanted if family in query.want]
    top: _Encodables = {
        "a": arguments,
        "q": method,
        "t": query.transaction,
        "v": CLIENT_VERSION,
        "y": "q",
    }
    if query.is_read_only:
        top["ro"] = 1
    return bencode.encode(top)


def _arguments(body: Body) -> tuple[str, _Encodables]:
    match body:
        case Ping():
            return "ping", {}
        case FindNode(target):
            return "find_node", {"target": target}
        case GetPeers(info_hash, no_seeds, scrape):
            flags = {"noseed": no_seeds, "scrape": scrape}
            return "get_peers", _set(flags) | {"info_hash": info_hash}
        case AnnouncePeer(info_hash, token, port, implied_port, is_seed):
            announced: _Encodables = {"info_hash": info_hash, "token": token, "port": port}
            flags = {"implied_port": implied_port, "seed": is_seed}
            return "announce_peer", announced | _set(flags)
        case GetItem(target, newer_than):
            seq: _Encodables = {} if newer_than is None else {"seq": newer_than}
            return "get", seq | {"target": target}
        case PutItem(item, token, cas):
            return "put", _put_arguments(item, token, cas)
        case SampleInfohashes(target):
            return "sample_infohashes", {"target": target}


def _set(flags: Mapping[str, bool]) -> _Encodables:
    return {name: 1 for name, is_set in flags.items() if is_set}


def _put_arguments(item: items.Item, token: bytes, cas: int | None) -> _Encodables:
    arguments: _Encodables = {"token": token, "v": bencode.decode(item.value)}
    if isinstance(item, items.MutableItem):
        arguments |= {"k": item.key, "seq": item.seq, "sig": item.signature}
        if item.salt:
            arguments["salt"] = item.salt
        if cas is not None:
            arguments["cas"] = cas
    return arguments


def _encode_reply(reply: Reply) -> bytes:
    fields: _Encodables = {"id": reply.sender}
    if reply.nodes is not None:
        fields["nodes"] = pack_nodes(reply.nodes)
    if reply.nodes6 is not None:
        fields["nodes6"] = pack_nodes(reply.nodes6)
    if reply.token:
        fields["token"] = reply.token
    if reply.values:
        fields["values"] = [_pack_address(peer) for peer in reply.values]
    if reply.seeds_filter and reply.peers_filter:
        fields |= {"BFsd": reply.seeds_filter, "BFpe": reply.peers_filter}
    if reply.value is not None:
        fields["v"] = bencode.decode(reply.value)
    if reply.key:
        fields |= {"k": reply.key, "sig": reply.signature}
    if reply.seq is not None:
        fields["seq"] = reply.seq
    if reply.samples is not None:
        fields |= {
            "samples": b"".join(reply.samples),
            "interval": reply.sample_interval_s,
            "num": reply.torrent_count,
        }
    top: _Encodables = {
        "r": fields,
        "t": reply.transaction,
        "v": CLIENT_VERSION,
        "y": "r",
    }
    if reply.your_address is not None:
        top["ip"] = _pack_address(reply.your_address)
    return bencode.encode(top)


def _pack_address(address: Endpoint) -> bytes:
    return address.packed_host() + address.port.to_bytes(2, "big")
