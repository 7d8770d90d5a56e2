"""What is typed or dropped becomes a path or a URL, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SourceError
from tui.screens.path_suggester import completion
from tui.source import save_folder, source_of


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/a/b.torrent", Path("/a/b.torrent")),
        ("  /a/b.torrent \n", Path("/a/b.torrent")),
        ("'/a/with space.torrent'", Path("/a/with space.torrent")),
        ('"/a/with space.torrent"', Path("/a/with space.torrent")),
        (r"/a/with\ space.torrent", Path("/a/with space.torrent")),
        ("/a/it's.torrent", Path("/a/it's.torrent")),
        ("/a/two words", Path("/a/two words")),
        ("file:///a/with%20space.torrent", Path("/a/with space.torrent")),
        ("https://host/a b.torrent", "https://host/a b.torrent"),
        ("HTTP://host/x", "HTTP://host/x"),
        (" magnet:?xt=urn:btih:x&dn=a%20b\n", "magnet:?xt=urn:btih:x&dn=a%20b"),
        ("'magnet:?xt=urn:btih:x&dn=y'", "magnet:?xt=urn:btih:x&dn=y"),
        ("MAGNET:?xt=urn:btih:x", "MAGNET:?xt=urn:btih:x"),
    ],
)
def test_sources(typed: str, meant: Path | str) -> None:
    assert source_of(typed) == meant


def test_relative_paths_and_homes_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert source_of("a.torrent") == tmp_path / "a.torrent"
    assert source_of("~/a.torrent") == Path("/home/someone/a.torrent")
    assert save_folder("~/x") == "/home/someone/x"
    assert save_folder("  ") is None


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "http://", "http://[::1/a", "file://[/a", "ftp://host/a", "~no-such-user-x/a"],
)
def test_what_is_no_source_is_refused(typed: str) -> None:
    with pytest.raises(SourceError):
        source_of(typed)


def test_a_folder_that_is_gone_is_no_place_to_start_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SourceError, match="name the whole path"):
        source_of("a.torrent")
    assert source_of("/a.torrent") == Path("/a.torrent")
    assert completion("a", ".torrent") is None


def test_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apples.torrent").touch()
    (tmp_path / "apricots.txt").touch()
    (tmp_path / "art").mkdir()
    (tmp_path / ".hidden.torrent").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert completion(f"{tmp_path}/a", ".torrent") == f"{tmp_path}/apples.torrent"
    assert completion(f"{tmp_path}/ap", None) is None
    assert completion(f"{tmp_path}/a", None) == f"{tmp_path}/art/"
    assert completion("a", ".torrent") == "apples.torrent"
    assert completion("~/ar", ".torrent") == "~/art/"
    assert completion("", ".torrent") == "apples.torrent"
    assert completion(".h", ".torrent") == ".hidden.torrent"
    assert completion(f"{tmp_path}/nowhere/x", ".torrent") is None
    assert completion("\0", ".torrent") is None


def test_a_folder_of_another_machine_is_taken_as_it_is() -> None:
    assert save_folder(" /srv/iso ", is_here=False) == "/srv/iso"
    assert save_folder("", is_here=False) is None
    for text in ("iso", "~/iso"):
        with pytest.raises(SourceError, match="name the whole path"):
            save_folder(text, is_here=False)
