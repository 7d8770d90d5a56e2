"""Messages of `ut_metadata`: pieces of the info dictionary, asked for and given (BEP 9).

Payloads of extended messages ↔ values. Invariant: a value that exists has a piece number that is
not negative, and data of one metadata piece at most; whether it was asked for is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from engine.core import bencode
from engine.errors import BencodeError, ProtocolError

NAME: Final = "ut_metadata"
"""In `m` of the extension handshake."""
METADATA_PIECE_BYTES: Final = 16 * 1024
"""Every piece but the last one."""

_MAX_HEAD_BYTES: Final = 4096
_MAX_PIECE: Final = (1 << 31) - 1
_REQUEST, _DATA, _REJECT = range(3)


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    piece: int


@dataclass(frozen=True, slots=True)
class MetadataData:
    piece: int
    data: bytes
    total_size: int | None = None
    """Bytes of the whole info dictionary, as the sender says; None = it said nothing sensible."""


@dataclass(frozen=True, slots=True)
class MetadataReject:
    """The sender does not have the piece, or does not give it now."""

    piece: int


MetadataMessage: TypeAlias = MetadataRequest | MetadataData | MetadataReject


def encode(message: MetadataMessage) -> bytes:
    """Make the payload of an extended message."""
    match message:
        case MetadataRequest(piece):
            return bencode.encode({"msg_type": _REQUEST, "piece": piece})
        case MetadataReject(piece):
            return bencode.encode({"msg_type": _REJECT, "piece": piece})
        case MetadataData(piece, data, total_size):
            head: dict[str, bencode.Encodable] = {"msg_type": _DATA, "piece": piece}
            if total_size is not None:
                head["total_size"] = total_size
            return bencode.encode(head) + data


def decode(payload: bytes) -> MetadataMessage | None:
    """Read the payload of an extended message; None for a kind of message that BEP 9 does not know,
    which is to be ignored. Raises ProtocolError."""
    try:
        head, end = bencode.decode_prefix(payload[:_MAX_HEAD_BYTES], strict=False)
    except BencodeError as error:
        raise ProtocolError(f"{NAME}: {error}") from error
    if not isinstance(head, dict):
        raise ProtocolError(f"{NAME}: no dictionary")
    kind, piece = head.get(b"msg_type"), head.get(b"piece")
    if not isinstance(kind, int):
        raise ProtocolError(f"{NAME}: message without a type")
    if kind not in (_REQUEST, _DATA, _REJECT):
        return None
    if not isinstance(piece, int) or not 0 <= piece <= _MAX_PIECE:
        raise ProtocolError(f"{NAME}: message about no piece")
    if kind == _REQUEST:
        return MetadataRequest(piece)
    if kind == _REJECT:
        return MetadataReject(piece)
    if len(payload) - end > METADATA_PIECE_BYTES:
        raise ProtocolError(f"{NAME}: piece of {len(payload) - end} bytes")
    total = head.get(b"total_size")
    is_sensible = isinstance(total, int) and total > 0
    return MetadataData(piece, payload[end:], total if is_sensible else None)  # type: ignore[arg-type]
