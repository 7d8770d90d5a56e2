"""What other nodes say our address is (BEP 42), and when so many agree that it is believed.

One network has one vote: whoever owns many nodes in a place does not move us to another.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from engine.discovery.dht.contact import is_local, network_of

MAX_VOTES = 40
MIN_AGREEING = 5
MAJORITY = 0.6


class AddressVotes:
    def __init__(self) -> None:
        self._votes: OrderedDict[bytes, str] = OrderedDict()
        self.host: str | None = None
        """Our address as most of the others see it; None = not known yet."""

    def vote(self, voter: str, host: str) -> bool:
        """Count what `voter` answered to a query of ours. Returns whether `host` changed."""
        if is_local(host) or is_local(voter):
            return False
        network = network_of(voter)
        self._votes.pop(network, None)
        self._votes[network] = host
        if len(self._votes) > MAX_VOTES:
            self._votes.popitem(last=False)
        if host == self.host:
            return False
        winner, count = Counter(self._votes.values()).most_common(1)[0]
        is_settled = count >= MIN_AGREEING and count >= MAJORITY * len(self._votes)
        if not is_settled or winner == self.host:
            return False
        self.host = winner
        return True
