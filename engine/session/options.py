"""What a session is told once, when it is made."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.torrent.facilities import Limits

_OWN_DESCRIPTORS = 24
"""State file, control socket and its clients, listeners, trackers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Plain values; engine/settings.py is where they come from."""

    listen_host: str = ""
    """Empty or 0.0.0.0: all addresses of both families. A specific one is the only address that
    any socket of the session uses."""
    listen_port: int = 0
    """0 = any free one."""
    save_path: Path = field(default_factory=Path.cwd)
    preallocate: bool = False
    down_limit: int = 0
    up_limit: int = 0
    """Bytes a second; 0 = none."""
    limits: Limits = field(default_factory=Limits)
    buffer_bytes: int = 24 * 1024 * 1024
    """Piece buffers of the whole session."""
    open_files: int = 0
    """Descriptors for files; 0 = a quarter of what the system allows, at most 512."""
    disk_threads: int = 2
    stop_timeout_s: float = 5.0
    """How long trackers are given to hear `stopped`."""

    @property
    def fitting_limits(self) -> Limits:
        """The limits, with no more connections than leave descriptors for files and for control:
        else peers could keep the user out of the engine."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if allowed == resource.RLIM_INFINITY:
            return self.limits
        most = max(4, (allowed - _OWN_DESCRIPTORS) // 2)
        return replace(self.limits, max_connections=min(self.limits.max_connections, most))

    @property
    def local_host(self) -> str | None:
        """The only address to use, or None."""
        return None if self.listen_host in ("", "0.0.0.0", "::", "*") else self.listen_host
