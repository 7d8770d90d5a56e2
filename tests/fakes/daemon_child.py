"""A daemon in a process of its own, to be killed: socket path, state folder, bytes a second down.

Commits ten times as often as usual, so that short lives leave something behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.daemon import run_daemon
from engine.net.loop import run
from engine.session import session
from engine.session.options import SessionOptions


def main() -> None:
    socket_path, state_dir, down_limit = sys.argv[1:]
    session._COMMIT_S = 0.1
    options = SessionOptions(
        listen_host="127.0.0.1", down_limit=int(down_limit), stop_timeout_s=1.0
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
