"""What holds for every test: nothing is left behind, and CI tries the same examples each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.leaks"]

# A busy machine makes everything slow: speed is measured in tests/benchmarks, not judged here.
_quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _quiet)
settings.register_profile("ci", _quiet, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
