"""The parts of the benchmark that count, judge and draw; what measures is not tested here."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET  # the only documents parsed are our own
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks import chart, report
from tests.benchmarks.figures import LegResult, Row, spread
from tests.benchmarks.machine import Machine
from tests.benchmarks.targets import TARGETS, judge

MACHINE = Machine(
    taken_at="2026-01-02T03:04:05+00:00",
    processor="Example <Z> & Co",
    cores=2,
    memory_gib=24.0,
    system="Linux 6.1",
    python="3.11.7",
    loop="uvloop 0.22",
    load_before=0.0,
    versions={"seedwright": "0.1.0", "libtorrent": "2.0.11"},
)
RATES = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=9)


def leg(**clients: list[dict[str, float] | None]) -> LegResult:
    rows = {name: Row(name, rounds) for name, rounds in clients.items()}
    return LegResult("download", "1 GiB, tmpfs", ["speed", "cpu", "rss"], rows=rows)


def speeds(*values: float | None) -> list[dict[str, float] | None]:
    return [None if value is None else {"speed": value} for value in values]


@given(RATES)
def test_a_spread_holds_every_value_and_its_middle(values: list[float]) -> None:
    found = spread(values)
    assert found.low <= found.middle <= found.high
    assert sum(value < found.middle for value in values) <= len(values) / 2
    assert sum(value > found.middle for value in values) <= len(values) / 2


def test_ratios_compare_within_a_round_only() -> None:
    result = leg(seedwright=speeds(300, None, 100), libtorrent=speeds(100, 100, 200))
    assert result.ratios("seedwright", "speed") == [3.0, 0.5]
    assert result.ratios("libtorrent", "speed") == [1.0, 1.0, 1.0]
    assert result.ratios("nobody", "speed") == []


def test_a_slow_minute_that_hits_both_leaves_the_ratio_alone() -> None:
    result = leg(seedwright=speeds(130, 13, 130), libtorrent=speeds(100, 10, 100))
    assert spread(result.ratios("seedwright", "speed")).low == pytest.approx(1.3)


@pytest.mark.parametrize(("ours", "is_met"), [(130.0, True), (129.0, False)])
def test_a_target_over_another_client(ours: float, is_met: bool) -> None:
    result = leg(seedwright=speeds(ours), libtorrent=speeds(100.0))
    [verdict] = [v for v in judge(result) if v.target.figure == "speed"]
    assert verdict.is_met is is_met


@pytest.mark.parametrize(("ours", "is_met"), [(64.0, True), (64.1, False)])
def test_a_target_of_its_own(ours: float, is_met: bool) -> None:
    result = leg(seedwright=[{"rss": ours}])
    [verdict] = judge(result)
    assert (verdict.target.figure, verdict.is_met) == ("rss", is_met)


def test_what_was_not_measured_is_not_judged() -> None:
    assert judge(leg(libtorrent=speeds(1.0))) == []
    assert judge(leg(seedwright=[None], libtorrent=speeds(1.0))) == []


def test_every_target_is_of_a_leg_and_a_figure_of_it() -> None:
    legs = pytest.importorskip("tests.benchmarks.__main__").LEGS
    for target in TARGETS:
        assert target.figure in legs[target.leg].figures, target


def test_the_table_tells_numbers_ratios_targets_and_failures() -> None:
    result = leg(seedwright=speeds(100, 150, 110), libtorrent=speeds(100, 100, 100))
    result.row("aria2").rounds = [None, None, None]
    result.row("aria2").failures.append("TimeoutError: too slow")
    result.left_out["transmission"] = "cannot"
    text = report.table([result])
    [line] = [line for line in text.splitlines() if "seedwright" in line]
    assert re.search(r"100\s+110\s+150\s+× 1\.10\s+\(1\.00–1\.50\)\s+✗ ≥ 1\.3 × libtorrent", line)
    assert "aria2: failed: TimeoutError: too slow" in text
    assert "transmission: left out, cannot" in text
    assert "CPU" not in text, "a figure that nobody gave has no lines"


def test_the_summary_warns_of_noise() -> None:
    result = leg(seedwright=speeds(100), libtorrent=speeds(100))
    quiet = report.summary([result], MACHINE)
    assert "0 of 1" in quiet
    assert "download: MB/s is 1.00, not ≥ 1.3 × libtorrent" in quiet
    assert "noise" not in quiet
    loud = Machine(**{**json_of(MACHINE), "others": 0.4})
    assert "noise" in report.summary([result], loud)


def json_of(machine: Machine) -> dict[str, object]:
    found: dict[str, object] = json.loads(report.to_json([], machine, {}))["machine"]
    return found


def test_json_holds_every_round() -> None:
    result = leg(seedwright=speeds(100, None), libtorrent=speeds(50, 50))
    found = json.loads(report.to_json([result], MACHINE, {"runs": 2}))
    [one] = found["legs"]
    assert one["clients"]["seedwright"]["rounds"] == [{"speed": 100.0}, None]
    assert one["clients"]["seedwright"]["ratio"]["speed"]["middle"] == 2.0
    assert one["targets"] == [
        {"figure": "speed", "target": "≥ 1.3 × libtorrent", "value": 2.0, "is_met": True}
    ]
    assert found["machine"]["versions"] == MACHINE.versions
    assert found["settings"] == {"runs": 2}


@given(ours=RATES, theirs=RATES)
def test_a_chart_is_a_document_that_stays_inside_its_frame(
    ours: list[float], theirs: list[float]
) -> None:
    result = leg(seedwright=speeds(*ours), libtorrent=speeds(*theirs), aria2=speeds(*theirs))
    other = replace(result, leg="a <b> & c")
    root = ET.fromstring(chart.draw([result, other], MACHINE))
    height = float(root.attrib["height"])
    for element in root.iter():
        for name in ("x", "x1", "x2"):
            assert 0 <= float(element.attrib.get(name, 0)) <= chart.WIDTH
        for name in ("y", "y1", "y2"):
            assert 0 <= float(element.attrib.get(name, 0)) <= height
        if element.tag.endswith("rect"):
            right = float(element.attrib["x"]) + float(element.attrib["width"])
            assert right <= chart.WIDTH


def test_a_chart_draws_a_bar_for_each_client_that_is_compared() -> None:
    result = leg(seedwright=speeds(140), libtorrent=speeds(100), aria2=speeds(60), rtorrent=[None])
    empty = leg(libtorrent=speeds(100))
    drawn = chart.draw([result, empty], MACHINE)
    assert drawn.count('class="ours"') == 1
    assert drawn.count('class="other"') == 1
    assert "1.40" in drawn
    assert "✓ ≥ 1.3" in drawn
    assert "Example &lt;Z&gt; &amp; Co" in drawn


def test_a_chart_of_nothing_is_still_a_document() -> None:
    ET.fromstring(chart.draw([], MACHINE))


def test_a_chart_has_its_colours_where_nothing_knows_css_variables() -> None:
    drawn = chart.draw([leg(seedwright=speeds(140), libtorrent=speeds(100))], MACHINE)
    assert "var(" not in drawn
    assert "$" not in drawn
    assert drawn.count(".ours { fill: #") == 2  # for light pages and for dark ones
