"""What is settled before a torrent is added: where to, which files, or that it completes a link."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.core.compact import Endpoint
from engine.core.file_choice import FileChoice, priorities_of
from engine.core.file_wishes import FileWishes
from engine.core.magnet import MAX_LINK_CHARS, Magnet
from engine.core.metainfo import Info, Metainfo
from engine.errors import InputError
from engine.swarm.peer_list import UNFIT_FOR_PRIVATE
from engine.torrent.summary import Summary
from engine.torrent.torrent import Torrent

if TYPE_CHECKING:
    from engine.session.session import Session

NO_WISHES: Final = FileWishes()


def usable(save_path: Path) -> Path:
    """The absolute path, if it can be kept. Raises InputError."""
    path = save_path.absolute()
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the path {str(path)!a} is not UTF-8") from error
    return path


def chosen(info: Info, wishes: FileWishes) -> FileChoice | None:
    """The files that are wished for. Raises InputError for a wish that names none."""
    if not wishes.chooses:
        return None
    return FileChoice.of(info, wishes.check().applied(info, priorities_of(info, None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is said with a torrent that is added."""

    save_path: Path | None
    """None = the setting."""
    peers: list[Endpoint]
    paused: bool
    preallocate: bool | None
    wishes: FileWishes


def make_torrent(session: Session, source: Metainfo | Magnet, order: Order) -> Torrent:
    """Make a torrent that is about to be added, at rest. Raises InputError."""
    choice, wishes, waits = None, order.wishes.check(), False
    options = session.options
    if isinstance(source, Magnet):
        if len(source.encode()) > MAX_LINK_CHARS:
            raise InputError("this magnet link is too long to be kept")
        wishes = replace(wishes, link=source.selected)
    else:
        choice, wishes, waits = chosen(source.info, wishes), NO_WISHES, wishes.waits
    torrent = Torrent(
        session,
        session.facilities,
        Summary.of(source),
        save_path=order.save_path or usable(options.save_path),
        choice=choice,
        wishes=wishes,
        added_at=time.time(),
        preallocate=options.preallocate if order.preallocate is None else order.preallocate,
        magnet=source if isinstance(source, Magnet) else None,
        info=source.info if isinstance(source, Metainfo) else None,
    )
    torrent.explicit_peers = list(order.peers)
    torrent.wants_to_run = not (order.paused or waits)
    return torrent


async def complete_link(
    session: Session, torrent: Torrent, metainfo: Metainfo, order: Order
) -> None:
    """Give a torrent that was added by a link its metadata, from a .torrent that was added since.

    What is said now counts more than what was said with the link. Raises InputError, StorageError.
    """
    wishes = order.wishes
    if wishes.chooses or wishes.waits:
        chosen(metainfo.info, wishes)
        torrent.wishes = wishes
    elif torrent.wishes.waits:
        torrent.wishes = replace(torrent.wishes, waits=False)
    torrent.save_path = order.save_path or torrent.save_path
    torrent.announcer.add(metainfo.trackers)
    await session.keep_metainfo(torrent, metainfo)
    if not torrent.has_info:
        known = torrent.fetching.known if torrent.fetching else session.facilities.new_peer_list()
        if metainfo.info.is_private:
            known.forget_sources(UNFIT_FOR_PRIVATE)
        known.recall()
        torrent.note("info", "its .torrent was added: no metadata need be fetched")
        torrent.learned(metainfo, known)
    for peer in order.peers:
        torrent.add_peer(peer)
    if order.paused:
        torrent.pause()
    elif not wishes.waits:
        torrent.start()
    await session.committing.kept()
