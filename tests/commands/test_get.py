"""`get`: downloads from a real `seed`, verifies, resumes, and says why when it cannot."""

from __future__ import annotations

import asyncio
import http.server
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import Content, Rig, publish, until


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return publish(tmp_path, sizes={"a.bin": 2_000_000, "sub/b.bin": 300_001, "sub/empty": 0})


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server for the files in tmp_path."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_downloads_from_a_named_peer_and_exits(rig: Rig, content: Content, web: str) -> None:
    seed, address = rig.seed(content.torrent, content.folder)
    port = address.rpartition(":")[2]
    target = rig.home / "downloads"
    done = rig.run("get", content.torrent, "-o", target, "--peer", f"localhost:{port}")
    assert (done.code, done.err) == (0, "")
    assert f"complete and verified: {target / content.name}; 2.19 MiB received" in done.out
    assert content.is_at(target)

    again = rig.run("get", content.torrent, "-o", target)
    assert again.code == 0
    assert "nothing was missing" in again.out

    (target / content.name / "a.bin").write_bytes(b"spoilt")
    repaired = rig.run("get", f"{web}/cargo.torrent", "-o", target, "--peer", address)
    assert repaired.code == 0
    assert content.is_at(target)
    assert seed.end().code == 0


def test_finds_peers_through_the_torrents_tracker(rig: Rig, tmp_path: Path) -> None:
    tracker = rig.begin("tracker", "--udp", "127.0.0.1:0")
    url = tracker.wait_for("announce to ").split("announce to ")[1].split()[0]
    content = publish(tmp_path, tracker=url)
    rig.seed(content.torrent, content.folder, "--isolated")
    done = rig.run("get", content.torrent, "--isolated", "--listen", "127.0.0.1:0")
    assert done.code == 0, done
    assert content.is_at(rig.home)


def test_encryption_is_as_both_sides_are_told(rig: Rig, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder, "--encryption", "required")
    got = ("get", content.torrent, "--peer", address, "--encryption", "preferred")
    assert rig.run(*got).code == 0
    assert content.is_at(rig.home)
    wrong = rig.run(*got[:-1], "perhaps")
    assert wrong.is_error(2, "--encryption")
    assert wrong.is_error(2, "disabled, allowed, preferred, required")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_loses_nothing(rig: Rig, content: Content, number: signal.Signals) -> None:
    _, address = rig.seed(content.torrent, content.folder, "--up-limit", "1MiB/s")
    get = rig.begin("get", content.torrent, "--peer", address)
    path = rig.home / content.name / "a.bin"
    until(lambda: path.exists() and any(path.read_bytes()))
    ended = get.end(number)
    assert ended.is_error(130, "stopped at ", "run the same command again to go on")
    assert not content.is_at(rig.home)

    done = rig.run("get", content.torrent, "--peer", address, "--set", "transfer.down_limit=0")
    assert done.code == 0
    assert content.is_at(rig.home)
    assert "2.19 MiB received" not in done.out


def test_goes_on_seeding_when_told(rig: Rig, content: Content) -> None:
    seed, address = rig.seed(content.torrent, content.folder)
    get = rig.begin("get", content.torrent, "--peer", address, "--seed")
    get.wait_for("complete and verified")
    assert get.process.poll() is None
    assert seed.end().code == 0
    ended = get.end(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")


def test_a_specific_listen_address_must_be_free(rig: Rig, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder)
    said = ("cannot listen on 127.0.0.1", "in use", "without --listen a free one is taken")
    assert rig.run("get", content.torrent, "--listen", address).is_error(2, *said)
    data = ("--data", content.folder)
    assert rig.run("seed", content.torrent, *data, "--listen", address).is_error(2, *said)


def test_the_port_of_the_setting_is_the_daemons(rig: Rig, content: Content) -> None:
    _, address = rig.seed(content.torrent, content.folder)
    setting = {"SEEDWRIGHT_NETWORK_LISTEN": address}
    done = rig.run("get", content.torrent, "--peer", address, environ=setting)
    assert done.code == 0, done


def test_what_cannot_be_read_is_one_line(
    run: Run, content: Content, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("engine.net.loop.run", asyncio.run)  # uvloop keeps a pipe for ever
    Path("bad.torrent").write_bytes(b"d4:infod6:lengthi-1eee")
    Path("no.torrent").write_bytes(b"\x1b[31mhello")
    assert run("get", "absent.torrent").is_error(2, "absent.torrent: No such file")
    assert run("get", "bad.torrent").is_error(2, "bad.torrent")
    assert run("get", "no.torrent").is_error(2, "no.torrent")
    assert run("get", f"{web}/absent.torrent").is_error(2, "404")
    assert run("get", "http://127.0.0.1:9/x.torrent").is_error(2, "127.0.0.1:9")
    assert run("get", "magnet:?xt=urn:btih:00").is_error(2, "magnet")
    assert run("get", content.torrent, "--peer", "nowhere").is_error(2, "HOST:PORT")
    assert run("get", content.torrent, "--peer", "x.invalid:1").is_error(2, "x.invalid")
    assert run("get", content.torrent, "--down-limit", "fast").is_error(2, "--down-limit")
    assert run("get", content.torrent, "--set", "a.b=c").is_error(2, "a.b")
    assert run("get", content.torrent, "--config", "no.toml").is_error(2, "no.toml")


def test_a_folder_that_cannot_be_written_is_the_storages_fault(rig: Rig, content: Content) -> None:
    (rig.home / "taken").write_text("a file")
    done = rig.run("get", content.torrent, "-o", rig.home / "taken")
    assert done.is_error(5, "taken")


def test_what_is_in_the_way_is_named_before_anybody_is_asked(rig: Rig, content: Content) -> None:
    target = rig.home / "target"
    place = target / content.name / "sub" / "b.bin"
    place.mkdir(parents=True)
    refused = rig.run("get", content.torrent, "-o", target, "--isolated")
    assert refused.is_error(5, f" {place}: a folder stands where a file should be")
    place.rmdir()
    place.parent.rmdir()
    place.parent.write_bytes(b"mine")
    refused = rig.run("get", content.torrent, "-o", target, "--isolated")
    assert refused.is_error(5, f" {place.parent}: a file stands where a folder should be")


@pytest.mark.parametrize("below", ["", "sub/deeper"])
def test_a_file_in_the_way_of_the_folder_is_named(rig: Rig, content: Content, below: str) -> None:
    file = rig.home / "FILE"
    file.write_bytes(b"mine")
    refused = rig.run("get", content.torrent, "-o", file / below)
    assert refused.is_error(5, f" {file}: a file stands where a folder should be")
    assert file.read_bytes() == b"mine"
