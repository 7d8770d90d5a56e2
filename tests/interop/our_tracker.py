"""Our own tracker beside the clients of a test, in the process of the test."""

from __future__ import annotations

from engine.tracker.app import TrackerApp, TrackerSettings


def tracker_on(host: str) -> TrackerApp:
    """A tracker over HTTP and UDP that wants to hear of everybody all the time."""
    return TrackerApp(
        TrackerSettings(http=f"{host}:0", udp=f"{host}:0", interval_s=2, min_interval_s=1)
    )


def urls_of(tracker: TrackerApp, scheme: str) -> list[str]:
    """Where it is announced to over `scheme`."""
    return [url for url in tracker.addresses.announce_urls if url.startswith(scheme)]
