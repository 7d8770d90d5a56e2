"""Lookups in a simulated DHT of 10,000 nodes, of which a fifth has just fallen silent (BEP 5).

    python -m tests.benchmarks.bench_dht_sim [NODES] [LOOKUPS]

Every node is the product's own, and joins by itself; only the clock and the network are simulated.
Ends with status 1 when lookups miss the nearest nodes or take more hops than log2 of the nodes.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Sequence
from random import Random
from statistics import mean

from engine.discovery.dht.node_id import distance
from engine.discovery.dht.purpose import FindNodes
from tests.discovery.dht.simulated_network import SimulatedNetwork

SILENT = 0.2
K = 8
SETTLE_S = 200.0


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _spread(name: str, values: Sequence[float], unit: str = "") -> None:
    figures = (
        f"mean {mean(values):6.2f}  median {_at(values, 0.5):6.2f}  95 % {_at(values, 0.95):6.2f}"
    )
    print(f"  {name:<22} {figures}  most {max(values):6.2f} {unit}")


def build(size: int, rng: Random) -> SimulatedNetwork:
    net = SimulatedNetwork(1)
    for _ in range(size):
        net.add()
    entry_points = list(net.nodes)[:20]
    for number, (endpoint, node) in enumerate(list(net.nodes.items())):
        known = [each for each in rng.sample(entry_points, 3) if each != endpoint]
        node.bootstrap(known, net.now)
        net.settle(endpoint)
        # Everybody comes within a minute, faster than any real network grows.
        net.run(60 / size)
        if sys.stdout.isatty() and number % 100 == 0:
            print(f"\r  {number} of {size} joined", end="", flush=True)
    net.run(SETTLE_S)
    net.events.clear()
    return net


def main(size: int = 10_000, lookups: int = 200) -> int:
    rng = Random(2)
    began = time.perf_counter()
    net = build(size, rng)
    built_s = time.perf_counter() - began
    # Unannounced, so that every routing table is full of them.
    net.silent.update(rng.sample(list(net.nodes), int(SILENT * size)))
    live = [node for endpoint, node in net.nodes.items() if endpoint not in net.silent]
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\r{size} nodes, {SILENT:.0%} of them silent; {lookups} lookups")
    print(
        f"  joined in {built_s:.0f} s with {net.datagrams} datagrams"
        f" ({built_s / net.datagrams * 1e6:.0f} µs each), {mebibytes:.0f} MiB"
    )
    _spread("nodes in a table", [len(node.table) for node in rng.sample(live, 100)])
    hops, queries, durations, exact = [], [], [], []
    for _ in range(lookups):
        target = rng.randbytes(20)
        found = net.lookup(rng.choice(live), FindNodes(target))
        nearest = sorted((node.node_id for node in live), key=lambda each: distance(each, target))
        exact.append(len({contact.id for contact in found.closest} & set(nearest[:K])))
        hops.append(found.hops)
        queries.append(found.queries)
        durations.append(found.duration_s)
    _spread("hops", hops)
    _spread("queries", queries)
    _spread("duration", durations, "s")
    _spread(f"of the {K} nearest found", exact)
    most_hops, fewest_found = math.log2(size), 0.85 * K
    is_good = max(hops) <= most_hops and mean(exact) >= fewest_found
    verdict = "pass" if is_good else "FAIL"
    print(f"  {verdict}: at most {most_hops:.1f} hops, {fewest_found:.1f} of the {K} nearest found")
    return not is_good


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
