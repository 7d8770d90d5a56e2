from __future__ import annotations

import contextlib
import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.filter_lists import P2B_MAGIC
from engine.core.ip_filter import IpFilter
from engine.errors import InputError, SourceError, StorageError
from engine.storage import filter_file
from engine.storage.filter_file import keep, kept, read_file, read_list

TEXT = b"""# a list
Some network:1.2.3.0-1.2.3.255
2001:db8::/32
what is this?
N\xe4me:4.4.4.4-4.4.4.4
"""


def _zip(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    "data", [TEXT, gzip.compress(TEXT), _zip(readme=b"hello", list=TEXT)], ids=["text", "gz", "zip"]
)
def test_lists_are_unpacked_and_read(data: bytes) -> None:
    read = read_list(data)
    assert (read.ranges.ipv4_ranges, read.ranges.ipv6_ranges) == (2, 1)
    assert (read.nonsense, read.first_nonsense) == (1, "what is this?")
    assert "1.2.3.4" in read.ranges


def test_p2b_is_known_by_its_beginning() -> None:
    data = P2B_MAGIC + b"\x02name\0" + struct.pack(">II", 0x01020300, 0x010203FF)
    assert "1.2.3.4" in read_list(gzip.compress(data)).ranges


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>please log in</html>\n" * 100,
        gzip.compress(TEXT)[:-9],
        b"\x1f\x8bgarbage",
        b"PK\x03\x04garbage",
        _zip(),
        _zip(empty=b""),
        P2B_MAGIC + b"\x09",
    ],
    ids=["nothing", "html", "half", "no gzip", "no zip", "no file", "empty file", "no P2B"],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_list(data)


@given(st.sampled_from([b"", b"\x1f\x8b\x08", b"PK\x03\x04", P2B_MAGIC]), st.binary())
def test_any_bytes_are_read_or_refused(beginning: bytes, rest: bytes) -> None:
    with contextlib.suppress(InputError):
        assert len(read_list(beginning + rest).ranges)


def test_what_grows_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_file, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="larger than"):
        read_list(gzip.compress(b"1.2.3.4\n" * (1 << 18)))


def test_files_are_read_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list"
    with pytest.raises(SourceError, match="No such file"):
        read_file(str(path))
    path.write_bytes(TEXT)
    assert read_file(str(path)) == TEXT
    monkeypatch.setattr(filter_file, "MAX_LIST_BYTES", len(TEXT) - 1)
    with pytest.raises(SourceError, match="larger than"):
        read_file(str(path))


def test_a_copy_comes_back_for_its_source_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ip-filter"
    assert kept(path, source="one") is None
    keep(path, IpFilter.of(["10.0.0.0/8", "fe80::/10"]), source="one", read_at=12.5)
    copy = kept(path, source="one")
    assert copy is not None
    assert copy.read_at == 12.5
    assert "10.1.1.1" in copy.ranges
    assert "fe80::1" in copy.ranges
    assert kept(path, source="another") is None
    assert os.listdir(path.parent) == ["ip-filter"]


@given(at=st.integers(0, 400), change=st.sampled_from([b"", b"x", b"\0\0"]))
def test_a_damaged_copy_is_none(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: bytes
) -> None:
    path = tmp_path_factory.mktemp("state") / "ip-filter"
    keep(path, IpFilter.of(["10.0.0.0/8", "12.0.0.0/8"]), source="one", read_at=1.0)
    whole = path.read_bytes()
    broken = whole[:at] + change + whole[at + 1 :]
    path.write_bytes(broken)
    copy = kept(path, source="one")
    assert copy is None or len(copy.ranges) == 2


def test_a_copy_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "ip-filter"
    path.mkdir()
    with pytest.raises(StorageError, match="writing"):
        keep(path, IpFilter.of(["10.0.0.0/8"]), source="one", read_at=1.0)
    assert os.listdir(tmp_path) == ["ip-filter"]
