"""What a .torrent says: Metainfo, Info, FileEntry (BEP 3, 12, 27, 47; web seeds are BEP 19's).

Invariant: an Info that exists is sound; its geometry, hashes and paths were checked. The raw bytes
of the info dictionary are kept, since the info-hash is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.core import bencode
from engine.core.bencode import Value
from engine.core.file_list import FileEntry, FileList
from engine.core.geometry import Geometry
from engine.core.identifiers import InfoHash
from engine.core.safe_path import check_distinct, safe_path, safe_torrent_name
from engine.errors import BencodeError, MetainfoError

MAX_TORRENT_BYTES = 32 * 1024 * 1024
MAX_PIECE_LENGTH = 64 * 1024 * 1024
MAX_FILES = 200_000
MAX_TOTAL_LENGTH = 1 << 50
MAX_TRACKERS = 500
"""Each of them is asked where none answers: a torrent that names thousands is an attack on them, or
on us. The rest is left out."""


@dataclass(frozen=True, slots=True)
class Info:
    """The info dictionary, checked."""

    name: str
    piece_length: int
    pieces: bytes
    """20 bytes of SHA-1 for each piece."""
    files: FileList = field(compare=False)
    is_private: bool
    is_single_file: bool
    info_hash: InfoHash
    raw: bytes = field(repr=False)
    """The bencoded info dictionary as it came."""

    @property
    def total_length(self) -> int:
        return self.files.total_length

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.total_length, self.piece_length)

    def piece_hash(self, index: int) -> bytes:
        return self.pieces[index * 20 : index * 20 + 20]

    @classmethod
    def parse(cls, raw: bytes) -> Info:
        """Check a raw info dictionary. Raises MetainfoError or BencodeError."""
        if len(raw) > MAX_TORRENT_BYTES:
            raise MetainfoError(
                f"info dictionary of {len(raw)} bytes, more than {MAX_TORRENT_BYTES}"
            )
        read = _FilesRead()
        info, _ = bencode.decode_with_spans(raw, handing=((b"files",), read.take))
        return cls._checked(info, raw, read)

    @classmethod
    def _checked(cls, info: Mapping[bytes, Value], raw: bytes, read: _FilesRead) -> Info:
        name = safe_torrent_name(_bytes(info, b"name"))
        piece_length = _integer(info, b"piece length")
        if not 0 < piece_length <= MAX_PIECE_LENGTH:
            raise MetainfoError(f"piece length of {piece_length} bytes")
        if b"files" in info and b"length" in info:
            raise MetainfoError("both one file and many")
        if b"files" not in info and b"length" not in info:
            raise MetainfoError(
                "v2 only, which this version cannot take" if b"file tree" in info else "no files"
            )
        single = b"length" in info
        files = read.checked(name, info)
        total = files.total_length
        pieces = _bytes(info, b"pieces")
        wanted = Geometry(total, piece_length).piece_count * 20
        if len(pieces) != wanted:
            raise MetainfoError(f"pieces of {len(pieces)} bytes where {wanted} belong")
        return cls(
            name=name,
            piece_length=piece_length,
            pieces=pieces,
            files=files,
            is_private=info.get(b"private") == 1,
            is_single_file=single,
            info_hash=InfoHash.of(raw),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Metainfo:
    """A whole .torrent: the info and what stands around it."""

    info: Info
    trackers: tuple[tuple[str, ...], ...] = ()
    """Tiers of announce URLs (BEP 12), unshuffled; without an announce-list one tier of one."""
    web_seeds: tuple[str, ...] = ()
    """url-list (BEP 19)."""
    comment: str = ""
    created_by: str = ""
    created_at: int | None = None
    """Seconds since the epoch."""

    @property
    def info_hash(self) -> InfoHash:
        return self.info.info_hash

    @classmethod
    def parse(cls, data: bytes) -> Metainfo:
        """Read a .torrent. Raises MetainfoError or BencodeError."""
        if len(data) > MAX_TORRENT_BYTES:
            raise MetainfoError(f"a torrent of {len(data)} bytes, more than {MAX_TORRENT_BYTES}")
        read = _FilesRead()
        try:
            top, spans = bencode.decode_with_spans(data, handing=((b"info", b"files"), read.take))
        except BencodeError as error:
            raise BencodeError(f"not a torrent, or a damaged one: {error}") from error
        info = top.get(b"info")
        if not isinstance(info, dict):
            raise MetainfoError("no info dictionary: not a torrent")
        start, end = spans[b"info"]
        created_at = top.get(b"creation date")
        return cls(
            # Decoded once: what is slow about a long torrent is that.
            info=Info._checked(info, data[start:end], read),
            trackers=_tiers(top),
            web_seeds=_web_seeds(top.get(b"url-list")),
            comment=_text(top.get(b"comment.utf-8", top.get(b"comment"))),
            created_by=_text(top.get(b"created by")),
            created_at=created_at if isinstance(created_at, int) else None,
        )

    def encode(self) -> bytes:
        """Write the .torrent; the info dictionary keeps its raw bytes."""
        top: dict[bytes, bencode.Encodable] = {}
        if self.trackers:
            top[b"announce"] = self.trackers[0][0]
            if len(self.trackers) > 1 or len(self.trackers[0]) > 1:
                top[b"announce-list"] = [list(tier) for tier in self.trackers]
        if self.comment:
            top[b"comment"] = self.comment
        if self.created_by:
            top[b"created by"] = self.created_by
        if self.created_at is not None:
            top[b"creation date"] = self.created_at
        if self.web_seeds:
            top[b"url-list"] = list(self.web_seeds)
        entries = {key: bencode.encode(value) for key, value in top.items()} | {
            b"info": self.info.raw
        }
        body = b"".join(b"%d:%b%b" % (len(key), key, entries[key]) for key in sorted(entries))
        return b"d" + body + b"e"


def _bytes(source: Mapping[bytes, Value], key: bytes) -> bytes:
    value = source.get(key)
    if not isinstance(value, bytes):
        raise MetainfoError(f"{key.decode()!r} is missing or no string")
    return value


def _integer(source: Mapping[bytes, Value], key: bytes) -> int:
    value = source.get(key)
    if not isinstance(value, int):
        raise MetainfoError(f"{key.decode()!r} is missing or no number")
    return value


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


class _FilesRead:
    """The files of an info dictionary as they are read, before the torrent's name is known."""

    def __init__(self) -> None:
        self.files = FileList()

    def take(self, item: Value) -> None:
        """Take the next of `files`. What it is made of goes: all of it at once is many times as
        much as the list."""
        if not isinstance(item, dict):
            raise MetainfoError("a file that is no dictionary")
        if len(self.files) == MAX_FILES:
            raise MetainfoError(f"more than {MAX_FILES} files")
        self._append(_path(item.get(b"path.utf-8", item.get(b"path"))), item)

    def checked(self, name: str, info: Mapping[bytes, Value]) -> FileList:
        """Return all the files of the torrent of this name. Its dictionary tells a lone one."""
        if b"length" in info:
            self.files = FileList()
            self._append((name,), info)
            if (target := self.files.symlink(0)) is not None:
                self.files = FileList([self.files[0]._replace(symlink=(name, *target))])
        elif not self.files:
            raise MetainfoError("an empty list of files")
        else:
            self.files.put_below(name)
        files = self.files
        check_distinct(
            path for number, path in enumerate(files.paths()) if not files.is_pad(number)
        )
        return files

    def _append(self, path: tuple[str, ...], source: Mapping[bytes, Value]) -> None:
        length, offset = _integer(source, b"length"), self.files.total_length
        if length < 0:
            raise MetainfoError(f"{path[-1]!r} has {length} bytes")
        if offset + length > MAX_TOTAL_LENGTH:
            raise MetainfoError(f"{offset + length} bytes in all, more than {MAX_TOTAL_LENGTH}")
        self.files.append(_entry(path, length, offset, source))


