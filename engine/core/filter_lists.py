"""Lists of blocked addresses as people publish them → ranges.

    eMule, DAT         001.002.003.000 - 001.002.003.255 , 000 , Some network
    PeerGuardian, P2P  Some network:1.2.3.0-1.2.3.255
    plain              1.2.3.0/24   1.2.3.0-1.2.3.255   1.2.3.4   2001:db8::/32   ; comment
    PeerGuardian, P2B  binary, versions 1 to 3

Lines of text may be of different kinds; one that makes no sense is counted and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct

from engine.core.ip_filter import IpFilter, RangeBuilder, parse_network
from engine.errors import InputError

P2B_MAGIC = b"\xff\xff\xff\xffP2B"
_MAX_LINE_CHARS = 2000
_DAT_ALLOWED_FROM = 128
"""eMule blocks ranges whose level is below."""
_MAX_COLONS = 12

_QUAD = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_LINES = re.compile(
    rf"^(?![ \t]*[#;/])(?:.*:)?[ \t]*({_QUAD})[ \t]*-[ \t]*({_QUAD})[ \t]*"
    r"(?:,[ \t]*(\d{1,3})[ \t]*(?:,.*)?)?$|^(.+)$",
    re.ASCII | re.MULTILINE,
)
"""What nearly all lines of the large lists look like, all lines of a text at once: (first, last,
level, "") or ("", "", "", the line)."""
_QUAD_ALONE = re.compile(_QUAD, re.ASCII)
_COMMENT = re.compile(r"\s*(?:#|;|//|$)")
_TRAILING_COMMENT = re.compile(r"\s[#;].*")


class ListReader:
    """Reads the text of a list piece by piece. `build` when all of it was fed."""

    __slots__ = ("_builder", "_rest", "first_nonsense", "nonsense")

    def __init__(self) -> None:
        self._builder = RangeBuilder()
        self._rest = ""
        self.nonsense = 0
        """Lines that could not be read."""
        self.first_nonsense = ""

    @property
    def ranges(self) -> int:
        """Ranges read, before those that overlap are merged."""
        return self._builder.count

    def feed(self, text: str) -> None:
        """Take the next piece of the text, cut anywhere. Raises InputError: too many ranges."""
        whole, newline, rest = (self._rest + text).replace("\r", "\n").rpartition("\n")
        self._rest = rest
        if newline:
            self._read(whole)
        if len(rest) > _MAX_LINE_CHARS:
            self._rest = rest[:_MAX_LINE_CHARS]  # it makes no sense, however it ends

    def build(self) -> IpFilter:
        self._read(self._rest)
        self._rest = ""
        return self._builder.build()

    def _read(self, lines: str) -> None:
        add = self._builder.add_packed
        for start, end, level, other in _LINES.findall(lines):
            if other:
                self._read_rare(other)
            elif not level or int(level) < _DAT_ALLOWED_FROM:
                try:
                    first = socket.inet_pton(socket.AF_INET, start)
                    last = socket.inet_pton(socket.AF_INET, end)
                except OSError:
                    self._read_rare(f"{start}-{end}")  # numbers that begin with zeros
                    continue
                if first > last:
                    self._not_understood(f"{start}-{end}")
                else:
                    add(first, last)

    def _read_rare(self, line: str) -> None:
        """IPv6, networks, single addresses, comments and nonsense."""
        if _COMMENT.match(line):
            return
        if len(line) >= _MAX_LINE_CHARS:
            self._not_understood(line)
            return
        line = _TRAILING_COMMENT.sub("", line).strip()
        text, *more = (part.strip() for part in line.split(","))
        found = _range_of(text) or (_range_of(line) if more else None)
        if found is None:
            self._not_understood(line)
        elif not (more and more[0].isdecimal() and int(more[0]) >= _DAT_ALLOWED_FROM):
            first, last = found
            self._builder.add(int(first), int(last), is_ipv6=first.version == 6)

    def _not_understood(self, line: str) -> None:
        self.nonsense += 1
        self.first_nonsense = self.first_nonsense or line.strip()[:80]


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _range_of(text: str) -> tuple[_Address, _Address] | None:
    """Read an address, a network or a range, perhaps with a name and a colon before it."""
    start, dash, end = text.rpartition("-")
    last = _address(end) if dash else None
    if dash and last is None:
        start, last = text, None  # the dash is one of the name
    for _ in range(_MAX_COLONS):
        found = _network(start if dash and last else text, last)
        if found is not None:
            return found
        _, colon, shorter = start.partition(":") if dash and last else text.partition(":")
        if not colon:
            return None
        start = text = shorter
    return None


def _network(text: str, last: _Address | None) -> tuple[_Address, _Address] | None:
    if last is not None:
        first = _address(text)
        if first is None or first.version != last.version or int(last) < int(first):
            return None
        return first, last
    address, slash, prefix = text.partition("/")
    single = _address(address)
    if single is None:
        return None
    if not slash:
        return single, single
    try:
        network = parse_network(f"{single}/{prefix.strip()}")
    except InputError:
        return None
    return network[0], network[-1]


def _address(text: str) -> _Address | None:
    text = text.strip()
    if _QUAD_ALONE.fullmatch(text):  # numbers may begin with zeros, and are decimal all the same
        text = ".".join(str(int(part)) for part in text.split("."))
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def read_p2b(data: bytes) -> IpFilter:
    """Read PeerGuardian's binary list. Raises InputError if it is torn or of another version."""
    if not data.startswith(P2B_MAGIC) or len(data) <= len(P2B_MAGIC):
        raise InputError("not a P2B list")
    version, at = data[len(P2B_MAGIC)], len(P2B_MAGIC) + 1
    builder = RangeBuilder()
    try:
        if version in (1, 2):
            while at < len(data):
                at = data.index(0, at) + 1
                _add_pair(builder, *struct.unpack_from(">II", data, at))
                at += 8
        elif version == 3:
            (names,) = struct.unpack_from(">I", data, at)
            at += 4
            for _ in range(names):
                at = data.index(0, at) + 1
            (count,) = struct.unpack_from(">I", data, at)
            for offset in range(at + 4, at + 4 + 12 * count, 12):
                _add_pair(builder, *struct.unpack_from(">II", data, offset + 4))
        else:
            raise InputError(f"a P2B list of version {version}; 1 to 3 are known")
    except (ValueError, struct.error) as error:
        raise InputError("the P2B list ends in the middle") from error
    return builder.build()


def _add_pair(builder: RangeBuilder, first: int, last: int) -> None:
    if first <= last:
        builder.add(first, last)
