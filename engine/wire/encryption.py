"""The handshake of Message Stream Encryption, MSE/PE as Vuze specified it, both roles, no I/O.

    A ─► B   Ya, PadA                                     Diffie-Hellman, 768 bits
    B ─► A   Yb, PadB
    A ─► B   HASH('req1', S), HASH('req2', SKEY) ^ HASH('req3', S),
             RC4(VC, crypto_provide, len(PadC), PadC, len(IA), IA)
    B ─► A   RC4(VC, crypto_select, len(PadD), PadD), then the payload by the method selected

It hides what is spoken from boxes on the way and proves that both know the torrent; it is no
protection against who wants to read along. Invariant: the bytes held are bounded, whatever comes,
and how the stream is cut changes nothing. What is illegal raises EncryptionError.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntFlag
from hashlib import sha1
from typing import TYPE_CHECKING, Final, Protocol

from engine.errors import EncryptionError
from engine.wire.handshake import PROTOCOL_NAME

if TYPE_CHECKING:
    from random import Random

PRIME: Final = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563",
    16,
)
KEY_BYTES: Final = 96
"""Of a public key on the wire, and of the secret S."""
MAX_PAD_BYTES: Final = 512
MAX_INITIAL_BYTES: Final = 0xFFFF
"""Of the initial payload IA: its length has 16 bits."""

_GENERATOR: Final = 2
_PRIVATE_BITS: Final = 160
_DISCARDED: Final = bytes(1024)
"""The first key stream of RC4 betrays its key, and is thrown away."""
_VC: Final = bytes(8)


class Method(IntFlag):
    """How the payload travels after the handshake; a set of them is what a side offers."""

    PLAINTEXT = 1
    RC4 = 2


class StreamCipher(Protocol):
    """One direction of an RC4 key stream; enciphering and deciphering are the same."""

    def update(self, data: bytes) -> bytes: ...

    def update_into(self, data: memoryview, buffer: memoryview) -> int:
        """Do it into `buffer`, which may be `data` itself."""


MakeCipher = Callable[[bytes], StreamCipher]
"""An RC4 cipher of a 20 byte key."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the handshake ended with."""

    method: Method
    """One of the two."""
    incoming: StreamCipher
    """Where its key stream stands after `rest`; of no use with PLAINTEXT."""
    outgoing: StreamCipher
    rest: bytes
    """What the peer said behind the handshake, or along with it, in the clear."""


def hash_of(*parts: bytes) -> bytes:
    return sha1(b"".join(parts), usedforsecurity=False).digest()


def skey_mark(wire_hash: bytes) -> bytes:
    """By what a caller names the torrent, HASH('req2', SKEY); SKEY is the 20 byte info-hash."""
    return hash_of(b"req2", wire_hash)


def begins_plain(received: bytes | bytearray) -> bool | None:
    """Tell a plain handshake (BEP 3) by the first bytes of a connection; None: too few to tell.

    Half of all public keys begin with other bytes at once; none begins with all of these.
    """
    start = bytes(received[: len(PROTOCOL_NAME)])
    if not PROTOCOL_NAME.startswith(start):
        return False
    return True if len(start) == len(PROTOCOL_NAME) else None


class _Handshake:
    """What both roles share: a conversation, written as a generator that waits for bytes."""

    __slots__ = ("_conversation", "_received", "_rng", "_to_send", "agreed")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._received = bytearray()
        self._to_send = bytearray()
        self.agreed: Agreed | None = None
        self._conversation = self._converse()
        next(self._conversation)

    def received(self, data: bytes | memoryview) -> bytes:
        """Take bytes of the peer; return what to send it now. Must not be called once `agreed`.

        Raises EncryptionError.
        """
        self._received += data
        next(self._conversation, None)
        return self.to_send()

    def to_send(self) -> bytes:
        """Return what is to be sent now, once; whoever calls has something from the beginning."""
        data = bytes(self._to_send)
        self._to_send.clear()
        return data

    def _converse(self) -> Generator[None]:
        raise NotImplementedError

    def _take(self, count: int) -> Generator[None, None, bytes]:
        """Wait for `count` bytes."""
        while len(self._received) < count:
            yield
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _scan(self, mark: bytes, what: str) -> Generator[None, None, None]:
        """Wait for a mark behind at most MAX_PAD_BYTES of padding."""
        while (at := self._received.find(mark, 0, MAX_PAD_BYTES + len(mark))) < 0:
            if len(self._received) >= MAX_PAD_BYTES + len(mark):
                raise EncryptionError(f"no {what} within {MAX_PAD_BYTES} bytes of padding")
            yield
        del self._received[: at + len(mark)]

    def _padding(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(0, MAX_PAD_BYTES))

    def _private_key(self) -> int:
        return self._rng.getrandbits(_PRIVATE_BITS) | 1 << (_PRIVATE_BITS - 1)

    def _secret(self, private: int) -> Generator[None, None, bytes]:
        """Wait for the peer's public key; return S."""
        theirs = int.from_bytes((yield from self._take(KEY_BYTES)), "big")
        if not 1 < theirs < PRIME - 1:
            raise EncryptionError("a public key that makes no secret")
        return pow(theirs, private, PRIME).to_bytes(KEY_BYTES, "big")

    def _padding_length(self, raw: bytes) -> int:
        length = int.from_bytes(raw, "big")
        if length > MAX_PAD_BYTES:
            raise EncryptionError(f"padding of {length} bytes")
        return length

    def _agree(
        self, method: Method, incoming: StreamCipher, outgoing: StreamCipher, rest: bytes
    ) -> None:
        behind = bytes(self._received)
        self._received.clear()
        if method is Method.RC4:
            behind = incoming.update(behind)
        self.agreed = Agreed(method, incoming, outgoing, rest + behind)


