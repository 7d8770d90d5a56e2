"""What stays in memory of an idle torrent's metainfo: enough to list, match and announce it.

Of a magnet link whose metadata is not known yet there is one too: without sizes and files.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.geometry import Geometry
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo


@dataclass(frozen=True, slots=True)
class Summary:
    """The part of a Metainfo that does not grow with the number of pieces and files."""

    info_hash: InfoHash
    name: str
    size: int
    """Bytes, padding included."""
    piece_length: int
    """0 = the metadata is not known yet."""
    file_count: int
    is_private: bool
    trackers: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, source: Metainfo | Magnet) -> Summary:
        return cls._of_magnet(source) if isinstance(source, Magnet) else cls._of_metainfo(source)

    @classmethod
    def _of_metainfo(cls, metainfo: Metainfo) -> Summary:
        info = metainfo.info
        return cls(
            info_hash=info.info_hash,
            name=info.name,
            size=info.total_length,
            piece_length=info.piece_length,
            file_count=info.files.real_count,
            is_private=info.is_private,
            trackers=metainfo.trackers,
        )

    @classmethod
    def _of_magnet(cls, magnet: Magnet) -> Summary:
        return cls(
            info_hash=magnet.info_hash,
            name=magnet.name or str(magnet.info_hash),
            size=0,
            piece_length=0,
            file_count=0,
            is_private=False,
            trackers=magnet.tiers,
        )

    @property
    def has_info(self) -> bool:
        """False for a magnet link whose metadata is not known yet."""
        return self.piece_length != 0

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.size, self.piece_length) if self.has_info else Geometry(0, 1)
