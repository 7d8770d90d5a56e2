"""What every message of the control protocol is made of: requests with a typed reply."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Params of one method. `reply` is what its result decodes to."""

    METHOD: ClassVar[str]
    reply: ClassVar[Any] = None


class Empty(msgspec.Struct, frozen=True):
    """The result of a method that has nothing to tell."""


class Accepted(msgspec.Struct, frozen=True):
    """Info-hashes of the torrents that a request reached."""

    info_hashes: list[str]
