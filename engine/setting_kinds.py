"""What a setting can be: how people write a value, what it becomes, and how it is shown again.

Invariant: `parse(show(value)) == value` for every value that `parse` gave. Sizes and rates are
exact; bits and bytes are never mixed up, so a lower case b after a prefix is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from engine.engine_address import EXPECTED, EngineAddress, Program, parse_address
from engine.errors import InputError

_NUMBER = re.compile(r"(\d{1,20}(?:\.\d{1,9})?)\s*([A-Za-z]*)", re.ASCII)
_BINARY = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SHORT = {name[0]: size for name, size in _BINARY.items() if size > 1} | {"k": 1 << 10}
"""As the interface and all tables shorten them: "500K" is what they mean by it."""
_DECIMAL = {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES = {"": 1, **_SHORT, **_DECIMAL, **_BINARY}
_RATES = {**_SIZES, "kbit": 125, "Mbit": 125_000, "Gbit": 125_000_000}
_TIMES = {"": 1.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME_DIGITS = 9
"""Behind the point; finer than any clock, and the reason that `show` is exact."""

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Kind(Protocol):
    """How the values of a setting are read and written. `parse` takes text (environment, flags) or
    what TOML made of it, and raises ValueError, whose text may say more than `expected`."""

    @property
    def expected(self) -> str:
        """Completes "expected …"."""

    def parse(self, given: object) -> Any: ...

    def show(self, value: Any) -> str:
        """Text that `parse` takes."""


@runtime_checkable
class SecretKind(Kind, Protocol):
    """Of values that hold a password."""

    @property
    def is_secret(self) -> bool: ...

    def tell(self, value: Any) -> str:
        """As `show`, without the password."""


def tell_setting(kind: Kind, value: Any) -> str:
    """Say a value to people, without what is secret in it."""
    return kind.tell(value) if isinstance(kind, SecretKind) else kind.show(value)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    least: int
    most: int
    zero: str = ""
    """What 0 means, if it is no number of them."""

    @property
    def expected(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, given: object) -> int:
        if isinstance(given, str) and re.fullmatch(r"\d{1,20}", given.strip(), re.ASCII):
            given = int(given)
        if not isinstance(given, int) or isinstance(given, bool):
            raise ValueError
        return _within(given, self.least, self.most)

    def show(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, as 65536, "64KiB", "64K", "1.5 MB"."""

    least: int
    most: int

    @property
    def expected(self) -> str:
        return f"a size such as 10MiB or 1.5GB, {self.show(self.least)} to {self.show(self.most)}"

    def parse(self, given: object) -> int:
        return _within(_bytes(given, _SIZES), self.least, self.most)

    def show(self, value: int) -> str:
        return _show_bytes(value)


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """Bytes, a power of two: 65536, "64KiB"."""

    least: int
    most: int

    @property
    def expected(self) -> str:
        return f"a power of two from {_show_bytes(self.least)} to {_show_bytes(self.most)}"

    def parse(self, given: object) -> int:
        value = Size(self.least, self.most).parse(given)
        if value & (value - 1):
            raise ValueError
        return value

    def show(self, value: int) -> str:
        return _show_bytes(value)


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second, as 65536, "500K", "1.5MB/s", "100Mbit/s"; 0 is no limit."""

    most: int = 1 << 40

    @property
    def expected(self) -> str:
        return "a rate such as 500K, 10MiB/s or 100Mbit/s, or 0 for no limit"

    def parse(self, given: object) -> int:
        if isinstance(given, str):
            given = given.strip().removesuffix("/s")
        return _within(_bytes(given, _RATES), 0, self.most)

    def show(self, value: int) -> str:
        return f"{_show_bytes(value)}/s" if value else "0"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time, as 30, 0.5, "30s", "5min", "2h"."""

    least: float
    most: float

    @property
    def expected(self) -> str:
        return f"a time such as 30s, 5min or 2h, {self.show(self.least)} to {self.show(self.most)}"

    def parse(self, given: object) -> float:
        if isinstance(given, str):
            found = _NUMBER.fullmatch(given.strip())
            if found is None or found[2] not in _TIMES:
                raise ValueError
            given = float(found[1]) * _TIMES[found[2]]
        if not isinstance(given, int | float) or isinstance(given, bool):
            raise ValueError
        if not (math.isfinite(given) and self.least <= given <= self.most):
            raise ValueError
        return round(float(given), _TIME_DIGITS) + 0.0  # there is no -0 s

    def show(self, value: float) -> str:
        for unit in ("d", "h", "min"):
            size = _TIMES[unit]
            if value >= size and value % size == 0:
                return f"{int(value / size)}{unit}"
        return f"{value:.{_TIME_DIGITS}f}".rstrip("0").rstrip(".") + "s"


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    @property
    def expected(self) -> str:
        return "true or false"

    def parse(self, given: object) -> bool:
        if isinstance(given, str):
            given = _WORDS.get(given.strip().lower())
        if not isinstance(given, bool):
            raise ValueError
        return given

    def show(self, value: bool) -> str:
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words, in any case."""

    words: Sequence[str]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(self.words)

    def parse(self, given: object) -> str:
        word = given.strip().lower() if isinstance(given, str) else ""
        if word not in self.words:
            raise ValueError
        return word

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Place:
    """A path; `~` is the home folder."""

    @property
    def expected(self) -> str:
        return "a path"

    def parse(self, given: object) -> Path:
        if not isinstance(given, str | Path) or not str(given).strip() or "\0" in str(given):
            raise ValueError
        try:
            return Path(given).expanduser()
        except RuntimeError as error:
            raise ValueError("no home folder is known") from error

    def show(self, value: Path) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class OptionalPlace:
    """A path, or nothing at all: None."""

    @property
    def expected(self) -> str:
        return "a path, or nothing for the standard one"

    def parse(self, given: object) -> Path | None:
        return None if given in ("", None) else Place().parse(given)

    def show(self, value: Path | None) -> str:
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class FileOrUrl:
    """A path, in which `~` is the home folder, or an http(s) address; nothing is none."""

    @property
    def expected(self) -> str:
        return "a path, an http(s) address, or nothing for none"

    def parse(self, given: object) -> str:
        if given is None or given == "":
            return ""
        if isinstance(given, str) and given.strip().startswith(("http://", "https://")):
            return given.strip()
        return str(Place().parse(given))

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Engine:
    """Where an engine is reached."""

    @property
    def expected(self) -> str:
        return EXPECTED

    def parse(self, given: object) -> EngineAddress:
        if not isinstance(given, str | Path | Program):
            raise ValueError
        try:
            address = parse_address(str(given))
        except InputError as error:
            # It ends with what is expected, and so does what is said of every setting.
            raise ValueError(str(error).removesuffix(f"; expected {EXPECTED}")) from error
        if isinstance(address, Path) and not address.is_absolute():
            raise ValueError("it would mean another socket in every folder: begin with / or ~")
        return address

    def show(self, value: EngineAddress) -> str:
        return str(value)


def parse_setting(kind: Kind, given: object) -> Any:
    """Parse by `kind`. Raises ValueError, always with a text that says what was expected."""
    try:
        return kind.parse(given)
    except (ValueError, InputError) as error:
        shown = repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:80]}…"
        if isinstance(kind, SecretKind):
            shown = "the value"
        why = f" ({error})" if str(error) else ""
        raise ValueError(f"{shown} is not right{why}; expected {kind.expected}") from error


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError
    return value


def _bytes(given: object, units: dict[str, int]) -> int:
    if isinstance(given, str):
        found = _NUMBER.fullmatch(given.strip())
        if found is None or found[2] not in units:
            raise ValueError
        size = Decimal(found[1]) * units[found[2]]
        return round(size) or int(size > 0)  # 0 stands for no limit, which is not what was meant
    if not isinstance(given, int) or isinstance(given, bool):
        raise ValueError
    return given


def _show_bytes(value: int) -> str:
    for unit, size in reversed(_BINARY.items()):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value}B"
