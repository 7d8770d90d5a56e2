"""The tracker's statistics as a page for people and as JSON for programs.

Invariant: the page is one document without any outside resource, says everything without scripts,
and holds nothing unescaped that came from the network. Its script only fetches the page again and
swaps the parts that changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

from engine.tracker.stats_assets import ICON, SCRIPT, STYLE, TEMPLATE
from engine.tracker.swarm_table import SwarmCount

_CHART_WIDTH = 600
_CHART_HEIGHT = 120
_BAR_GAP = 2
_NBSP = "\u00a0"


def _csp_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_csp_hash(STYLE)}; script-src {_csp_hash(SCRIPT)}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class TrackerStats:
    """One moment of a tracker."""

    uptime_s: int
    torrents: int
    """With at least one peer."""
    peers: int
    seeds: int
    leechers: int
    ipv6_peers: int
    downloads: int
    """Completed since the start."""
    http_announces: int
    udp_announces: int
    http_scrapes: int
    udp_scrapes: int
    refused: int
    """Requests answered with a failure."""
    ignored: int
    """Datagrams that were nothing of the protocol."""
    announces_per_minute: Sequence[int]
    """The last hour, oldest first; the last is the running minute."""
    interval_s: int
    is_open: bool
    """Whether any torrent may be announced."""
    largest: Sequence[SwarmCount] | None
    """The swarms with the most peers; None where the tracker keeps them to itself."""


def encode_json(stats: TrackerStats) -> bytes:
    """Write the statistics as one JSON object with the fields of TrackerStats."""
    fields = asdict(stats)
    if stats.largest is not None:
        fields["largest"] = [
            {
                "info_hash": swarm.info_hash.hex(),
                "seeds": swarm.seeds,
                "leechers": swarm.leechers,
                "downloads": swarm.downloads,
            }
            for swarm in stats.largest
        ]
    return json.dumps(fields, indent=2).encode() + b"\n"


def render_page(stats: TrackerStats, announce_urls: Sequence[str]) -> bytes:
    """Write the page; `announce_urls` are what people put into torrents."""
    parts = {
        "icon": ICON,
        "style": STYLE,
        "script": SCRIPT,
        "uptime": duration(stats.uptime_s),
        "access": "Open to any torrent" if stats.is_open else "Listed torrents only",
        "cards": _cards(stats),
        "chart": _chart(stats.announces_per_minute),
        "traffic": _traffic(stats),
        "swarms": _swarms(stats),
        "urls": "".join(f"<li><code>{escape(url)}</code></li>" for url in announce_urls),
        "interval": duration(stats.interval_s),
    }
    page = TEMPLATE
    for name, value in parts.items():
        page = page.replace("{{" + name + "}}", value)
    return page.encode()


def duration(seconds: int) -> str:
    """Say a time span in its two largest units: `3 h 5 min`."""
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for at, (size, unit) in enumerate(units):
        if seconds >= size or size == 1:
            rest = (seconds % size) // units[at + 1][0] if size > 1 else 0
            more = f" {rest}{_NBSP}{units[at + 1][1]}" if rest else ""
            return f"{seconds // size}{_NBSP}{unit}{more}"
    raise AssertionError("seconds is the last unit")


def _number(value: int) -> str:
    return f"{value:,}"


def _cards(stats: TrackerStats) -> str:
    """A definition list: label and figure of each total."""
    cards = (
        ("torrents", "Torrents", stats.torrents, "with at least one peer"),
        ("seeds", "Seeds", stats.seeds, "have everything"),
        ("leechers", "Leechers", stats.leechers, "still downloading"),
        ("downloads", "Downloads", stats.downloads, "completed since start"),
    )
    return "".join(
        f'<div class="card {kind}"><dt>{label}</dt><dd><strong>{_number(value)}</strong>'
        f"<span>{note}</span></dd></div>"
        for kind, label, value, note in cards
    )


def _chart(minutes: Sequence[int]) -> str:
    """Bars of announces per minute, and the same in words for who does not see them."""
    most = max(minutes)
    top = _round_up(most)
    step = _CHART_WIDTH / len(minutes)
    bars = []
    for at, count in enumerate(minutes):
        ago = len(minutes) - 1 - at
        when = "this minute" if not ago else f"{ago} min ago"
        height = max(2.0, count / top * _CHART_HEIGHT) if count else 1.0
        bars.append(
            f'<rect class="{"bar" if count else "none"}" x="{at * step:.1f}"'
            f' y="{_CHART_HEIGHT - height:.1f}" width="{step - _BAR_GAP:.1f}"'
            f' height="{height:.1f}" rx="1.5"><title>{when}: {_number(count)}</title></rect>'
        )
    total = sum(minutes)
    words = (
        f"{_number(total)} announces in the last hour; most in one minute {_number(most)}; "
        f"this minute {_number(minutes[-1])}."
    )
    return (
        f'<svg viewBox="0 -4 {_CHART_WIDTH} {_CHART_HEIGHT + 4}" role="img"'
        f' aria-label="Announces per minute. {words}" preserveAspectRatio="none">'
        f'<line class="grid" x1="0" x2="{_CHART_WIDTH}" y1="0" y2="0"/>'
        f'<line class="grid" x1="0" x2="{_CHART_WIDTH}" y1="{_CHART_HEIGHT / 2:g}"'
        f' y2="{_CHART_HEIGHT / 2:g}"/>'
        f'{"".join(bars)}</svg><p class="axis"><span>59 min ago</span>'
        f"<span>top line: {_number(top)} per minute</span><span>now</span></p>"
        f'<p class="note">{words}</p>'
    )


def _round_up(value: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, … so that the scale is readable."""
    size = 1
    while True:
        for step in (1, 2, 5):
            if value <= step * size:
                return step * size
        size *= 10


