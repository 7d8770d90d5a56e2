"""Speaking UPnP with a router: found by multicast, asked over HTTP (IGD 1 and 2).

What answers is believed only of itself: it must be in a local network, and its description at the
address that the answer came from. XML and SOAP are a library's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.core.scope import is_local
from engine.discovery.port_mapping import Mapped, MapRequest
from engine.errors import GatewayError
from engine.net.gateway import received
from engine.net.route import Route

if TYPE_CHECKING:
    import aiohttp

_GROUP = ("239.255.255.250", 1900)
_TARGETS = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)
_SERVICES = ("WANIPConnection", "WANPPPConnection")
_SEARCH_S = 3.0
_TIMEOUT_S = 5.0
_MAX_BODY_BYTES = 256 * 1024
_MAX_FOUND = 4
_ONLY_PERMANENT = 725
"""IGD 1: OnlyPermanentLeasesSupported."""
_TAKEN = 718
"""ConflictInMappingEntry."""
_OTHER_PORTS = 10
DESCRIPTION = "seedwright"


async def find(route: Route) -> list[str]:
    """Ask the local network for routers; returns where their descriptions are. Raises
    GatewayError."""
    found: dict[str, None] = {}
    try:
        with route.datagram(socket.AF_INET) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
            for target in _TARGETS:
                sock.sendto(_search(target), _GROUP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SEARCH_S):
                    while len(found) < _MAX_FOUND:
                        data, host = await received(sock)
                        if (url := parse_answer(data, host)) is not None:
                            found[url] = None
    except OSError as error:
        raise GatewayError(f"no search by multicast: {error.strerror or error}") from error
    return list(found)


def _search(target: str) -> bytes:
    lines = (
        "M-SEARCH * HTTP/1.1",
        f"HOST: {_GROUP[0]}:{_GROUP[1]}",
        'MAN: "ssdp:discover"',
        "MX: 2",
        f"ST: {target}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def parse_answer(data: bytes, host: str) -> str | None:
    """Read where the description of the router at `host` is; None if it is not to be believed."""
    first, *lines = data.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 200"):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in map(_cut, lines)}
    url, target = headers.get("location", ""), headers.get("st", "")
    try:
        parts = urlsplit(url)
        is_its_own = parts.scheme == "http" and parts.hostname == host and is_local(host)
    except ValueError:
        return None
    return url if is_its_own and target in _TARGETS else None


def _cut(line: str) -> tuple[str, str, str]:
    return line.partition(":")


class UpnpGateway:
    """One router. Must be closed."""

    name = "UPnP"

    def __init__(self, session: aiohttp.ClientSession, service: Any, our_host: str) -> None:
        self._session = session
        self._service = service
        self._our_host = our_host
        self._external_host: str | None = None

    @classmethod
    async def at(cls, url: str, route: Route) -> UpnpGateway:
        """Read the description of a router. Raises GatewayError: it is none that maps ports."""
        import aiohttp

        from engine.net.http_connector import connector

        # Slow to load, and nobody waits for it but this.
        factory = await asyncio.to_thread(_factory)
        session = aiohttp.ClientSession(
            connector=connector(route), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)
        )
        try:
            device = await _calling(factory(_Requester(session)).async_create_device(url))
            for service in device.all_services:
                kind = service.service_type.split(":")[-2:-1]
                if kind and kind[0] in _SERVICES and service.has_action("AddPortMapping"):
                    our_host = await _our_host(url, route)
                    return cls(session, service, our_host)
            raise GatewayError("it maps no ports")
        except BaseException:
            await session.close()
            raise

    @property
    def external_host(self) -> str | None:
        return self._external_host

    async def map(self, request: MapRequest) -> Mapped:
        """Raises GatewayError."""
        if not request.lifetime_s:
            await self._call("DeletePortMapping", **self._entry(request, request.external_port))
            return Mapped(request.carrier, request.internal_port, request.external_port, 0)
        if self._external_host is None:
            self._external_host = await self._ask_address()
        lifetime_s = request.lifetime_s
        external = request.external_port or request.internal_port
        for _ in range(_OTHER_PORTS):
            try:
                await self._add(request, external, lifetime_s)
            except _RefusedError as error:
                if error.code == _ONLY_PERMANENT and lifetime_s:
                    lifetime_s = 0
                elif error.code == _TAKEN and external < 65535:
                    external += 1
                else:
                    raise
            else:
                asked = request.carrier, request.internal_port, external, request.lifetime_s
                return Mapped(*asked, self._external_host)
        raise GatewayError("every port that was tried is taken")

    async def _add(self, request: MapRequest, external: int, lifetime_s: int) -> None:
        await self._call(
            "AddPortMapping",
            **self._entry(request, external),
            NewInternalPort=request.internal_port,
            NewInternalClient=self._our_host,
            NewEnabled=True,
            NewPortMappingDescription=DESCRIPTION,
            NewLeaseDuration=lifetime_s,
        )

    def _entry(self, request: MapRequest, external: int) -> dict[str, Any]:
        return {
            "NewRemoteHost": "",
            "NewExternalPort": external,
            "NewProtocol": request.carrier.name,
        }

    async def _ask_address(self) -> str | None:
        answer = await self._call("GetExternalIPAddress")
        try:
            return str(ipaddress.ip_address(str(answer.get("NewExternalIPAddress", ""))))
        except ValueError:
            return None

    async def _call(self, action: str, **values: Any) -> dict[str, Any]:
        if not self._service.has_action(action):
            raise GatewayError(f"it does not know {action}")
        answer = await _calling(self._service.action(action).async_call(**values))
        return dict(answer)

    async def close(self) -> None:
        await self._session.close()


class _RefusedError(GatewayError):
    """It understood, and would not."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


