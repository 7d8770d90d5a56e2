"""Every error that seedwright raises on purpose; each says whose fault it is and is one clear line.

SeedwrightError
├── InputError                 the user's or a file's fault; expected; shown as it is, exit code 2
│   ├── BencodeError           bytes that are not (canonical) bencode                        BEP 3
│   ├── MetainfoError          a torrent that cannot be what it says                         BEP 3
│   │   └── UnsafePathError    a file name from the network that must not reach a disk
│   ├── SettingsError          an unknown setting or a value of the wrong kind
│   └── SourceError            a SOURCE that cannot be read or fetched
├── PeerError                  a remote peer's fault; expected; costs its connection
│   ├── ProtocolError          it broke BEP 3, 6 or 10: bad length, id, index, order
│   │   └── EncryptionError    the handshake of encryption failed
│   ├── CorruptPeerError       it sent blocks of a piece that failed its hash
│   └── PeerTimeoutError       it said nothing for too long
├── TrackerError               a tracker's fault; expected; costs the announce
│   ├── TrackerFailure         it answered with `failure reason`                             BEP 31
│   ├── TrackerReplyError      it answered with something that is no reply
│   └── TrackerUnreachable     it did not answer: refused, timed out, no such name
├── GatewayError               a router's fault; expected; costs the mapping of a port
├── NoRouteError               by the way that it is held to nothing can leave; an OSError too
│   ├── ProxyError             the proxy cannot be reached, or is none
│   │   └── ProxyAuthError     it does not take us
│   └── ProxyRefusal           it does not do what it was asked: no way to that address
├── StorageError               the disk's fault; costs the torrent, never the daemon
│   ├── DiskFullError          no space left (or over a quota)
│   ├── StorageMissingError    files or folders that should be there are not
│   └── StorageDeniedError     not permitted, read-only
└── ControlError               a control request that cannot be served; has a JSON-RPC code
    ├── BadRequestError        malformed request or parameters
    ├── UnknownTorrentError    no torrent of that hash or name
    ├── DuplicateTorrentError  a torrent of that hash is already there
    └── EngineUnreachable      no engine answers at the address
        └── AccessRefused      whoever leads to it lets us not in; trying again changes nothing

Anything else that escapes is our bug: it is logged with its traceback and exits with code 70.
"""

from __future__ import annotations

import errno
import shlex


class SeedwrightError(Exception):
    """The root. `exit_code` is what the command line ends with when nothing handles the error."""

    exit_code = 1

    def __str__(self) -> str:
        return " ".join(str(arg) for arg in self.args) or type(self).__name__


class InputError(SeedwrightError):
    exit_code = 2


class BencodeError(InputError):
    pass


class MetainfoError(InputError):
    pass


class UnsafePathError(MetainfoError):
    pass


class SettingsError(InputError):
    pass


class SourceError(InputError):
    @classmethod
    def from_os_error(cls, error: OSError, path: object) -> SourceError:
        """Say why a .torrent cannot be read, and what helps where `path` is what to make one of."""
        if error.errno == errno.EISDIR:
            makes = f"`seedwright create {shlex.quote(str(path))}` makes one of it"
            return cls(f"{path} is a folder, not a .torrent; {makes}")
        return cls(f"{path}: {error.strerror or error}")


class PeerError(SeedwrightError):
    pass


class ProtocolError(PeerError):
    pass


class EncryptionError(ProtocolError):
    pass


class CorruptPeerError(PeerError):
    pass


class PeerTimeoutError(PeerError):
    pass


class TrackerError(SeedwrightError):
    exit_code = 4


class TrackerFailure(TrackerError):  # noqa: N818 - BEP 3 calls it a failure
    """`retry_in_s` is BEP 31's hint: seconds until the next try, None = unsaid, inf = never."""

    def __init__(self, reason: str, retry_in_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_in_s = retry_in_s


class TrackerReplyError(TrackerError):
    pass


class TrackerUnreachable(TrackerError):  # noqa: N818
    pass


class NoRouteError(SeedwrightError, OSError):
    """Also an OSError without a number, as libraries expect of a socket that cannot be had."""


class ProxyError(NoRouteError):
    pass


class ProxyAuthError(ProxyError):
    pass


class ProxyRefusal(NoRouteError):  # noqa: N818 - the proxy works
    """`status` is SOCKS5's, where it gave one."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class GatewayError(SeedwrightError):
    pass


class StorageError(SeedwrightError):
    exit_code = 5

    @classmethod
    def from_os_error(cls, error: OSError, doing: str) -> StorageError:
        """Translate an OSError met while `doing` something ("writing /path") into this tree."""
        kind: type[StorageError] = StorageError
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kind = DiskFullError
        elif error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENXIO):
            kind = StorageMissingError
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            kind = StorageDeniedError
        reason = error.strerror or str(error)
        if error.errno == errno.ENOTDIR:
            reason = "a file stands where a folder should be"
        elif error.errno == errno.EISDIR:
            reason = "a folder stands where a file should be"
        return kind(f"{doing}: {reason}")


class DiskFullError(StorageError):
    pass


class StorageMissingError(StorageError):
    pass


class StorageDeniedError(StorageError):
    pass


class ControlError(SeedwrightError):
    """`code` is the JSON-RPC 2.0 error code it travels as."""

    code = -32000
    exit_code = 3


class BadRequestError(ControlError):
    code = -32602


class UnknownTorrentError(ControlError):
    code = -32001


class DuplicateTorrentError(ControlError):
    code = -32002


class EngineUnreachable(ControlError):  # noqa: N818
    code = -32003
    exit_code = 6


class AccessRefused(EngineUnreachable):
    pass
