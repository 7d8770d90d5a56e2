"""`seedwright dht`: our node of the DHT, peers of any torrent, and small items (BEP 5, 44).

The secret key of a mutable item is read and used here; the engine gets signatures.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any, Final

import rich_click as click

from engine.commands import options
from engine.commands.connection import ask, engine_at
from engine.commands.help import Group, command, option
from engine.commands.output import say, say_facts, say_json
from engine.control import schema
from engine.core import bencode
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet, is_magnet
from engine.discovery.dht.items import MAX_VALUE_BYTES, encode_value, mutable_target, signed_item
from engine.errors import BencodeError, InputError, SeedwrightError, StorageError
from engine.session.signatures import Signer
from tui.format import plural, size

SEARCH_S: Final = 150.0
_SEED_BYTES: Final = 32


class NotFound(SeedwrightError):  # noqa: N818 - nobody erred
    """Nobody in the DHT has it, or keeps it."""


@click.group(
    "dht",
    cls=Group,
    context_settings={"show_default": True},
    examples=(
        ("seedwright dht status", "How many nodes we know, and how they see us"),
        ("seedwright dht lookup 'magnet:?xt=urn:btih:…'", "Who has a torrent"),
        ("seedwright dht put 'hello world'", "Keep a text; prints where"),
    ),
)
def dht() -> None:
    """Look into the DHT, the table of peers that needs no tracker."""


_shared = options.together(options.engine_option, options.json_option)


@command("status", examples=(("seedwright dht status", "Our nodes, one for IPv4, one for IPv6"),))
@_shared
def status(engine: str | None, as_json: bool) -> None:
    """Tell how our nodes are doing: neighbours, address, lookups, counters."""
    told: schema.DhtInfo = ask(engine, schema.DhtStatus())
    if as_json:
        say_json(told)
        return
    if not told.nodes:
        say("the DHT is off")
        return
    for number, node in enumerate(told.nodes):
        if number:
            say()
        say_facts(_facts(node, told))


def _facts(node: schema.DhtNodeInfo, told: schema.DhtInfo) -> list[tuple[str, str]]:
    counted = node.counters
    dropped = {
        "malformed": counted.get("malformed", 0),
        "flooding": counted.get("flooding", 0),
        "unasked": counted.get("unasked", 0),
        "of another id": counted.get("impostors", 0),
    }
    bound = "the id follows from it" if node.is_bound else "the id does not follow from it yet"
    datagrams = (
        f"{counted.get('received', 0):,} received, {counted.get('sent', 0):,} sent "
        f"({size(counted.get('sent_bytes', 0))}), {counted.get('answered', 0):,} queries answered"
    )
    lookups = f"{node.lookups} under way"
    if node.lookups_waiting:
        lookups += f", {node.lookups_waiting} waiting"
    return [
        (node.family, "joined" if node.is_joined else "nobody has answered yet"),
        ("nodes", f"{node.nodes}, {node.good} of them good"),
        ("node id", node.node_id),
        ("our address", f"{node.address}, {bound}" if node.address else "not known yet"),
        ("UDP port", f"{told.port}{', read-only' if told.is_read_only else ''}"),
        ("lookups", lookups),
        ("kept for others", f"{plural(node.torrents, 'torrent')}, {plural(node.items, 'item')}"),
        ("datagrams", datagrams),
        ("no answer", f"{counted.get('timeouts', 0):,} times"),
        ("dropped", ", ".join(f"{count:,} {name}" for name, count in dropped.items() if count)),
    ]


@command(
    "lookup",
    examples=(
        ("seedwright dht lookup 645e9c97a2f0e1bd4b3a4c0f8d1e2f3a4b5c6d7e", "By its info-hash"),
        ("seedwright dht lookup 'magnet:?xt=urn:btih:…'", "By a magnet link"),
    ),
)
@click.argument("torrent", help="An info-hash of 40 digits, or a magnet link.")
@_shared
def lookup(torrent: str, engine: str | None, as_json: bool) -> None:
    """Find the peers of a torrent; prints them as they come.

    Nobody is told that you are one of them.
    """
    parsed = Magnet.parse(torrent).info_hash if is_magnet(torrent) else InfoHash.parse(torrent)
    found, last = asyncio.run(_follow(engine, parsed.hex(), quiet=as_json))
    if as_json:
        say_json(
            {
                "info_hash": parsed.hex(),
                "peers": found,
                "hops": last.hops,
                "asked": last.asked,
                "answered": last.answered,
                "nearest": last.nearest,
            }
        )
        return
    say(
        f"{plural(len(found), 'peer')}; {last.answered} of {plural(last.asked, 'node')} answered, "
        f"the nearest is {plural(last.hops, 'hop')} away",
        err=True,
    )


async def _follow(
    engine: str | None, info_hash: str, *, quiet: bool
) -> tuple[list[str], schema.DhtLookup.Reply]:
    found: list[str] = []
    number: int | None = None
    async with engine_at(engine) as client:
        while True:
            request = schema.DhtLookup(info_hash=info_hash, lookup=number)
            told: schema.DhtLookup.Reply = await client.call(request)
            number = told.lookup
            found += told.peers
            for peer in told.peers:
                if not quiet:
                    say(peer)
            if told.is_finished:
                return found, told


def _resolved(node: str) -> str:
    return str(asyncio.run(options.resolve_peers([node]))[0])


_node_argument = click.argument("node", metavar="HOST:PORT", help="Where the node is.")


@command("ping", examples=(("seedwright dht ping 192.0.2.7:6881", "Is a node there?"),))
@_node_argument
@_shared
def ping(node: str, engine: str | None, as_json: bool) -> None:
    """Ask a node who it is."""
    told: schema.DhtPing.Reply = ask(engine, schema.DhtPing(node=_resolved(node)))
    if as_json:
        say_json(told)
    else:
        say(f"{told.node_id} answered in {told.took_s * 1000:.0f} ms")


@command("add", examples=(("seedwright dht add 192.0.2.7:6881", "Join by this node"),))
@_node_argument
@_shared
def add(node: str, engine: str | None, as_json: bool) -> None:
    """Get to know a node, and join the DHT through it if we have not joined yet."""
    ask(engine, schema.DhtAdd(node=_resolved(node)))
    if as_json:
        say_json({})
    else:
        say(f"asked {node}")


_salt_option = option(
    "--salt", default="", metavar="TEXT", default_text="none", help="Which item of the key it is."
)


@command(
    "get",
    examples=(
        ("seedwright dht get e5f96f6f38320f0f33959cb4d3d656452117aadb", "An immutable item"),
        ("seedwright dht get PUBLIC-KEY --salt news", "The newest item of a key"),
    ),
)
@click.argument("target", help="40 digits of an item's hash, or 64 of a public key.")
@options.together(_salt_option, options.engine_option, options.json_option)
def get(target: str, salt: str, engine: str | None, as_json: bool) -> None:
    """Fetch an item from the DHT: a text as it is, anything else bencoded."""
    request = schema.DhtGet(target=target, salt=salt.encode())
    told: schema.DhtGet.Reply = ask(engine, request, timeout_s=SEARCH_S)
    if told.value is None:
        raise NotFound(f"none of {plural(told.answered, 'node')} has an item {told.target}")
    if as_json:
        say_json({"target": told.target, "seq": told.seq, "value": _shown(told.value)})
    else:
        say(_shown(told.value))


def _shown(value: bytes) -> str:
    """A bencoded string as its text; what is none, as it is."""
    try:
        decoded = bencode.decode(value)
    except BencodeError:
        decoded = value
    return (decoded if isinstance(decoded, bytes) else value).decode(errors="replace")


@command(
    "put",
    examples=(
        ("seedwright dht put 'hello world'", "An immutable item; prints its hash"),
        ("seedwright dht put --file note.txt", "The content of a file"),
        ("seedwright dht put 'version 2' --key news.key --salt app", "The next item of a key"),
    ),
)
@click.argument("text", required=False, help="What to keep.")
@options.together(
    option(
        "--file",
        "file",
        type=options.FILE,
        metavar="FILE",
        default_text="none",
        help="Keep what is in this file.",
    ),
    option(
        "--key",
        "key_file",
        type=options.FILE,
        metavar="FILE",
        default_text="none",
        help="Sign it with this key, made by `dht keygen`: it can be replaced later.",
    ),
    _salt_option,
    options.engine_option,
    options.json_option,
)
def put(
    text: str | None,
    file: Path | None,
    key_file: Path | None,
    salt: str,
    engine: str | None,
    as_json: bool,
) -> None:
    """Keep a small item in the DHT: at most 1000 bytes, for about two hours."""
    if (text is None) == (file is None):
        raise click.UsageError("give a TEXT, or --file")
    if salt and key_file is None:
        raise click.UsageError("--salt goes with --key")
    content = text.encode(errors="surrogateescape") if text is not None else _read(file or Path())
    request = schema.DhtPut(value=encode_value(content))
    address = ""
    if key_file is not None:
        signer = _signer(key_file)
        address = signer.key.hex()
        request = _next(engine, signer, content, salt.encode())
    told: schema.DhtPut.Reply = ask(engine, request, timeout_s=SEARCH_S)
    if not told.stored:
        raise NotFound("no node keeps it: is the DHT joined? `seedwright dht status` tells")
    if as_json:
        values: dict[str, Any] = {"target": told.target, "stored": told.stored}
        say_json(values | ({"key": address, "seq": request.seq} if address else {}))
    else:
        say(address or told.target)
        say(f"kept by {plural(told.stored, 'node')}", err=True)


def _next(engine: str | None, signer: Signer, content: bytes, salt: bytes) -> schema.DhtPut:
    """The successor of the newest item that the DHT has of a key."""
    known: schema.DhtGet.Reply = ask(
        engine, schema.DhtGet(target=signer.key.hex(), salt=salt), timeout_s=SEARCH_S
    )
    seq = 1 if known.seq is None else known.seq + 1
    item = signed_item(signer.key, seq, content, signer.sign, salt=salt)
    return schema.DhtPut(
        value=item.value, key=item.key, salt=salt, seq=seq, signature=item.signature
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _signer(path: Path) -> Signer:
    try:
        return Signer(bytes.fromhex(_read(path).decode("ascii")))
    except ValueError as error:
        raise InputError(f"{path} is no key; `seedwright dht keygen` makes one") from error


@command("keygen", examples=(("seedwright dht keygen news.key", "Then `dht put --key news.key`"),))
@click.argument("file", type=options.FILE, help="Where to write the secret key.")
@options.json_option
def keygen(file: Path, as_json: bool) -> None:
    """Make a key for mutable items; prints the public one, by which others find them."""
    seed = secrets.token_bytes(_SEED_BYTES)
    public = Signer(seed).key
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file} is there already") from error
    except OSError as error:
        raise StorageError.from_os_error(error, f"writing {file}") from error
    try:
        with os.fdopen(descriptor, "w") as written:
            written.write(f"{seed.hex()}\n")
    except OSError as error:
        file.unlink()  # else it stood in the way of the next try
        raise StorageError.from_os_error(error, f"writing {file}") from error
    if as_json:
        say_json({"key": public.hex(), "target": mutable_target(public).hex()})
    else:
        say(public.hex())


for subcommand in (status, lookup, ping, add, get, put, keygen):
    dht.add_command(subcommand)
