"""What stays in memory of an idle torrent's metainfo: enough to list, match and announce it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.geometry import Geometry
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo


@dataclass(frozen=True, slots=True)
class Summary:
    """The part of a Metainfo that does not grow with the number of pieces and files."""

    info_hash: InfoHash
    name: str
    size: int
    """Bytes, padding included."""
    piece_length: int
    file_count: int
    is_private: bool
    trackers: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, metainfo: Metainfo) -> Summary:
        info = metainfo.info
        return cls(
            info_hash=info.info_hash,
            name=info.name,
            size=info.total_length,
            piece_length=info.piece_length,
            file_count=sum(not file.is_pad for file in info.files),
            is_private=info.is_private,
            trackers=metainfo.trackers,
        )

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.size, self.piece_length)
