"""What others say our address is (BEP 10, 24, 42), and when so many agree that it is believed.

One network has one vote: whoever owns many nodes in a place does not move us to another.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from engine.core.scope import is_local, network_of

MAX_VOTES = 40
MIN_AGREEING = 5
MAJORITY = 0.6


class AddressVotes:
    """Of one family: whoever has both addresses has two of these."""

    def __init__(self, *, min_agreeing: int = MIN_AGREEING) -> None:
        self._min_agreeing = min_agreeing
        self._votes: OrderedDict[bytes, str] = OrderedDict()
        self.host: str | None = None
        """Our address as most of the others see it; None = not known yet."""

    def vote(self, voter: str, host: str) -> bool:
        """Count what `voter`, an address or the name of a server, says that it sees us at. Returns
        whether `host` changed."""
        network = _owner_of(voter)
        if is_local(host) or network is None:
            return False
        self._votes.pop(network, None)
        self._votes[network] = host
        if len(self._votes) > MAX_VOTES:
            self._votes.popitem(last=False)
        if host == self.host:
            return False
        winner, count = Counter(self._votes.values()).most_common(1)[0]
        is_settled = count >= self._min_agreeing and count >= MAJORITY * len(self._votes)
        if not is_settled or winner == self.host:
            return False
        self.host = winner
        return True


def _owner_of(voter: str) -> bytes | None:
    """Who has one vote; None has none."""
    try:
        return None if is_local(voter) else network_of(voter)
    except OSError:
        return voter.encode()
