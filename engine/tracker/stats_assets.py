"""The fixed parts of the statistics page: icon, style, script and the document around the figures.

Kept as text in a module so that the page needs no file beside it. `{{name}}` marks what
stats_page.py fills in. The page's security policy names hashes of the style and the script, so they
stay constant.
"""

from __future__ import annotations

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='8' fill='%23127a52'/%3E"
    "%3Cpath d='M16 26V15m0 2c0-5-3-8-9-8 0 5 3 8 9 8m0-3c0-5 3-7 9-7 0 5-3 7-9 7' fill='none'"
    " stroke='white' stroke-width='2.4' stroke-linecap='round' stroke-linejoin='round'/%3E"
    "%3C/svg%3E"
)

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f4f6f5; --card: #ffffff; --line: #dde3e0; --ink: #18211d; --soft: #55615b;
  --seed: #127a52; --leech: #2b5fc0; --done: #8a5a00; --code: #eef2f0; --focus: #2b5fc0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1412; --card: #171e1b; --line: #2a342f; --ink: #e7eeea; --soft: #9eaca5;
    --seed: #4fce97; --leech: #86aefc; --done: #e6b455; --code: #202925; --focus: #86aefc;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; align-items: center; gap: .9rem; padding-top: 2rem; }
header svg { width: 3rem; height: 3rem; flex: none; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
header p { margin: .15rem 0 0; color: var(--soft); }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 1.25rem; margin: 1.25rem 0;
}
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0 1.25rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 1rem 1.25rem; border-top: 4px solid var(--soft); }
.card.seeds { border-top-color: var(--seed); }
.card.leechers { border-top-color: var(--leech); }
.card.downloads { border-top-color: var(--done); }
dt { font-weight: 600; color: var(--soft); }
dd { margin: 0; }
dd strong { display: block; font-size: 2.1rem; line-height: 1.2; font-weight: 650;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
dd span, .note, .axis { color: var(--soft); font-size: .9rem; }
.note { margin: .75rem 0 0; }
figure { margin: 0; }
figure svg { display: block; width: 100%; height: 8rem; }
.bar { fill: var(--seed); }
.none { fill: var(--line); }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.axis { display: flex; justify-content: space-between; gap: 1rem; margin: .4rem 0 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .9rem; padding-bottom: .4rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { text-align: right; padding: .5rem .6rem; border-bottom: 1px solid var(--line);
  font-weight: 400; white-space: nowrap; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; }
th:first-child { text-align: left; padding-left: 0; }
td:last-child, th:last-child { padding-right: 0; }
tbody tr:last-child > * { border-bottom: 0; }
.share { width: 11rem; }
.share span { display: inline-block; width: 3.2rem; }
.split { width: 6rem; height: .5rem; border-radius: 4px; vertical-align: middle; }
.have { fill: var(--seed); }
.rest { fill: var(--leech); }
.scroll { overflow-x: auto; }
code { font: .875rem/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; }
.urls { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
.urls code { display: block; background: var(--code); border-radius: 8px; padding: .55rem .8rem;
  overflow-wrap: anywhere; user-select: all; }
.pair { display: grid; grid-template-columns: 1fr; gap: 1.25rem; margin: 1.25rem 0; }
.pair section { margin: 0; }
@media (max-width: 40rem) {
  .scroll tbody th { white-space: normal; overflow-wrap: anywhere; min-width: 10rem; }
  .scroll .share { display: none; }
}
@media (min-width: 46rem) { .pair { grid-template-columns: 1fr 1fr; } }
footer { padding-bottom: 2.5rem; color: var(--soft); font-size: .9rem; }
a { color: var(--leech); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; border-radius: 4px; }
@media (forced-colors: active) {
  .bar, .have { fill: CanvasText; } .rest, .none { fill: GrayText; }
}
"""

SCRIPT = """
setInterval(async () => {
  if (document.hidden || !getSelection().isCollapsed) return;
  const status = document.getElementById('status');
  try {
    const reply = await fetch(location.href, {cache: 'no-store'});
    if (!reply.ok) throw new Error(reply.status);
    const fresh = new DOMParser().parseFromString(await reply.text(), 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const next = fresh.getElementById(part.id);
      if (next && next.innerHTML !== part.innerHTML && !part.contains(document.activeElement))
        part.innerHTML = next.innerHTML;
    }
    status.textContent = 'These figures refresh every five seconds.';
  } catch {
    status.textContent = 'The tracker does not answer; these are the last figures.';
  }
}, 5000);
"""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>seedwright tracker</title>
<link rel="icon" href="{{icon}}">
<style>{{style}}</style>
</head>
<body>
<header>
<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" fill="#127a52"/>
<path d="M16 26V15m0 2c0-5-3-8-9-8 0 5 3 8 9 8m0-3c0-5 3-7 9-7 0 5-3 7-9 7" fill="none"
 stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>
<div><h1>seedwright tracker</h1>
<p id="running" data-live>Running for {{uptime}} · {{access}}</p></div>
</header>
<main>
<h2 class="hidden">Totals</h2>
<dl id="totals" data-live>{{cards}}</dl>
<section aria-labelledby="activity-title">
<h2 id="activity-title">Announces per minute</h2>
<figure id="activity" data-live>{{chart}}</figure>
</section>
<div class="pair">
<section aria-labelledby="urls-title">
<h2 id="urls-title">Use this tracker</h2>
<ul class="urls">{{urls}}</ul>
<p class="note">Put one of these into a torrent. Peers announce every {{interval}}.</p>
</section>
<section aria-labelledby="traffic-title">
<h2 id="traffic-title">Requests</h2>
<div id="traffic" data-live>{{traffic}}</div>
</section>
</div>
<section aria-labelledby="swarms-title">
<h2 id="swarms-title">Largest swarms</h2>
<div id="swarms" data-live>{{swarms}}</div>
</section>
</main>
<footer><p><span id="status">Reload the page for fresh figures.</span>
For programs: <a href="stats.json">stats.json</a></p></footer>
<script>{{script}}</script>
</body>
</html>
"""
