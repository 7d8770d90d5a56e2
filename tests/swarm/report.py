"""What is left of a run: JSON for programs, JUnit XML for CI, a table for the terminal. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any
from xml.etree import ElementTree

from rich.table import Table

from tests.swarm.outcome import MemberOutcome, Outcome, Verdict


def to_json(outcome: Outcome, verdicts: Sequence[Verdict]) -> str:
    scenario = outcome.scenario
    document: dict[str, Any] = {
        "scenario": scenario.name,
        "description": scenario.description,
        "runtime": outcome.runtime,
        "net": scenario.network.net,
        "size_bytes": scenario.payload.size,
        "passed": all(verdict.is_met for verdict in verdicts),
        "figures": figures(outcome),
        "expectations": [verdict._asdict() for verdict in verdicts],
        "notes": outcome.notes,
        "leaks": outcome.leaks,
        "faults": outcome.faults,
        "events": [{"at_s": round(at_s, 2), "what": what} for at_s, what in outcome.events],
        "members": [_member(each) for each in outcome.members],
        "samples": [
            {
                "at_s": round(sample.at_s, 2),
                "wire_bytes": sample.wire,
                "progress": {name: round(share, 4) for name, share in sample.progress.items()},
            }
            for sample in outcome.samples
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def figures(outcome: Outcome) -> dict[str, float | None]:
    """The figures that tell how it went; None where it did not come so far."""
    times = [each.completed_s for each in outcome.awaited if each.completed_s is not None]
    last = outcome.last_s
    return {
        "first_s": _rounded(min(times, default=None)),
        "mean_s": _rounded(fmean(times) if times else None),
        "last_s": _rounded(last),
        "least_s": _rounded(outcome.least_s or None),
        "ratio": _rounded(outcome.ratio),
        "publisher_copies": _rounded(outcome.copies),
        "overhead": _rounded(outcome.overhead if last is not None else None),
        "utilisation": _rounded(outcome.utilisation if last is not None else None),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _member(member: MemberOutcome) -> dict[str, Any]:
    return {
        "name": member.name,
        "role": member.role.name,
        "client": member.role.client,
        "behaviour": member.role.behaviour,
        "link_asked": str(member.link),
        "link_applied": member.applied,
        "joined_s": _rounded(member.joined_s),
        "completed_s": _rounded(member.completed_s),
        "progress": round(member.progress, 4),
        "uploaded_bytes": member.uploaded,
        "wire_sent_bytes": member.wire_sent,
        "identical": member.is_identical,
        "suffered": member.suffered,
        "left": member.has_left,
        "error": member.error,
    }


def to_junit(outcome: Outcome, verdicts: Sequence[Verdict], took_s: float) -> str:
    """One suite for the scenario, one case for each expectation."""
    failed = sum(not verdict.is_met for verdict in verdicts)
    suite = ElementTree.Element(
        "testsuite",
        name=f"swarm.{outcome.scenario.name}",
        tests=str(len(verdicts)),
        failures=str(failed),
        errors="0",
        skipped="0",
        time=f"{took_s:.3f}",
    )
    for verdict in verdicts:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"swarm.{outcome.scenario.name}",
            name=verdict.what,
            time="0",
        )
        if not verdict.is_met:
            ElementTree.SubElement(case, "failure", message=verdict.seen)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def table(outcome: Outcome) -> Table:
    """One line for each role, what they had and how it went for them."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("role")
    for name in ("members", "complete", "first", "mean", "last", "sent"):
        made.add_column(name, justify="right")
    made.add_column("link, as it was made", overflow="fold")
    for name in dict.fromkeys(each.role.name for each in outcome.members):
        members = [each for each in outcome.members if each.role.name == name]
        times = [each.completed_s for each in members if each.completed_s is not None]
        sent = sum(each.uploaded for each in members) / outcome.scenario.payload.size
        is_source = members[0].role.has_all
        made.add_row(
            name,
            str(len(members)),
            "–" if is_source else str(len(times)),
            *(
                f"{each:.1f} s" if times and not is_source else "–"
                for each in (
                    min(times, default=0.0),
                    fmean(times) if times else 0.0,
                    max(times, default=0.0),
                )
            ),
            f"{sent:.2f} copies",
            members[0].applied,
        )
    return made


def summary(outcome: Outcome) -> str:
    """The figures in one line."""
    parts = []
    if outcome.last_s is not None:
        parts.append(f"T_last {outcome.last_s:.1f} s")
    if outcome.ratio is not None:
        parts.append(f"T_last/T_min {outcome.ratio:.2f} (T_min {outcome.least_s:.1f} s)")
    parts.append(f"publisher {outcome.copies:.2f} copies")
    if outcome.last_s is not None:
        parts.append(f"overhead {outcome.overhead:.3f}")
        if outcome.utilisation:
            parts.append(f"utilisation {outcome.utilisation:.2f}")
    return "  ".join(parts)
