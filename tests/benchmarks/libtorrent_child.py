"""libtorrent in a process of its own: commands as JSON lines in, events as JSON lines out.

    python -m tests.benchmarks.libtorrent_child fast|utp|default [rc4]

`fast` is what we found to be its best over loopback (see README.md, traps), `utp` the same without
TCP, `default` what it does when told nothing; with `rc4` it speaks encrypted and nothing else. Its
events are those of engine_child.py, made from alerts, so that nothing polls while it is measured;
the noisy kinds of alerts are switched off once the first has come.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import libtorrent as lt

QUIET: dict[str, Any] = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "out_enc_policy": int(lt.enc_policy.pe_disabled),
    "in_enc_policy": int(lt.enc_policy.pe_enabled),
    "allow_multiple_connections_per_ip": True,
    "ssrf_mitigation": False,
    "connections_limit": 8000,
    "alert_queue_size": 100_000,
}
FAST: dict[str, Any] = {
    **lt.high_performance_seed(),
    "max_queued_disk_bytes": 256 << 20,
    "max_out_request_queue": 1500,
    "max_allowed_in_request_queue": 20_000,
    "send_buffer_watermark": 8 << 20,
    "send_buffer_low_watermark": 1 << 20,
    "aio_threads": 4,
    "hashing_threads": 2,
    "suggest_mode": 0,
    "unchoke_slots_limit": -1,
}
UTP: dict[str, Any] = {
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    # With the system's own it is 30 times slower.
    "recv_socket_buffer_size": 4 << 20,
    "send_socket_buffer_size": 4 << 20,
}
RC4: dict[str, Any] = {
    "out_enc_policy": int(lt.enc_policy.pe_forced),
    "in_enc_policy": int(lt.enc_policy.pe_forced),
    "allowed_enc_level": int(lt.enc_level.pe_rc4),
    "prefer_rc4": True,
}
_CATEGORY = lt.alert.category_t
STATUS = int(
    _CATEGORY.error_notification | _CATEGORY.status_notification | _CATEGORY.storage_notification
)
NOISY = STATUS | int(_CATEGORY.block_progress_notification | _CATEGORY.upload_notification)
_DONE = (lt.torrent_status.states.seeding, lt.torrent_status.states.finished)


def tell(event: str, **details: Any) -> None:
    os.write(1, json.dumps({"event": event, "at": time.monotonic(), **details}).encode() + b"\n")


class Child:
    """One session and the two threads that serve it."""

    def __init__(self, profile: str, *more: str) -> None:
        best = {} if profile == "default" else FAST
        carried = UTP if profile == "utp" else {}
        settings = {**best, **QUIET, **carried, "alert_mask": NOISY}
        if "rc4" in more:
            settings |= RC4
        self._session = lt.session(settings)
        self._handles: dict[str, Any] = {}
        self._seeding: set[str] = set()
        self._is_noisy = True

    def run(self) -> None:
        while not self._session.listen_port():
            time.sleep(0.001)
        tell("ready", port=self._session.listen_port(), torrents=0)
        threading.Thread(target=self._serve, daemon=True).start()
        while True:
            self._session.wait_for_alert(1000)
            for alert in self._session.pop_alerts():
                self._on_alert(alert)

    # ── commands, in a thread ───────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        for line in sys.stdin.buffer:
            command = json.loads(line)
            try:
                getattr(self, "do_" + command.pop("do"))(**command)
            except Exception as error:
                tell("failed", why=f"{type(error).__name__}: {error}")
        os._exit(0)

    def do_add(self, torrent: str, save_path: str, peers: list[tuple[str, int]]) -> None:
        params = lt.load_torrent_file(torrent)
        self._start(params, save_path, peers)

    def do_add_many(self, torrents: str, save_path: str) -> None:
        for path in sorted(Path(torrents).iterdir()):
            self._start(lt.load_torrent_file(str(path)), save_path, [])

    def do_restore(self, folder: str) -> None:
        """Bring back all torrents that were saved, as a client does when it starts."""
        for path in sorted(Path(folder).iterdir()):
            params = lt.read_resume_data(path.read_bytes())
            self._start(params, params.save_path, [])
        tell("restored", count=len(self._handles))

    def do_save(self, folder: str) -> None:
        """Save resume data of all torrents."""
        self._folder = Path(folder)
        self._unsaved = len(self._handles)
        for handle in self._handles.values():
            handle.save_resume_data(lt.save_resume_flags_t.save_info_dict)

    def do_connect(self, info_hash: str, host: str, port: int) -> None:
        self._handles[info_hash].connect_peer((host, port))

    def _start(self, params: Any, save_path: str, peers: list[tuple[str, int]]) -> None:
        params.save_path = save_path
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        params.peers = [(host, port) for host, port in peers]
        handle = self._session.add_torrent(params)
        self._handles[str(handle.info_hash())] = handle

    # ── alerts ──────────────────────────────────────────────────────────────────────────────────

    def _on_alert(self, alert: Any) -> None:
        kind = type(alert)
        if kind is lt.state_changed_alert:
            if alert.state in _DONE:
                self._on_seeding(str(alert.handle.info_hash()))
        elif kind is lt.torrent_finished_alert:
            self._on_seeding(str(alert.handle.info_hash()))
        elif kind in {lt.block_downloading_alert, lt.block_uploaded_alert}:
            if self._is_noisy:
                self._is_noisy = False
                self._session.apply_settings({"alert_mask": STATUS})
                is_upload = kind is lt.block_uploaded_alert
                tell("first_upload" if is_upload else "first_block")
        elif kind is lt.save_resume_data_alert:
            name = str(alert.handle.info_hash())
            (self._folder / name).write_bytes(lt.write_resume_data_buf(alert.params))
            self._unsaved -= 1
            if not self._unsaved:
                tell("saved")
        elif kind in {lt.torrent_error_alert, lt.file_error_alert}:
            tell("failed", why=alert.message())

    def _on_seeding(self, info_hash: str) -> None:
        if info_hash not in self._seeding:
            self._seeding.add(info_hash)
            # The thread of commands may still be adding; `count` says how far this one saw.
            if len(self._seeding) >= len(self._handles):
                tell("all_seeding", count=len(self._seeding))


if __name__ == "__main__":
    Child(*sys.argv[1:]).run()
