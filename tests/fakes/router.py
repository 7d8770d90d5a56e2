"""Routers that lead ports to whoever asks: PCP and NAT-PMP over UDP, UPnP over HTTP, on loopback.

Bytes and XML are made by hand: they share no code with the engine.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Iterable

from aiohttp import web

OUTSIDE = "198.51.100.7"
Entry = tuple[str, int, int]
"""Protocol, external port, internal port."""


class PmpRouter(asyncio.DatagramProtocol):
    """Speaks PCP, NAT-PMP or both. `refuses` is a result code that every request gets."""

    def __init__(
        self,
        *,
        speaks: Iterable[str] = ("PCP", "NAT-PMP"),
        refuses: int = 0,
        loses: int = 0,
        taken: Iterable[int] = (),
        lifetime_s: int | None = None,
        is_silent_to_pcp: bool = False,
    ) -> None:
        self.speaks = set(speaks)
        self.refuses = refuses
        self.loses = loses
        """So many requests get no answer."""
        self.taken = set(taken)
        self.lifetime_s = lifetime_s
        self.is_silent_to_pcp = is_silent_to_pcp
        self.entries: dict[Entry, int] = {}
        """Mappings there are, and the lifetime that was asked for."""
        self.requests: list[bytes] = []
        self.port = 0

    async def start(self) -> PmpRouter:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    def stop(self) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests.append(data)
        if self.loses:
            self.loses -= 1
            return
        self.transport.sendto(b"\x01not for you", addr)  # what is no answer must not disturb
        answer = self._pcp(data) if data[0] == 2 else self._pmp(data)
        if answer:
            self.transport.sendto(answer, addr)

    def _map(self, protocol: str, internal: int, wished: int, lifetime: int) -> int:
        for entry in [each for each in self.entries if each[::2] == (protocol, internal)]:
            del self.entries[entry]
        if not lifetime:
            return 0
        external = wished or internal
        while external in self.taken:
            external += 1
        self.entries[protocol, external, internal] = lifetime
        return external

    def _pcp(self, data: bytes) -> bytes:
        if self.is_silent_to_pcp:
            return b""
        if "PCP" not in self.speaks:
            return struct.pack(">BBHI", 0, 128, 1, 9)
        lifetime, client = struct.unpack_from(">I16s", data, 4)
        assert len(data) == 60
        assert client == bytes(10) + b"\xff\xff\x7f\x00\x00\x01"
        nonce, number, internal, wished = struct.unpack_from(">12sB3xHH", data, 24)
        external = 0
        if not self.refuses:
            external = self._map({6: "TCP", 17: "UDP"}[number], internal, wished, lifetime)
        given = self.lifetime_s or lifetime if lifetime else 0
        head = struct.pack(">BBBBII12x", 2, 0x81, 0, self.refuses, given, 77)
        outside = bytes(10) + b"\xff\xff" + bytes(map(int, OUTSIDE.split(".")))
        return head + struct.pack(">12sB3xHH16s", nonce, number, internal, external, outside)

    def _pmp(self, data: bytes) -> bytes:
        if "NAT-PMP" not in self.speaks:
            return b""
        if data == b"\0\0":
            host = bytes(map(int, OUTSIDE.split(".")))
            return struct.pack(">BBHI4s", 0, 128, self.refuses, 77, host)
        _, opcode, _, internal, wished, lifetime = struct.unpack(">BBHHHI", data)
        external = 0
        if not self.refuses:
            external = self._map({1: "UDP", 2: "TCP"}[opcode], internal, wished, lifetime)
        given = self.lifetime_s or lifetime if lifetime else 0
        return struct.pack(">BBHIHHI", 0, 128 + opcode, self.refuses, 77, internal, external, given)


_ROOT = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">
<specVersion><major>1</major><minor>0</minor></specVersion>
<device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<friendlyName>A router</friendlyName><manufacturer>Nobody</manufacturer>
<modelName>R</modelName><UDN>uuid:1</UDN>
<deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<friendlyName>WAN</friendlyName><manufacturer>Nobody</manufacturer>
<modelName>W</modelName><UDN>uuid:2</UDN>
<serviceList><service>
<serviceType>urn:schemas-upnp-org:service:{service}:1</serviceType>
<serviceId>urn:upnp-org:serviceId:{service}1</serviceId>
<SCPDURL>/scpd.xml</SCPDURL><controlURL>{control}</controlURL><eventSubURL>/event</eventSubURL>
</service></serviceList>
</device></deviceList>
</device></root>"""

