"""When connections to peers are encrypted, and how: the user's wish, as answers to questions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.wire.encryption import Method


class Wish(StrEnum):
    """What the user wants of encryption."""

    DISABLED = "disabled"
    """Never."""
    ALLOWED = "allowed"
    """Where the peer wants it: plain is tried first, since it costs nothing."""
    PREFERRED = "preferred"
    """Where the peer can: encrypted is tried first."""
    REQUIRED = "required"
    """Always: who speaks plain is refused."""


class Level(StrEnum):
    """What is encrypted of an encrypted connection."""

    AUTOMATIC = "automatic"
    """PLAINTEXT when allowed, RC4 when preferred, nothing but RC4 when required."""
    PLAINTEXT = "plaintext"
    """The handshake; all of it only where the peer insists."""
    RC4 = "rc4"
    """All of it, or there is no connection."""


@dataclass(frozen=True, slots=True)
class EncryptionPolicy:
    wish: Wish = Wish.ALLOWED
    level: Level = Level.AUTOMATIC

    @property
    def takes_plain(self) -> bool:
        return self.wish is not Wish.REQUIRED

    @property
    def takes_encrypted(self) -> bool:
        return self.wish is not Wish.DISABLED

    def starts(self, worked: bool | None) -> tuple[bool, ...]:
        """How to begin when we call, one after the other; True is encrypted.

        `worked` is how this peer was last spoken with, None if it never was.
        """
        match self.wish:
            case Wish.DISABLED:
                return (False,)
            case Wish.REQUIRED:
                return (True,)
            case Wish.ALLOWED:
                first = worked is True
            case Wish.PREFERRED:
                first = worked is not False
        return first, not first

    @property
    def methods(self) -> Method:
        """Those that we take after the handshake."""
        wants_all = self.level is Level.RC4 or (
            self.level is Level.AUTOMATIC and self.wish is Wish.REQUIRED
        )
        return Method.RC4 if wants_all else Method.PLAINTEXT | Method.RC4

    @property
    def preferred(self) -> Method:
        """The one that we select if both are offered."""
        wants_little = self.level is Level.PLAINTEXT or (
            self.level is Level.AUTOMATIC and self.wish is Wish.ALLOWED
        )
        return Method.PLAINTEXT if wants_little else Method.RC4
