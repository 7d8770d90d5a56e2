"""HTTP CONNECT without I/O: asking an HTTP proxy for a tunnel (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import base64
import re

from engine.core.proxy_address import ProxyAddress
from engine.errors import ProxyAuthError, ProxyError, ProxyRefusal
from engine.net.proxy_steps import Script, Step

MAX_HEAD_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_HOST = re.compile(r"[!-~]{1,255}", re.ASCII)
_AUTH_REQUIRED = 407


def connect(proxy: ProxyAddress, host: str, port: int) -> Script[None]:
    """Have it connect to `host`, a numeric address or a name."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise ProxyRefusal(f"{host[:80]!r} is no name of a host")
    where = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.user:
        who = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {who}")
    said = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    head = yield Step(said, until=b"\r\n\r\n", most=MAX_HEAD_BYTES)
    found = _STATUS_LINE.match(head)
    if found is None:
        raise ProxyError("it does not speak HTTP")
    status = int(found[1])
    if status == _AUTH_REQUIRED:
        refused = "does not accept the user name or the password"
        raise ProxyAuthError(f"it {refused if proxy.user else 'wants a user name and password'}")
    if not 200 <= status < 300:
        raise ProxyRefusal(f"the proxy answers with HTTP {status}")
