"""What keeps every engine of a test or a benchmark off the DHT of the world.

By default an engine looks up the names of public nodes. Whoever starts one with an environment of
its own must put this into it; tests/architecture/test_no_bootstrap.py looks whether it does.
"""

from __future__ import annotations

from typing import Final

NO_BOOTSTRAP: Final = {"SEEDWRIGHT_DHT_BOOTSTRAP": ""}