_ARGUMENTS = {
    "AddPortMapping": [
        ("in", "NewRemoteHost", "string"),
        ("in", "NewExternalPort", "ui2"),
        ("in", "NewProtocol", "string"),
        ("in", "NewInternalPort", "ui2"),
        ("in", "NewInternalClient", "string"),
        ("in", "NewEnabled", "boolean"),
        ("in", "NewPortMappingDescription", "string"),
        ("in", "NewLeaseDuration", "ui4"),
    ],
    "DeletePortMapping": [
        ("in", "NewRemoteHost", "string"),
        ("in", "NewExternalPort", "ui2"),
        ("in", "NewProtocol", "string"),
    ],
    "GetExternalIPAddress": [("out", "NewExternalIPAddress", "string")],
}


def _scpd() -> str:
    actions, variables = [], {}
    for action, arguments in _ARGUMENTS.items():
        parts = []
        for direction, name, kind in arguments:
            variables[name[3:]] = kind
            parts.append(
                f"<argument><name>{name}</name><direction>{direction}</direction>"
                f"<relatedStateVariable>{name[3:]}</relatedStateVariable></argument>"
            )
        actions.append(
            f"<action><name>{action}</name><argumentList>{''.join(parts)}</argumentList></action>"
        )
    table = "".join(
        f'<stateVariable sendEvents="no"><name>{name}</name><dataType>{kind}</dataType>'
        "</stateVariable>"
        for name, kind in variables.items()
    )
    return (
        '<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0">'
        "<specVersion><major>1</major><minor>0</minor></specVersion>"
        f"<actionList>{''.join(actions)}</actionList>"
        f"<serviceStateTable>{table}</serviceStateTable></scpd>"
    )


class UpnpRouter:
    """An Internet gateway device. `description` stands in for its own."""

    def __init__(
        self,
        *,
        service: str = "WANIPConnection",
        control: str = "/control",
        description: bytes | None = None,
        taken: Iterable[int] = (),
        only_permanent: bool = False,
        refuses: int = 0,
    ) -> None:
        self.service = service
        self.control = control
        self.description = description
        self.taken = set(taken)
        self.only_permanent = only_permanent
        self.refuses = refuses
        self.entries: dict[Entry, int] = {}
        self.clients: set[str] = set()
        self.calls: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/root.xml"

    async def start(self, host: str = "127.0.0.1") -> UpnpRouter:
        app = web.Application()
        app.router.add_get("/root.xml", self._root)
        app.router.add_get("/scpd.xml", self._scpd)
        app.router.add_post("/control", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _root(self, _: web.Request) -> web.Response:
        if self.description is not None:
            return web.Response(body=self.description, content_type="text/xml")
        text = _ROOT.format(service=self.service, control=self.control)
        return web.Response(text=text, content_type="text/xml")

    async def _scpd(self, _: web.Request) -> web.Response:
        return web.Response(text=_scpd(), content_type="text/xml")

    async def _control(self, request: web.Request) -> web.Response:
        action = request.headers["SOAPAction"].strip('"').rpartition("#")[2]
        body = await request.text()
        given = dict(re.findall(r"<(New\w+)>([^<]*)</New\w+>", body))
        self.calls.append(action)
        answer, code = "", self.refuses
        if action == "GetExternalIPAddress":
            answer, code = f"<NewExternalIPAddress>{OUTSIDE}</NewExternalIPAddress>", 0
        elif not code and action == "AddPortMapping":
            code = self._add(given)
        elif not code and action == "DeletePortMapping":
            found = [
                entry
                for entry in self.entries
                if entry[:2] == (given["NewProtocol"], int(given["NewExternalPort"]))
            ]
            code = 0 if found else 714
            for entry in found:
                del self.entries[entry]
        kind = f"urn:schemas-upnp-org:service:{self.service}:1"
        if code:
            said = (
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>"
                '<detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0">'
                f"<errorCode>{code}</errorCode><errorDescription>No {code}</errorDescription>"
                "</UPnPError></detail></s:Fault>"
            )
        else:
            said = f'<u:{action}Response xmlns:u="{kind}">{answer}</u:{action}Response>'
        envelope = (
            '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
            's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
            f"<s:Body>{said}</s:Body></s:Envelope>"
        )
        return web.Response(text=envelope, status=500 if code else 200, content_type="text/xml")

    def _add(self, given: dict[str, str]) -> int:
        external = int(given["NewExternalPort"])
        lease = int(given["NewLeaseDuration"])
        assert given.get("NewRemoteHost", "") == ""
        if external in self.taken:
            return 718
        if lease and self.only_permanent:
            return 725
        self.clients.add(given["NewInternalClient"])
        self.entries[given["NewProtocol"], external, int(given["NewInternalPort"])] = lease
        return 0
