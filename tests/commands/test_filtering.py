"""`filter`: what is blocked, read again, asked about; through the real command line and engine."""

from __future__ import annotations

from tests.commands.conftest import Run
from tests.commands.rig import Rig, Server


def test_a_list_is_looked_at_asked_about_and_read_again(rig: Rig) -> None:
    source = rig.home / "list.p2p"
    source.write_text("Some network:192.0.2.0-192.0.2.255\nnonsense\n2001:db8::/32\n")
    wishes = (f"filter.source={source}", "filter.allow=192.0.2.7, 10.0.0.0/8")
    engine = rig.daemon("engine", "--set", wishes[0], "--set", wishes[1])
    assert engine.socket is not None
    there = ("--socket", engine.socket)
    assert rig.run("filter", "reload", *there).code == 0
    told = rig.run("filter", "status", "--json", *there).json
    assert (told["ipv4_ranges"], told["ipv6_ranges"], told["nonsense"]) == (1, 1, 1)
    assert told["allow"] == ["192.0.2.7/32", "10.0.0.0/8"]
    said = {
        address: rig.run("filter", "test", address, *there).out.strip()
        for address in ("192.0.2.9", "[2001:DB8::5]", "192.0.2.7", "198.51.100.1")
    }
    assert said == {
        "192.0.2.9": "192.0.2.9 is blocked",
        "[2001:DB8::5]": "2001:db8::5 is blocked",
        "192.0.2.7": "192.0.2.7 is listed, but allowed",
        "198.51.100.1": "198.51.100.1 is not blocked",
    }
    source.write_text("<html>")
    assert rig.run("filter", "reload", *there).is_error(2, "no range of addresses")
    text = rig.run("filter", "status", *there).out
    assert "1 of IPv4, 1 of IPv6" in text
    assert "last error" in text
    assert (rig.home / "engine-state" / "ip-filter").exists()


def test_without_a_list_nobody_is_blocked(run: Run, engine: Server) -> None:
    there = ("--socket", engine.socket)
    assert "nobody is blocked" in run("filter", "status", *there).out
    assert run("filter", "test", "192.0.2.9", *there).out == "192.0.2.9 is not blocked\n"
    assert run("filter", "test", "somebody", *there).is_error(3, "somebody")
    assert run("filter", "reload", *there).is_error(2, "filter.source")
