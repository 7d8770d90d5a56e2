"""Manifests are what their schedulers take, say the same, and name what the image has."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from engine.settings import KINDS
from tests.commands.rig import ROOT
from tests.seedbox.containers import compose_command

SEEDBOX = ROOT / "seedbox"
KUBERNETES = SEEDBOX / "kubernetes"
VERSION = "1.31"
OVERLAY = KUBERNETES / "shared-tracker"
COMPOSED = (ROOT / "compose.yaml", SEEDBOX / "vpn.yaml", SEEDBOX / "trackers.yaml")
_VARIABLES = {f"SEEDWRIGHT_{key.upper().replace('.', '_')}" for key in KINDS}


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def _kustomization() -> dict[str, Any]:
    (found,) = _documents(KUBERNETES / "kustomization.yaml")
    return found


def _resources() -> list[dict[str, Any]]:
    """Of the base, what the overlay adds, and what it makes of the base."""
    base = [
        each for name in _kustomization()["resources"] for each in _documents(KUBERNETES / name)
    ]
    (overlay,) = _documents(OVERLAY / "kustomization.yaml")
    assert overlay["resources"] == ["..", "valkey.yaml"]
    patched = [_patched(base, patch) for patch in overlay["patches"]]
    return [*base, *_documents(OVERLAY / "valkey.yaml"), *patched]


def _patched(resources: list[dict[str, Any]], patch: dict[str, Any]) -> dict[str, Any]:
    """The one resource that a patch of kustomize is for, patched (RFC 6902: add and replace)."""
    kind, name = patch["target"]["kind"], patch["target"]["name"]
    (found,) = (
        copy.deepcopy(each)
        for each in resources
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    for change in yaml.safe_load(patch["patch"]):
        *path, last = change["path"].split("/")[1:]
        place: Any = found
        for step in path:
            place = place[int(step) if isinstance(place, list) else step]
        if change["op"] == "add" and last == "-":
            place.append(change["value"])
        else:
            assert change["op"] == "replace"
            assert last in place
            place[last] = change["value"]
    return found


def _workloads() -> list[dict[str, Any]]:
    return [each for each in _resources() if each["kind"] in {"StatefulSet", "Deployment"}]


@pytest.mark.parametrize(
    "resource", _resources(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_kubernetes_takes_it(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, VERSION, strict=True)


def test_all_manifests_are_applied() -> None:
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert there == set(_kustomization()["resources"])


def test_the_tag_is_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert [each["newTag"] for each in _kustomization()["images"]] == [version[1]]


@pytest.mark.parametrize("workload", _workloads(), ids=lambda each: each["metadata"]["name"])
def test_nothing_is_allowed_that_is_not_needed(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        allowed = container["securityContext"]
        assert allowed["readOnlyRootFilesystem"] is True
        assert allowed["allowPrivilegeEscalation"] is False
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert "livenessProbe" in container
        assert "readinessProbe" in container


@pytest.mark.parametrize("workload", _workloads(), ids=lambda each: each["metadata"]["name"])
def test_services_reach_their_pods_at_ports_that_are_there(workload: dict[str, Any]) -> None:
    name = workload["metadata"]["name"]
    (service,) = (
        each
        for each in _resources()
        if each["kind"] == "Service" and each["metadata"]["name"] == name
    )
    template = workload["spec"]["template"]
    assert (
        workload["spec"]["selector"]["matchLabels"].items()
        <= template["metadata"]["labels"].items()
    )
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    there = {(port["containerPort"], port.get("protocol", "TCP")) for port in container["ports"]}
    asked = {(port["port"], port.get("protocol", "TCP")) for port in service["spec"]["ports"]}
    assert asked == there


def _said_settings() -> Iterator[str]:
    for literal in _kustomization()["configMapGenerator"][0]["literals"]:
        yield literal.partition("=")[0]
    for path in (SEEDBOX / "stack.yaml", *COMPOSED):
        for service in _documents(path)[0]["services"].values():
            said = service.get("environment", {})
            yield from (name for name in said if name.startswith("SEEDWRIGHT_"))
    for line in (SEEDBOX / "Dockerfile").read_text().splitlines():
        yield from re.findall(r"^\s*(?:ENV )?(SEEDWRIGHT_\w+)=", line)


def test_every_setting_that_is_named_exists() -> None:
    said = set(_said_settings()) - {"SEEDWRIGHT_CONFIG"}
    assert len(said) > 5
    assert said <= _VARIABLES


def test_the_stack_gives_each_task_volumes_of_its_own() -> None:
    (stack,) = _documents(SEEDBOX / "stack.yaml")
    for volume in stack["volumes"].values():
        assert "{{.Task.Slot}}" in volume["name"]
    mounts = stack["services"]["seedbox"]["volumes"]
    assert {each["source"] for each in mounts if "source" in each} == set(stack["volumes"])
    for service in stack["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.skipif(not compose_command(), reason="no docker compose and no docker-compose")
@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.name)
def test_compose_takes_it(path: Path) -> None:
    command = [*compose_command(), "-f", str(path), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", COMPOSED[:2], ids=lambda path: path.name)
@pytest.mark.parametrize("address", [None, "*:9100"])
def test_compose_hands_the_address_of_metrics_on(path: Path, address: str | None) -> None:
    """And nothing where it is not set: an empty variable would win over the configuration file."""
    name = "SEEDWRIGHT_METRICS_LISTEN"
    said = _documents(path)[0]["services"]["seedbox"]["environment"]
    assert said.get(name, "") is None
    if compose := compose_command():
        environ = {key: value for key, value in os.environ.items() if key != name}
        done = subprocess.run(
            [*compose, "-f", str(path), "config"],
            env=environ | ({name: address} if address else {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        (found,) = list(yaml.safe_load_all(done.stdout))
        assert found["services"]["seedbox"]["environment"].get(name) == address


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.name)
def test_nothing_in_a_compose_file_is_allowed_but_a_tunnel(path: Path) -> None:
    services = _documents(path)[0]["services"]
    services.pop("vpn", None)
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_trackers_share_a_valkey_that_nobody_else_reaches() -> None:
    (stack,) = _documents(SEEDBOX / "trackers.yaml")
    services = stack["services"]
    assert stack["networks"]["inside"] == {"internal": True}
    assert services["valkey"]["networks"] == ["inside"]
    assert "ports" not in services["valkey"]
    (url,) = {services[name]["command"][-1] for name in ("tracker-1", "tracker-2")}
    assert url == "valkey://valkey:6379/0"
    (tracker,) = (
        each
        for each in _resources()
        if each["metadata"]["name"] == "tracker"
        and each["kind"] == "Deployment"
        and each["spec"]["replicas"] > 1
    )
    assert tracker["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["--valkey", url]
    ports = [
        each["spec"]["ports"][0]["port"]
        for each in _documents(OVERLAY / "valkey.yaml")
        if each["kind"] == "Service"
    ]
    assert ports == [6379]


def test_behind_a_vpn_there_is_no_way_around() -> None:
    (stack,) = _documents(SEEDBOX / "vpn.yaml")
    side_car, seedbox = stack["services"]["vpn"], stack["services"]["seedbox"]
    assert seedbox["network_mode"] == "service:vpn"
    assert not {"ports", "networks", "dns"} & set(seedbox)
    said = seedbox["environment"]
    assert said["SEEDWRIGHT_NETWORK_INTERFACE"] == side_car["environment"]["VPN_INTERFACE"]
    file = side_car["environment"]["VPN_PORT_FORWARDING_STATUS_FILE"]
    assert said["SEEDWRIGHT_NETWORK_LISTEN_PORT_FILE"] == file
    folder = file.rpartition("/")[0]
    assert f"forwarded:{folder}" in side_car["volumes"]
    assert f"forwarded:{folder}:ro" in seedbox["volumes"]
