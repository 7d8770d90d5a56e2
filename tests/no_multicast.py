"""What keeps every engine of a test or a benchmark from speaking to its network and its router.

Whoever starts one with an environment of its own must put this into it; tests/test_quiet.py looks
whether it does. In a network that a test made a flag is stronger.
"""

from __future__ import annotations

from typing import Final

NO_MULTICAST: Final = {
    "SEEDWRIGHT_NETWORK_LSD": "false",
    "SEEDWRIGHT_NETWORK_PORT_MAPPING": "false",
}
