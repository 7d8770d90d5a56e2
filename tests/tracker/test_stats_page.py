"""The statistics page: correct, whole without scripts, self-contained, escaped, readable by all."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tracker.stats_page import (
    CONTENT_SECURITY_POLICY,
    TrackerStats,
    duration,
    encode_json,
    render_page,
)
from engine.tracker.swarm_table import SwarmCount

VOID = {"meta", "link", "br", "hr", "img", "input"}


def stats(**changes: object) -> TrackerStats:
    fields: dict[str, object] = {
        "uptime_s": 11_160,
        "torrents": 2,
        "peers": 1_235,
        "seeds": 1_000,
        "leechers": 235,
        "ipv6_peers": 1,
        "downloads": 54_321,
        "http_announces": 7_777,
        "udp_announces": 8_888,
        "http_scrapes": 12,
        "udp_scrapes": 34,
        "refused": 1,
        "ignored": 5,
        "announces_per_minute": [0] * 58 + [40, 3],
        "interval_s": 1800,
        "is_open": True,
        "largest": [SwarmCount(b"\xab" * 20, 999, 234, 17), SwarmCount(b"\xcd" * 20, 1, 1, 0)],
    }
    return TrackerStats(**{**fields, **changes})  # type: ignore[arg-type]


class Page(HTMLParser):
    """Collects elements and text, and checks that tags nest."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_every_figure_is_said_in_text() -> None:
    text = Page(render_page(stats(), ["http://t.example:6969/announce"])).text
    for said in (
        "Running for 3 h 6 min · Open to any torrent",
        "Torrents 2",
        "Seeds 1,000",
        "Leechers 235",
        "Downloads 54,321",
        "43 announces in the last hour; most in one minute 40; this minute 3.",
        "HTTP 7,777 12",
        "UDP 8,888 34",
        "1 request refused, 5 datagrams of something else ignored. 1 of 1,235 peers on IPv6.",
        "ab" * 20 + " 999 234 17 81 %",
        "cd" * 20 + " 1 1 0 50 %",
        "http://t.example:6969/announce",
        "Peers announce every 30 min.",
    ):
        assert said in text


def test_nothing_comes_from_elsewhere() -> None:
    page = render_page(stats(), ["http://t.example/announce"]).decode()
    for tag, attributes in Page(page.encode()).elements:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes, "the policy forbids inline style attributes"
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action"):
            target = attributes.get(name) or ""
            assert not re.match(r"(https?:)?//", target)
    assert "@import" not in page
    assert "url(" not in page


def test_the_policy_allows_exactly_this_style_and_script() -> None:
    page = render_page(stats(), []).decode()
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        content = page.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")


def test_structure_that_assistive_technology_needs() -> None:
    page = Page(render_page(stats(), ["http://t.example/announce"]))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == tags.count("main") == 1
    assert dict(page.elements)["html"] == {"lang": "en"}
    assert "viewport" in [a.get("name") for t, a in page.elements if t == "meta"]
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        if tag == "th":
            assert attributes.get("scope") in {"row", "col"}
        if tag == "section":
            assert attributes["aria-labelledby"] in ids
    assert tags.count("table") == tags.count("caption") == 2
    live = [a["id"] for _, a in page.elements if "data-live" in a]
    assert live == ["running", "totals", "activity", "traffic", "swarms"]


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_both_themes_have_contrast() -> None:
    page = render_page(stats(), []).decode()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in page.split("prefers-")[:2]]
    assert "color-scheme: light dark" in page
    for theme in themes:
        for text in ("ink", "soft", "leech"):
            for ground in ("page", "card"):
                assert _contrast(theme[text], theme[ground]) >= 4.5
        assert _contrast(theme["ink"], theme["code"]) >= 4.5
        for mark in ("seed", "leech", "done"):
            assert _contrast(theme[mark], theme["card"]) >= 3


def test_what_came_from_the_network_is_escaped() -> None:
    page = Page(render_page(stats(), ["http://<script>alert(1)</script>&\"'/announce"]))
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "<script>alert(1)</script>" in page.text


def test_an_empty_and_a_closed_tracker() -> None:
    empty = stats(largest=[], torrents=0, peers=0, seeds=0, leechers=0, downloads=0)
    assert "Nobody has announced yet" in Page(render_page(empty, [])).text
    closed = Page(render_page(stats(largest=None, is_open=False), [])).text
    assert "keeps its torrents to itself" in closed
    assert "Listed torrents only" in closed
    assert "ab" * 20 not in closed


def test_what_does_not_fit_is_counted() -> None:
    assert "And 1 smaller torrent." in Page(render_page(stats(torrents=3), [])).text
    assert "And 98 smaller torrents." in Page(render_page(stats(torrents=100), [])).text


@given(st.lists(st.integers(0, 10**9), min_size=60, max_size=60))
def test_bars_stay_in_the_chart_and_in_proportion(minutes: list[int]) -> None:
    page = Page(render_page(stats(announces_per_minute=minutes), []))
    rects = [a for t, a in page.elements if t == "rect" and a.get("class") in {"bar", "none"}]
    bars = [(float(a["y"] or 0), float(a["height"] or 0)) for a in rects if "y" in a]
    assert len(bars) == 60
    heights = [height for _, height in bars]
    assert all(y >= 0 and abs(y + height - 120) < 0.11 for y, height in bars)
    assert heights[minutes.index(max(minutes))] == max(heights)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (86_399, "23 h 59 min"),
        (86_400 * 40 + 7200, "40 d 2 h"),
    ],
)
def test_durations(seconds: int, said: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == said


def test_json_has_the_same_figures() -> None:
    told = json.loads(encode_json(stats()))
    assert told["seeds"] == 1000
    assert told["announces_per_minute"][-2:] == [40, 3]
    assert told["largest"][0] == {
        "info_hash": "ab" * 20,
        "seeds": 999,
        "leechers": 234,
        "downloads": 17,
    }
    assert json.loads(encode_json(stats(largest=None)))["largest"] is None
