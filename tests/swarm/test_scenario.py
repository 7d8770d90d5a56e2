"""Scenarios as files say them: what is understood, and errors that name the place and guess."""

from __future__ import annotations

import pytest

from tests.swarm import library
from tests.swarm.links import NETS
from tests.swarm.plan import choose, plan
from tests.swarm.scenario import Scenario, ScenarioError, parse

SMALL = """
description = "A test"
[role.publisher]
has = "all"
[role.peer]
count = 4
up = "2.5mbit"
delay = "20ms"
loss = "1%"
[role.peer.settings]
"transfer.upload_slots" = 3
[role.rider]
count = 2
behaviour = "free-rider"
"""


def small(extra: str = "") -> Scenario:
    return parse(SMALL + extra, "small")


@pytest.mark.parametrize("name", library.shipped())
def test_every_shipped_scenario_can_be_planned(name: str) -> None:
    scenario = library.load(name)
    planned = plan(scenario)
    assert len({host.address for host in planned.hosts}) == len(planned.hosts)
    assert len({host.mac for host in planned.hosts}) == len(planned.hosts)
    assert any(member.counts for member in planned.members)


def test_everybody_knows_the_nodes_that_it_joins_the_dht_by() -> None:
    planned = plan(small('[network]\ntracker = "none"\ndht = ["publisher", "rider"]'), block=1)
    publisher, *_, last = planned.members
    assert last.nodes == ("198.18.4.10:6881", "198.18.4.15:6881")
    assert publisher.nodes == ("198.18.4.15:6881", "198.18.4.16:6881")
    assert planned.of(["peer"])[0].nodes == (*last.nodes, "198.18.4.16:6881")
    assert not any(member.nodes for member in plan(small()).members)
    with pytest.raises(ScenarioError, match=r"there is no role 'peers' \(did you mean peer\?\)"):
        small('[network]\ndht = "peers"')


def test_links_come_from_the_net_and_from_the_role() -> None:
    scenario = small()
    publisher, peer, _ = scenario.roles
    assert scenario.link_of(publisher) == NETS["even"].publisher
    link = scenario.link_of(peer)
    assert (link.up, link.down, link.delay_s, link.loss) == (2.5e6, 20e6, 0.02, 0.01)
    assert peer.settings == {"transfer.upload_slots": "3"}
    moved = scenario.in_net("adsl")
    assert moved.link_of(moved.roles[1]) == NETS["adsl"].peer


def test_members_have_names_and_addresses_of_the_network_for_benchmarks() -> None:
    planned = plan(small())
    assert [member.name for member in planned.members][:3] == ["publisher", "peer-1", "peer-2"]
    assert all(member.address.startswith("198.18.") for member in planned.hosts)
    assert planned.announce == "http://198.18.0.2:6969/announce"
    six = plan(small('[network]\nip = 6\ntracker = "udp"'))
    assert six.announce == "udp://[fd53:5750:0::2]:6969/announce"


def test_peers_are_scaled_in_the_proportions_of_their_roles() -> None:
    scaled = small().with_peers(30)
    assert [role.count for role in scaled.roles] == [1, 20, 10]
    with pytest.raises(ScenarioError, match="at least 2"):
        small().with_peers(1)


def test_chosen_members_are_as_many_as_were_asked_for() -> None:
    import random

    members = plan(small()).of(["peer"])
    assert len(choose(members, 0.5, None, random.Random(1))) == 2
    assert len(choose(members, 0.01, None, random.Random(1))) == 1
    assert choose(members, 1.0, 9, random.Random(1)) == members


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("[paylod]\nsize = 1", "no key 'paylod' (did you mean payload?)"),
        ('[payload]\nsize = "x"', "[payload]: size = 'x'"),
        ('[role.a]\nclinet = "aria2"', "[role.a]: there is no key 'clinet' (did you mean client?)"),
        ('[role.a]\nclient = "libtorent"', "did you mean libtorrent?"),
        ('[role.a]\nup = "5 parsec"', "expected a rate"),
        ("[role.a]\nloss = 1.5", "expected a share"),
        ('[role.a.settings]\n"transfer.up_limt" = 1', "did you mean transfer.up_limit?"),
        ('[role.a]\nclient = "aria2"\nbehaviour = "liar"', "only seedwright"),
        ('[[event]]\ndo = "kil"\nat = "1s"', "did you mean kill?"),
        ('[[event]]\ndo = "kill"\nat = "1s"', "kill needs who"),
        ('[[event]]\ndo = "kill"\nwho = "pear"\nat = "1s"', "did you mean peer?"),
        ('[[event]]\ndo = "heal"', "say either at"),
        ('[[event]]\ndo = "heal"\nwhen = "half full"', "half complete"),
        ('[[event]]\ndo = "heal"\nat = "1s"\nback_after = "1s"', "nothing takes heal back"),
        ("[event]\ndo = 1", "two brackets"),
        ("[expect]\nratios = 1", "did you mean ratio?"),
        ("[network]\nip = 5", "ip = 5"),
        ("[", "small: "),
    ],
)
def test_errors_name_the_place(extra: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        small(extra)
    assert said in str(caught.value)
    assert str(caught.value).startswith("small: ")


def test_a_scenario_needs_somebody_who_has_it() -> None:
    with pytest.raises(ScenarioError, match="nothing to get"):
        parse('description = "x"\n[role.peer]\ncount = 2', "none")


def test_an_unknown_scenario_is_an_error_with_a_guess() -> None:
    with pytest.raises(ScenarioError, match="did you mean flash-crowd"):
        library.load("flash-crowds")
