"""The extension handshake: what a peer speaks beyond BEP 3, and about itself (BEP 10, 21).

Only the frame of the dictionary must be sound. A value that makes no sense counts as unsaid: it is
advice, written by many programs, and costs nobody a connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from engine.core import bencode
from engine.errors import BencodeError, ProtocolError
from engine.wire.client_name import sanitised

MAX_HANDSHAKE_BYTES: Final = 64 * 1024
MAX_EXTENSIONS: Final = 128
MAX_NAME_BYTES: Final = 64
MAX_METADATA_BYTES: Final = 32 * 1024 * 1024
"""Longest info dictionary that we would believe in (BEP 9)."""

_MAX_INT = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class ExtensionHandshake:
    """None and empty values are unsaid."""

    ids: Mapping[str, int] = field(default_factory=dict)
    """`m`: extension name → the id its messages carry towards the sender; 0 switches it off."""
    client: str = ""
    """`v`: name and version, fit to be shown."""
    listen_port: int | None = None
    """`p`: TCP port the sender takes connections on."""
    reqq: int | None = None
    """Requests that the sender keeps in its queue; what is over may be dropped."""
    upload_only: bool | None = None
    """The sender wants nothing more (BEP 21): a seed, or a partial one."""
    your_ip: str | None = None
    """The receiver's address as the sender sees it."""
    metadata_size: int | None = None
    """Bytes of the info dictionary (BEP 9)."""
    max_joined: int | None = None
    """Bytes of neighbouring blocks that the sender takes in one `piece` message, though it asked
    for each of them: saves both sides the work for a message per block. Ours alone, no BEP's."""
    ipv4: str | None = None
    ipv6: str | None = None
    """The sender's own addresses, for connecting back."""

    def encode(self) -> bytes:
        """Make the payload of the extended message 0."""
        said: dict[str, bencode.Encodable | None] = {
            "m": dict(self.ids),
            "p": self.listen_port,
            "v": self.client or None,
            "reqq": self.reqq,
            "max_joined": self.max_joined,
            "upload_only": None if self.upload_only is None else int(self.upload_only),
            "metadata_size": self.metadata_size,
            "yourip": _packed(self.your_ip),
            "ipv4": _packed(self.ipv4),
            "ipv6": _packed(self.ipv6),
        }
        return bencode.encode({key: value for key, value in said.items() if value is not None})

    @classmethod
    def decode(cls, payload: bytes) -> ExtensionHandshake:
        """Read the payload of an extended message 0. Raises ProtocolError."""
        if len(payload) > MAX_HANDSHAKE_BYTES:
            raise ProtocolError(f"extension handshake of {len(payload)} bytes")
        try:
            top = bencode.decode_dict(payload, strict=False)
        except BencodeError as error:
            raise ProtocolError(f"extension handshake: {error}") from error
        upload_only = top.get(b"upload_only")
        client = top.get(b"v")
        return cls(
            ids=_ids(top.get(b"m", {})),
            client=sanitised(client.decode(errors="replace")) if isinstance(client, bytes) else "",
            listen_port=_number(top.get(b"p"), 65535),
            reqq=_number(top.get(b"reqq"), _MAX_INT),
            max_joined=_number(top.get(b"max_joined"), _MAX_INT),
            upload_only=upload_only != 0 if isinstance(upload_only, int) else None,
            your_ip=_address(top.get(b"yourip"), 4, 16),
            metadata_size=_number(top.get(b"metadata_size"), MAX_METADATA_BYTES),
            ipv4=_address(top.get(b"ipv4"), 4),
            ipv6=_address(top.get(b"ipv6"), 16),
        )

    def updated(self, later: ExtensionHandshake) -> ExtensionHandshake:
        """Fold in a later handshake of the same peer: it tells changes only (BEP 10).

        Raises ProtocolError if all of them together name more extensions than one may.
        """
        ids = {name: ext_id for name, ext_id in {**self.ids, **later.ids}.items() if ext_id}
        if len(ids) > MAX_EXTENSIONS:
            raise ProtocolError(f"extension handshakes: {len(ids)} extensions")
        return replace(
            self,
            ids=ids,
            client=later.client or self.client,
            listen_port=_later(self.listen_port, later.listen_port),
            reqq=_later(self.reqq, later.reqq),
            max_joined=_later(self.max_joined, later.max_joined),
            upload_only=self.upload_only if later.upload_only is None else later.upload_only,
            your_ip=later.your_ip or self.your_ip,
            metadata_size=_later(self.metadata_size, later.metadata_size),
            ipv4=later.ipv4 or self.ipv4,
            ipv6=later.ipv6 or self.ipv6,
        )


def _later(before: int | None, now: int | None) -> int | None:
    return before if now is None else now


def _ids(source: bencode.Value) -> dict[str, int]:
    if not isinstance(source, dict):
        raise ProtocolError("extension handshake: m is no dictionary")
    if len(source) > MAX_EXTENSIONS:
        raise ProtocolError(f"extension handshake: {len(source)} extensions")
    return {
        name.decode(errors="replace"): ext_id
        for name, ext_id in source.items()
        if isinstance(ext_id, int) and 0 <= ext_id <= 255 and len(name) <= MAX_NAME_BYTES
    }


def _number(value: bencode.Value | None, largest: int) -> int | None:
    return value if isinstance(value, int) and 0 < value <= largest else None


def _address(value: bencode.Value | None, *widths: int) -> str | None:
    if not isinstance(value, bytes) or len(value) not in widths:
        return None
    address = ipaddress.ip_address(value)
    return str(getattr(address, "ipv4_mapped", None) or address)


def _packed(address: str | None) -> bytes | None:
    return None if address is None else ipaddress.ip_address(address).packed
