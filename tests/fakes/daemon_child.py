"""A daemon in a process of its own, to be killed: socket path, state folder, bytes a second down.

With a fourth argument it has a DHT, and that is whom it joins by: HOST:PORT,… or nobody. It commits
ten times as often as usual, so that short lives leave something behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.daemon import run_daemon
from engine.net.loop import run
from engine.session import committing, dht
from engine.session.options import DhtOptions, SessionOptions


def main() -> None:
    socket_path, state_dir, down_limit, *joins_by = sys.argv[1:]
    committing.COMMIT_S = 0.1
    dht.KEEP_SOON_S = 0.5
    bootstrap = tuple(node for each in joins_by for node in each.split(",") if node)
    options = SessionOptions(
        listen_host="127.0.0.1",
        down_limit=int(down_limit),
        stop_timeout_s=1.0,
        dht=DhtOptions(is_enabled=bool(joins_by), bootstrap=bootstrap),
    )
    run(
        run_daemon(
            options,
            socket_path=Path(socket_path),
            state_dir=Path(state_dir),
            ready=lambda _: print("ready", flush=True),
        )
    )


if __name__ == "__main__":
    main()
