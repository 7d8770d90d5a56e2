"""What holds for every test: nothing is left behind, and CI tries the same examples each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.no_bootstrap import NO_BOOTSTRAP
from tests.no_multicast import NO_MULTICAST

# No test knows a node outside, or speaks to the local network: neither in this process nor in
# those that inherit from it.
os.environ |= NO_BOOTSTRAP | NO_MULTICAST

pytest_plugins = ["tests.leaks", "tests.quiet"]

# A busy machine makes everything slow: speed is measured in tests/benchmarks, not judged here.
_quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _quiet)
settings.register_profile("ci", _quiet, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