class OutgoingEncryption(_Handshake):
    """The side that dialled: it knows the torrent and says which methods it takes."""

    __slots__ = ("_initial", "_make_cipher", "_methods", "_skey")

    def __init__(
        self, skey: bytes, initial: bytes, methods: Method, make_cipher: MakeCipher, rng: Random
    ) -> None:
        """`skey`: the 20 bytes of the info-hash; `initial`: what we say first of all, at most
        MAX_INITIAL_BYTES; `rng` makes keys and padding."""
        self._skey = skey
        self._initial = initial
        self._methods = methods
        self._make_cipher = make_cipher
        super().__init__(rng)

    def _converse(self) -> Generator[None]:
        private = self._private_key()
        self._to_send += pow(_GENERATOR, private, PRIME).to_bytes(KEY_BYTES, "big")
        self._to_send += self._padding()
        secret = yield from self._secret(private)
        outgoing, incoming = ciphers(secret, self._skey, self._make_cipher)
        padding = self._padding()
        self._to_send += hash_of(b"req1", secret)
        self._to_send += _xor(skey_mark(self._skey), hash_of(b"req3", secret))
        self._to_send += outgoing.update(
            _VC
            + self._methods.to_bytes(4, "big")
            + len(padding).to_bytes(2, "big")
            + padding
            + len(self._initial).to_bytes(2, "big")
            + self._initial
        )
        # What the peer's zeros look like: to find them takes no try at every place.
        yield from self._scan(incoming.update(_VC), "answer")
        head = incoming.update((yield from self._take(6)))
        selected = int.from_bytes(head[:4], "big")
        if selected not in (Method.PLAINTEXT, Method.RC4) or not selected & self._methods:
            raise EncryptionError(f"the method {selected:#x} was not offered")
        length = self._padding_length(head[4:])
        incoming.update((yield from self._take(length)))
        self._agree(Method(selected), incoming, outgoing, b"")


class IncomingEncryption(_Handshake):
    """The side that was called: it learns which torrent is meant, and selects the method."""

    __slots__ = ("_find", "_make_cipher", "_methods", "_preferred")

    def __init__(
        self,
        find: Callable[[bytes], bytes | None],
        methods: Method,
        preferred: Method,
        make_cipher: MakeCipher,
        rng: Random,
    ) -> None:
        """`find` maps a `skey_mark` to the 20 bytes of an info-hash, None if it is not here;
        `preferred` of the `methods` is selected where both are offered."""
        self._find = find
        self._methods = methods
        self._preferred = preferred
        self._make_cipher = make_cipher
        super().__init__(rng)

    def _converse(self) -> Generator[None]:
        yield from self._wait_for_key()
        private = self._private_key()
        self._to_send += pow(_GENERATOR, private, PRIME).to_bytes(KEY_BYTES, "big")
        self._to_send += self._padding()
        secret = yield from self._secret(private)
        yield from self._scan(hash_of(b"req1", secret), "request")
        masked = yield from self._take(20)
        skey = self._find(_xor(masked, hash_of(b"req3", secret)))
        if skey is None:
            raise EncryptionError("asks for a torrent that is not here")
        incoming, outgoing = ciphers(secret, skey, self._make_cipher)
        head = incoming.update((yield from self._take(14)))
        if head[:8] != _VC:
            raise EncryptionError("the verification constant is wrong")
        offered = int.from_bytes(head[8:12], "big")
        length = self._padding_length(head[12:])
        tail = incoming.update((yield from self._take(length + 2)))
        # The answer does not wait for the initial payload: so both are under way at once.
        method = self._select(offered)
        padding = self._padding()
        self._to_send += outgoing.update(
            _VC + method.to_bytes(4, "big") + len(padding).to_bytes(2, "big") + padding
        )
        initial = yield from self._take(int.from_bytes(tail[length:], "big"))
        self._agree(method, incoming, outgoing, incoming.update(initial))

    def _wait_for_key(self) -> Generator[None]:
        """Calculate nothing for who only connects."""
        while len(self._received) < KEY_BYTES:
            yield

    def _select(self, offered: int) -> Method:
        both = self._methods & offered
        if not both:
            raise EncryptionError(f"offers no method that we take: {offered:#x}")
        return self._preferred if both & self._preferred else Method(both)


def ciphers(secret: bytes, skey: bytes, make: MakeCipher) -> tuple[StreamCipher, StreamCipher]:
    """Make the ciphers of what the caller sends and of what the called side sends."""
    both = make(hash_of(b"keyA", secret, skey)), make(hash_of(b"keyB", secret, skey))
    for cipher in both:
        cipher.update(_DISCARDED)
    return both


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