def _factory() -> Any:
    from async_upnp_client.client_factory import UpnpFactory

    # It warns of every oddity of a description; what counts comes to us as an error.
    logging.getLogger("async_upnp_client").setLevel(logging.ERROR)
    # Routers are described by their makers: what is slightly wrong must still work.
    return lambda requester: UpnpFactory(requester, non_strict=True)


async def _calling(call: Any) -> Any:
    """Await what the library does. Raises GatewayError."""
    from async_upnp_client.exceptions import UpnpActionError, UpnpError

    try:
        return await call
    except UpnpActionError as error:
        text = error.error_desc or f"error {error.error_code}"
        raise _RefusedError(f"it refuses: {text}", error.error_code) from error
    except GatewayError:
        raise
    except (UpnpError, ValueError, KeyError, AttributeError, TypeError) as error:
        # A description can be wrong in more ways than the library has names for.
        raise GatewayError(f"its answer makes no sense: {type(error).__name__}") from error


async def _our_host(url: str, route: Route) -> str:
    """The address by which the router reaches us."""
    parts = urlsplit(url)
    try:
        with route.datagram(socket.AF_INET) as sock:
            sock.connect((parts.hostname, parts.port or 80))
            return str(sock.getsockname()[0])
    except OSError as error:
        raise GatewayError(f"{parts.hostname}: {error.strerror or error}") from error


class _Requester:
    """How the library speaks HTTP: by our route, bounded, and never beyond the router."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._host: str | None = None

    async def async_http_request(self, http_request: Any) -> Any:
        import aiohttp
        from async_upnp_client.const import HttpResponse

        host = urlsplit(http_request.url).hostname
        self._host = self._host or host
        if host != self._host:
            raise GatewayError("its description leads to another host")
        try:
            async with self._session.request(
                http_request.method,
                http_request.url,
                headers=http_request.headers,
                data=http_request.body,
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(64 * 1024):
                    body += chunk
                    if len(body) > _MAX_BODY_BYTES:
                        raise GatewayError("its answer is too long")
                return HttpResponse(
                    response.status, response.headers, body.decode("utf-8", "replace")
                )
        except TimeoutError as error:
            raise GatewayError("it does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise GatewayError(f"{host}: {error or type(error).__name__}") from error