def _path(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(part, bytes) for part in value):
        raise MetainfoError("a file path that is no list of strings")
    return safe_path(value)


def _entry(
    path: tuple[str, ...], length: int, offset: int, source: Mapping[bytes, Value]
) -> FileEntry:
    attributes = source.get(b"attr")
    if not attributes or not isinstance(attributes, bytes):
        return FileEntry(path, length, offset)
    symlink = None
    if b"l" in attributes:
        if length:
            raise MetainfoError(f"symlink {'/'.join(path)!r} with {length} bytes of its own")
        symlink = _path(source.get(b"symlink path"))
    return FileEntry(
        path=path,
        length=length,
        offset=offset,
        is_pad=b"p" in attributes,
        is_executable=b"x" in attributes,
        is_hidden=b"h" in attributes,
        symlink=symlink,
    )


def _tiers(top: Mapping[bytes, Value]) -> tuple[tuple[str, ...], ...]:
    listed = top.get(b"announce-list")
    tiers = []
    places = MAX_TRACKERS
    if isinstance(listed, list):
        for tier in listed:
            if isinstance(tier, list):
                urls = tuple(
                    _text(url).strip() for url in tier if isinstance(url, bytes) and url.strip()
                )[:places]
                places -= len(urls)
                if urls:
                    tiers.append(urls)
    if not tiers and (url := _text(top.get(b"announce")).strip()):
        tiers.append((url,))
    return tuple(tiers)


def _web_seeds(value: object) -> tuple[str, ...]:
    urls: Sequence[object] = value if isinstance(value, list) else [value]
    return tuple(_text(url) for url in urls if isinstance(url, bytes) and url)


__all__ = ["BencodeError", "FileEntry", "Info", "Metainfo", "MetainfoError"]
