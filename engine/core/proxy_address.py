"""Where a proxy is, how it is spoken with, and who we are to it.

Invariant: the text of an address, its repr and every error leave the password out.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from engine.core.compact import endpoint
from engine.errors import InputError

_MAX_CREDENTIAL_BYTES = 255
"""RFC 1929 has one byte for the length; HTTP's Basic is held to the same."""
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})", re.ASCII)


class Scheme(enum.StrEnum):
    SOCKS5 = "socks5"
    HTTP = "http"


_SCHEMES = {"socks5": Scheme.SOCKS5, "socks5h": Scheme.SOCKS5, "http": Scheme.HTTP}


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A proxy; `str` of it is for people and has no password."""

    scheme: Scheme
    host: str
    """A name, or a numeric address without brackets."""
    port: int
    user: str = ""
    """Empty: we are nobody."""
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """All of it, as `parse_proxy` takes it; for whoever may see the password."""
        who = quote(self.user, safe="") + (":" + quote(self.password, safe="")) * bool(
            self.password
        )
        return f"{self.scheme}://{who}{'@' * bool(who)}{self.place}"

    def __str__(self) -> str:
        who = quote(self.user, safe="") + ":***" * bool(self.password)
        return f"{self.scheme}://{who}{'@' * bool(who)}{self.place}"


def parse_proxy(text: str) -> ProxyAddress:
    """Read socks5://[USER[:PASSWORD]@]HOST:PORT, socks5h:// (which means the same) or http://.
    Raises InputError, whose text repeats nothing that could be the password."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        raise InputError("not the URL of a proxy") from None
    if (scheme := _SCHEMES.get(parts.scheme)) is None:
        raise InputError("a proxy is socks5:// or http://")
    if not host or not port:
        raise InputError("a proxy needs a host and a port")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InputError("there is something behind the port; %-encode signs of a password")
    if ":" in host:
        host = endpoint(host, port).host
    elif not _HOST.fullmatch(host):
        raise InputError("the host is neither a name nor an address")
    if password and not user:
        raise InputError("a password without a user name")
    for what, value in (("user name", user), ("password", password)):
        if len(value.encode()) > _MAX_CREDENTIAL_BYTES:
            raise InputError(f"the {what} has more than {_MAX_CREDENTIAL_BYTES} bytes")
        if not value.isprintable():
            raise InputError(f"the {what} has signs that cannot be printed")
    if scheme is Scheme.HTTP and ":" in user:
        raise InputError("the user name of an HTTP proxy has no colon")
    return ProxyAddress(scheme, host, port, user, password)
