"""What a link tells the main screen, or by EngineTold the list of engines. A newer message of a
kind stands for the older ones that still wait, so that a flood of deltas costs one redraw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tui.link import Details, SessionStatus, Topic
    from tui.store import Window


class LinkUp(Message, bubble=False):
    """The engine answers."""

    def __init__(self, engine: str) -> None:
        super().__init__()
        self.engine = engine


class LinkDown(Message, bubble=False):
    """The engine does not answer (any more); the link goes on trying."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LinkDown)


class WindowChanged(Message, bubble=False):
    """The list and the engine's figures as they are now, complete."""

    def __init__(self, window: Window, status: SessionStatus) -> None:
        super().__init__()
        self.window = window
        self.status = status

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, WindowChanged)


class DetailsChanged(Message, bubble=False):
    """One tab's worth of the watched torrent."""

    def __init__(self, info_hash: str, topic: Topic, details: Details) -> None:
        super().__init__()
        self.info_hash = info_hash
        self.topic = topic
        self.details = details

    def can_replace(self, message: Message) -> bool:
        return (
            isinstance(message, DetailsChanged)
            and message.topic == self.topic
            and message.info_hash == self.info_hash
        )


class EngineTold(Message, bubble=False):
    """What one of several links says."""

    def __init__(self, place: int, told: Message) -> None:
        super().__init__()
        self.place = place
        """Number of the link."""
        self.told = told

    def can_replace(self, message: Message) -> bool:
        return (
            isinstance(message, EngineTold)
            and message.place == self.place
            and self.told.can_replace(message.told)
        )
