"""What the repository must not hold: one machine's paths, hosts of registries, built files."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, assert_none

# In pieces, so that this file does not hold what it looks for.
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "crates" + ".io", "npm" + "js.org")
DISTRIBUTIONS = ("deb." + "debian.org", "archive." + "ubuntu.com", "docker" + ".io", "gh" + "cr.io")
FORBIDDEN = re.compile(
    "|".join(map(re.escape, REGISTRIES + DISTRIBUTIONS))
    + r"|(?<![\w.~/-])/(?:root|work|opt/wheels|Users/\w+)/"
)

BUILT = re.compile(
    r"\.(?:pyc|so|orig|rej|log)$|(?:^|/)(?:\.coverage|\.DS_Store|snapshot_report\.html)$"
)
LARGEST_BYTES = 512 * 1024


@cache
def _tracked() -> tuple[Path, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: no list of the files that belong to the project")
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (Path(name) for name in listing.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if (ROOT / path).is_file())


def test_no_file_names_a_machine_or_a_registry() -> None:
    assert_none(
        f"{path}:{number}: {line.strip()[:100]}"
        for path in _tracked()
        for number, line in enumerate(
            (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1
        )
        if FORBIDDEN.search(line)
    )


def test_nothing_that_is_built_is_tracked() -> None:
    assert_none(str(path) for path in _tracked() if BUILT.search(path.as_posix()))


def test_no_large_files() -> None:
    assert_none(
        f"{path}: {size} bytes"
        for path in _tracked()
        if (size := (ROOT / path).stat().st_size) > LARGEST_BYTES
    )
