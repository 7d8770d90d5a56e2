"""Every request, reply and notification between the engine and its front ends, as typed structs.

JSON-RPC 2.0 (framing.py carries it): a request's `method` is the `METHOD` of its struct, its params
are the struct's fields by name, its result is the struct named by `reply`. Sizes are bytes, rates
bytes a second, times seconds since the epoch, info-hashes 40 hexadecimal digits. Unknown fields are
ignored on both sides and new ones have defaults, so that an older client talks to a newer engine;
VERSION rises only when that is no longer true.

Each topic has a module of its own, schema_*.py; all of them are imported by this name.
"""

from __future__ import annotations

from engine.control.schema_dht import (
    DhtAdd,
    DhtGet,
    DhtInfo,
    DhtLookup,
    DhtNodeInfo,
    DhtPing,
    DhtPut,
    DhtRequest,
    DhtStatus,
)
from engine.control.schema_files import FileChange, FilePriority, FileRow, GetFiles, SetFiles
from engine.control.schema_filter import FilterStatus, GetFilter, IsBlocked, ReloadFilter
from engine.control.schema_peers import (
    AddPeer,
    Announce,
    GetPeers,
    GetTrackers,
    PeerRow,
    TrackerRow,
    TrackerState,
)
from engine.control.schema_request import Accepted, Empty, Request
from engine.control.schema_session import (
    VERSION,
    GetHealth,
    HealthCheck,
    Hello,
    SessionStatus,
    SetLimits,
    Shutdown,
    Status,
)
from engine.control.schema_torrents import (
    AddTorrent,
    GetLog,
    GetTorrent,
    ListTorrents,
    LogLine,
    Pause,
    Recheck,
    Remove,
    Resume,
    TorrentInfo,
    TorrentRow,
    TorrentState,
)
from engine.control.schema_views import Delta, Snapshot, Sort, Subscribe, Unsubscribe, View

REQUESTS: tuple[type[Request], ...] = (
    Hello,
    Status,
    GetHealth,
    SetLimits,
    GetFilter,
    ReloadFilter,
    IsBlocked,
    Shutdown,
    AddTorrent,
    ListTorrents,
    GetTorrent,
    GetFiles,
    SetFiles,
    GetPeers,
    GetTrackers,
    GetLog,
    Pause,
    Resume,
    Recheck,
    Announce,
    Remove,
    AddPeer,
    DhtStatus,
    DhtLookup,
    DhtPing,
    DhtAdd,
    DhtGet,
    DhtPut,
    Subscribe,
    Unsubscribe,
)
"""Every method there is."""
NOTIFICATIONS: tuple[type[Snapshot] | type[Delta], ...] = (Snapshot, Delta)

__all__ = [
    "NOTIFICATIONS",
    "REQUESTS",
    "VERSION",
    "Accepted",
    "AddPeer",
    "AddTorrent",
    "Announce",
    "Delta",
    "DhtAdd",
    "DhtGet",
    "DhtInfo",
    "DhtLookup",
    "DhtNodeInfo",
    "DhtPing",
    "DhtPut",
    "DhtRequest",
    "DhtStatus",
    "Empty",
    "FileChange",
    "FilePriority",
    "FileRow",
    "FilterStatus",
    "GetFiles",
    "GetFilter",
    "GetHealth",
    "GetLog",
    "GetPeers",
    "GetTorrent",
    "GetTrackers",
    "HealthCheck",
    "Hello",
    "IsBlocked",
    "ListTorrents",
    "LogLine",
    "Pause",
    "PeerRow",
    "Recheck",
    "ReloadFilter",
    "Remove",
    "Request",
    "Resume",
    "SessionStatus",
    "SetFiles",
    "SetLimits",
    "Shutdown",
    "Snapshot",
    "Sort",
    "Status",
    "Subscribe",
    "TorrentInfo",
    "TorrentRow",
    "TorrentState",
    "TrackerRow",
    "TrackerState",
    "Unsubscribe",
    "View",
]