def _traffic(stats: TrackerStats) -> str:
    rows = (
        ("HTTP", stats.http_announces, stats.http_scrapes),
        ("UDP", stats.udp_announces, stats.udp_scrapes),
    )
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{_number(announces)}</td>'
        f"<td>{_number(scrapes)}</td></tr>"
        for name, announces, scrapes in rows
    )
    return (
        "<table><caption>Answered since the start</caption><thead><tr>"
        '<th scope="col">Protocol</th><th scope="col">Announces</th><th scope="col">Scrapes</th>'
        f"</tr></thead><tbody>{body}</tbody></table>"
        f'<p class="note">{_count(stats.refused, "request")} refused, '
        f"{_count(stats.ignored, 'datagram')} of something else ignored. "
        f"{_number(stats.ipv6_peers)} of {_count(stats.peers, 'peer')} on IPv6.</p>"
    )


def _count(value: int, noun: str) -> str:
    return f"{_number(value)} {noun}{'' if value == 1 else 's'}"


def _swarms(stats: TrackerStats) -> str:
    if stats.largest is None:
        return '<p class="note">This tracker keeps its torrents to itself.</p>'
    if not stats.largest:
        return (
            '<p class="note">Nobody has announced yet. Put an address from above into a torrent,'
            " open it in a client, and it appears here.</p>"
        )
    rows = "".join(_swarm_row(swarm) for swarm in stats.largest)
    hidden = stats.torrents - len(stats.largest)
    more = f'<p class="note">And {_count(hidden, "smaller torrent")}.</p>' if hidden > 0 else ""
    return (
        '<div class="scroll" role="region" aria-label="Largest swarms" tabindex="0">'
        '<table><caption class="hidden">Swarms with the most peers</caption><thead><tr>'
        '<th scope="col">Info-hash</th><th scope="col">Seeds</th><th scope="col">Leechers</th>'
        '<th scope="col">Downloads</th><th scope="col" class="share">Share of seeds</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>{more}"
    )


def _swarm_row(swarm: SwarmCount) -> str:
    peers = swarm.seeds + swarm.leechers
    share = round(100 * swarm.seeds / peers) if peers else 0
    bar = (
        '<svg class="split" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{"rest" if peers else "none"}" width="100" height="8"/>'
        f'<rect class="have" width="{share}" height="8"/></svg>'
    )
    return (
        f'<tr><th scope="row"><code>{swarm.info_hash.hex()}</code></th>'
        f"<td>{_number(swarm.seeds)}</td><td>{_number(swarm.leechers)}</td>"
        f'<td>{_number(swarm.downloads)}</td><td class="share">{bar}'
        f"<span>{f'{share}{_NBSP}%' if peers else '–'}</span></td></tr>"
    )
