"""Other people's BitTorrent clients behind one small protocol, for interop tests.

Each driver runs one client with every way of finding peers off but trackers and being told: no DHT,
no local discovery, no peer exchange, no uTP, no port mapping, plain connections. Drivers wait by
asking with a deadline, never by sleeping a guess.

What the clients cannot do decides how a test is built:

- Transmission throws away peers in 127/8 that a tracker names ("martian"), and has no way to be
  told of a peer. On loopback it seeds to whoever dials it, and leeches only from whoever dials it:
  a seed that dials leechers (libtorrent does, so do we). Between clients that both wait, run the
  test in a network of its own: tests/interop/own_network.py, with addresses of 198.18.0.0/15.
- Transmission decides whom to serve every ten seconds, so a transfer to or from it takes about that
  long however small it is. It makes no file for a file of no bytes, and does not tell HTTP trackers
  that it stops when it is ended.
- aria2 has no way to be told of a peer either, dials nobody once it seeds, and speaks to UDP
  trackers only together with the DHT, so not here.
- A UDP tracker cannot say how soon it may be asked again, and libtorrent then waits a minute: who
  is to be found is announced first, or the tracker is an HTTP one.
- One client of each address is what aria2 and libtorrent expect; the latter is told otherwise here.
"""

from __future__ import annotations

from tests.interop.aria2_client import Aria2Client
from tests.interop.driver import (
    LOOPBACK,
    START_S,
    CannotDialError,
    Client,
    ClientError,
    eventually,
    require,
    running,
)
from tests.interop.libtorrent_client import LibtorrentClient
from tests.interop.transmission_client import TransmissionClient

__all__ = [
    "LOOPBACK",
    "START_S",
    "Aria2Client",
    "CannotDialError",
    "Client",
    "ClientError",
    "LibtorrentClient",
    "TransmissionClient",
    "eventually",
    "require",
    "running",
]
