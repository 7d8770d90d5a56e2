"""The law, the verdicts and the reports, on outcomes made by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tests.swarm import law, picture, report
from tests.swarm.links import NETS, Link
from tests.swarm.live import progress_line
from tests.swarm.outcome import MemberOutcome, Outcome, Sample, judge
from tests.swarm.plan import plan
from tests.swarm.quantities import bits_per_s, rate_text, seconds, share
from tests.swarm.scenario import Expect, Payload, Scenario, parse
from tests.swarm.shaping import applied, loss_table, qdiscs

MIB = 1 << 20
SCENARIO = parse(
    """
description = "Four <peers> & a publisher"
[role.publisher]
has = "all"
[role.peer]
count = 3
[role.rider]
behaviour = "free-rider"
""",
    "made",
)


def outcome(expect: Expect, times: tuple[float | None, ...] = (40.0, 50.0, 60.0, 75.0)) -> Outcome:
    scenario = replace(SCENARIO, expect=expect)
    made = Outcome(scenario, "netns", [])
    for member in plan(scenario).members:
        assert member.role is not None
        made.members.append(MemberOutcome(member.name, member.role, member.link, "tbf"))
    source, *peers = made.members
    source.uploaded, source.wire_sent = 48 * MIB, 52 * MIB
    for peer, took in zip(peers, times, strict=True):
        peer.joined_s, peer.completed_s = 0.0, took
        peer.progress = 1.0 if took else 0.25
        peer.is_identical = True if took else None
        peer.wire_sent = 30 * MIB
    made.samples = [
        Sample(0.0, {m.name: 0.0 for m in peers}, 0),
        Sample(30.0, {m.name: 0.4 for m in peers}, 80 * MIB),
    ]
    made.events = [(12.5, "kill peer-1")]
    return made


def test_the_law_gives_the_times_that_were_measured_against() -> None:
    size = 32 * MIB
    for peers, expected in ((10, 44.7), (40, 51.1)):
        found = law.least_time_s(size, [10e6], [5e6] * peers, [20e6] * peers)
        assert found == pytest.approx(expected, abs=0.06)
    assert law.least_time_s(size, [10e6], [5e6] * 7, [20e6] * 10) == pytest.approx(59.7, abs=0.1)
    assert law.least_time_s(size, [0.0], [0.0], [0.0]) == 0.0
    assert law.least_time_s(size, [1e9], [1e9], [8e6]) == pytest.approx(size / 1e6)


def test_overhead_over_utilisation_is_the_ratio() -> None:
    size, ups = 32 * MIB, [10e6, 5e6, 5e6]
    wire, last = 90 * MIB, 50.0
    least = law.least_time_s(size, ups[:1], ups[1:], [20e6] * 2)
    ratio = law.overhead(wire, size, 2) / law.utilisation(wire, ups, last)
    assert last / least == pytest.approx(ratio)


def test_expectations_that_are_met() -> None:
    expect = Expect(complete_by_s=80.0, publisher_copies=1.5, ratio=9.0, riders_slower=1.5)
    verdicts = judge(outcome(expect))
    assert [verdict.is_met for verdict in verdicts] == [True] * 7
    assert verdicts[-1].seen == "75.0 s / 50.0 s = 1.50"


@pytest.mark.parametrize(
    "expect",
    [
        Expect(complete_by_s=70.0),
        Expect(publisher_copies=1.4),
        Expect(ratio=1.0),
        Expect(riders_slower=1.6),
        Expect(recovered=True),
        Expect(never=("rider",)),
    ],
)
def test_expectations_that_are_not_met(expect: Expect) -> None:
    assert sum(not verdict.is_met for verdict in judge(outcome(expect))) == 1


def test_whoever_is_not_complete_is_named() -> None:
    verdict = judge(outcome(Expect(), (40.0, None, 60.0, 75.0)))[0]
    assert not verdict.is_met
    assert verdict.seen == "3 of 4; not peer-2 (25%)"


def test_a_wrong_file_a_leak_and_a_traceback_are_failures() -> None:
    made = outcome(Expect(no_leak=True))
    made.faults = ["peer-3"]
    made.members[2].is_identical = False
    made.leaks = ["peer-1: info-hash told to the DHT"]
    met = {verdict.what: verdict.is_met for verdict in judge(made)}
    assert met == {
        "everybody complete": True,
        "no traceback in a log": False,
        "identical": False,
        "nothing leaks": False,
    }


def test_who_left_for_good_is_not_waited_for() -> None:
    made = outcome(Expect(), (40.0, None, 60.0, 75.0))
    made.members[2].has_left = True
    assert judge(made)[0].is_met


def test_reports_can_be_read_by_programs() -> None:
    made = outcome(Expect(complete_by_s=70.0))
    verdicts = judge(made)
    document = json.loads(report.to_json(made, verdicts))
    assert document["figures"]["last_s"] == 75.0
    assert document["figures"]["publisher_copies"] == 1.5
    assert document["passed"] is False
    suite = ElementTree.fromstring(report.to_junit(made, verdicts, 80.0))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    drawn = ElementTree.fromstring(picture.draw(made))
    lines = [each for each in drawn.iter() if each.tag.endswith("polyline")]
    assert len(lines) == 4
    assert "3 of 4" not in progress_line(made, 30.0)


def test_the_table_has_a_line_for_each_role() -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(report.table(outcome(Expect())))
    text = console.export_text()
    for role in ("publisher", "peer", "rider"):
        assert role in text


def test_a_run_that_was_hardly_begun_can_be_reported() -> None:
    scenario = Scenario(name="n", description="d", payload=Payload(), roles=SCENARIO.roles)
    made = Outcome(scenario, "netns", [])
    made.problem = "the tracker does not start"
    verdicts = judge(made)
    assert not verdicts[0].is_met
    report.to_json(made, verdicts)
    ElementTree.fromstring(picture.draw(made))


def test_quantities() -> None:
    assert bits_per_s("2.5mbit") == 2.5e6
    assert rate_text(2.5e6) == "2.5mbit"
    assert bits_per_s("unlimited") == 0.0
    assert seconds("15ms") == 0.015
    assert share("2%") == share(0.02)


def test_a_link_is_made_of_tc_and_iptables() -> None:
    link = Link(up=5e6, down=20e6, delay_s=0.02, jitter_s=0.005, loss=0.01)
    assert qdiscs("eth0", link.up, link, netem=False) == [
        "qdisc add dev eth0 root tbf rate 5000000bit burst 3125 latency 200ms"
    ]
    with_netem = qdiscs("eth0", link.up, link, netem=True)
    assert with_netem[0] == "qdisc add dev eth0 root handle 1: netem delay 20ms 5ms limit 20000"
    assert with_netem[1].startswith("qdisc add dev eth0 parent 1: handle 10: tbf rate 5000000bit")
    assert "delay line" in applied(link, netem=False)
    assert qdiscs("eth0", 0.0, NETS["lan"].peer, netem=False) == []


def test_packets_are_lost_on_arrival_at_both_ends() -> None:
    scenario = parse(
        'description = "x"\n[role.publisher]\nhas = "all"\n[role.peer]\nloss = "2%"', "lossy"
    )
    planned = plan(scenario)
    source, peer = planned.members
    rule = "-m statistic --mode random --probability 0.020000 -j DROP"
    assert f"-A INPUT -i eth0 {rule}" in loss_table(peer, planned.hosts)
    assert f"-A INPUT -i eth0 -s {peer.address} {rule}" in loss_table(source, planned.hosts)
    assert loss_table(peer, [peer]).count("DROP") == 1
