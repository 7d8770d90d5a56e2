"""The compose file of a run, and what is left of one that was killed; no engine of containers."""

from __future__ import annotations

from pathlib import Path

from tests.swarm.containers import IMAGE, PYTHON, compose_document, sweep
from tests.swarm.drivers import ROOT, driver_of
from tests.swarm.plan import plan
from tests.swarm.scenario import parse

SCENARIO = parse(
    """
description = "Two kinds of peers"
[role.publisher]
has = "all"
[role.peer]
count = 2
[role.liar]
behaviour = "liar"
""",
    "kinds",
)


def test_members_are_locked_down_and_have_the_addresses_of_the_plan() -> None:
    planned = plan(SCENARIO, block=3)
    folder = Path("/run-of-a-test")
    launches = {m.name: driver_of(m, folder / m.name).launch() for m in planned.members}
    document = compose_document(planned, launches, "swarm-1")
    assert document["networks"]["swarm"]["internal"] is True
    assert document["networks"]["swarm"]["ipam"] == {"config": [{"subnet": "198.18.12.0/22"}]}
    assert set(document["services"]) == {"publisher", "peer-1", "peer-2", "liar"}
    peer = document["services"]["peer-1"]
    assert peer["networks"] == {"swarm": {"ipv4_address": "198.18.12.11"}}
    assert peer["image"] == IMAGE
    assert peer["command"][:4] == [PYTHON, "-P", "-m", "engine"]
    assert peer["cap_drop"] == ["ALL"]
    assert peer["read_only"] is True
    assert peer["volumes"] == [f"{folder}:{folder}"]


def test_only_those_who_misbehave_see_the_tests() -> None:
    planned = plan(SCENARIO)
    launches = {m.name: driver_of(m, Path("/x") / m.name).launch() for m in planned.members}
    services = compose_document(planned, launches, "swarm-1")["services"]
    assert f"{ROOT}:{ROOT}:ro" in services["liar"]["volumes"]
    assert services["liar"]["environment"]["PYTHONPATH"] == str(ROOT)
    assert "PYTHONPATH" not in services["publisher"]["environment"]


def test_a_run_without_containers_leaves_none(tmp_path: Path) -> None:
    sweep(tmp_path)
