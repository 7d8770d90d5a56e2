"""The handshake of encryption: known answers, any cut of the stream, and what must be refused."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EncryptionError
from engine.wire.encryption import (
    KEY_BYTES,
    MAX_INITIAL_BYTES,
    MAX_PAD_BYTES,
    PRIME,
    IncomingEncryption,
    Method,
    OutgoingEncryption,
    begins_plain,
    skey_mark,
)
from engine.wire.handshake import PROTOCOL_NAME
from tests.fakes import mse_by_hand
from tests.fakes.mse_by_hand import Mse

SKEY = bytes(range(20))
HELLO = b"\x13BitTorrent protocol and what follows"
BOTH = Method.PLAINTEXT | Method.RC4
KEY_A, KEY_B = 0xA5 << 152 | 1, 0x5A << 152 | 1 << 159


class ByHand:
    """RC4 in Python as the engine wants it: it throws the first bytes away itself."""

    def __init__(self, key: bytes) -> None:
        self._rc4 = mse_by_hand.Rc4(key, discard=0)

    def update(self, data: bytes) -> bytes:
        return self._rc4(data)

    def update_into(self, data: memoryview, buffer: memoryview) -> int:
        buffer[: len(data)] = self._rc4(bytes(data))
        return len(data)


class Fixed(random.Random):
    """Chance that was decided before: one key, and paddings of known lengths."""

    def __init__(self, key: int, *lengths: int) -> None:
        super().__init__(0)
        self._key = key
        self._lengths = list(lengths)

    def getrandbits(self, k: int) -> int:
        assert k == 160
        return self._key

    def randint(self, a: int, b: int) -> int:
        assert (a, b) == (0, MAX_PAD_BYTES)
        return self._lengths.pop(0)

    def randbytes(self, n: int) -> bytes:
        return bytes(0xFF - i & 0xFF for i in range(n))


def calling(
    rng: random.Random, *, initial: bytes = HELLO, methods: Method = BOTH
) -> OutgoingEncryption:
    return OutgoingEncryption(SKEY, initial, methods, ByHand, rng)


def find(mark: bytes) -> bytes | None:
    return {skey_mark(SKEY): SKEY}.get(mark)


def called(
    rng: random.Random,
    *,
    methods: Method = BOTH,
    preferred: Method = Method.RC4,
    find: Callable[[bytes], bytes | None] = find,
) -> IncomingEncryption:
    return IncomingEncryption(find, methods, preferred, ByHand, rng)


def met(ours: IncomingEncryption, *, skey: bytes = SKEY) -> Mse:
    """A caller by hand that has heard our public key."""
    caller = Mse(skey, calls=True)
    said = ours.received(caller.public)
    caller.agree(said[:KEY_BYTES])
    return caller


def answered(ours: OutgoingEncryption) -> tuple[Mse, bytes]:
    """One who was called, by hand, and what we have asked it for."""
    other = Mse(SKEY, calls=False)
    other.agree(ours.to_send()[:KEY_BYTES])
    return other, ours.received(other.public)


# ── known answers ───────────────────────────────────────────────────────────────────────────────


def test_the_prime_is_that_of_the_specification() -> None:
    assert mse_by_hand.PRIME == PRIME
    assert PRIME.bit_length() == 768
    assert PRIME % 2**64 == 0x90563
    assert pow(2, PRIME - 1, PRIME) == 1


def test_known_answer() -> None:
    """Fixed keys and padding: every byte on the wire, as an implementation by hand makes them."""
    ours, theirs = calling(Fixed(KEY_A, 3, 5)), called(Fixed(KEY_B, 7, 2))
    first = ours.to_send()
    assert first == pow(2, KEY_A, PRIME).to_bytes(96, "big") + b"\xff\xfe\xfd"
    second = theirs.received(first)
    assert second == pow(2, KEY_B, PRIME).to_bytes(96, "big") + bytes(range(255, 248, -1))
    third = ours.received(second)
    a, b = (Mse(SKEY, calls=each, private=key) for each, key in ((True, KEY_A), (False, KEY_B)))
    a.agree(b.public)
    b.agree(a.public)
    assert third == a.request(provide=3, padding=b"\xff\xfe\xfd\xfc\xfb", initial=HELLO)
    fourth = theirs.received(third)
    assert fourth == b.answer(select=2, padding=b"\xff\xfe")
    assert ours.received(fourth) == b""
    assert ours.agreed is not None
    assert theirs.agreed is not None
    assert (theirs.agreed.method, theirs.agreed.rest) == (Method.RC4, HELLO)
    assert (ours.agreed.method, ours.agreed.rest) == (Method.RC4, b"")
    assert ours.agreed.incoming.update(theirs.agreed.outgoing.update(b"behind")) == b"behind"
    assert theirs.agreed.incoming.update(ours.agreed.outgoing.update(b"behind")) == b"behind"
    wire = hashlib.sha256(first + second + third + fourth).hexdigest()
    assert wire == "4e96f1e192c994015765d67f1f3722577a1fc96d95ef9b88c909e70fd903a464"


# ── both roles, cut anywhere ────────────────────────────────────────────────────────────────────


def cuts(data: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    offered=st.sampled_from([BOTH, Method.RC4, Method.PLAINTEXT]),
    preferred=st.sampled_from([Method.RC4, Method.PLAINTEXT]),
    initial=st.sampled_from([b"", HELLO, bytes(3000)]),
    behind=st.binary(max_size=40),
    sizes=st.lists(st.integers(1, 700), max_size=12),
)
def test_however_the_stream_is_cut(
    seed: int,
    offered: Method,
    preferred: Method,
    initial: bytes,
    behind: bytes,
    sizes: list[int],
) -> None:
    """Both sides agree, and hear what was said behind the handshake in the same read."""
    results = []
    for parts in ([], sizes):
        caller = calling(random.Random(seed), initial=initial, methods=offered)
        other = called(random.Random(seed + 1), preferred=preferred)
        wire = [caller.to_send()]
        wire.append(b"".join([other.received(each) for each in cuts(wire[0], parts)]))
        wire.append(b"".join([caller.received(each) for each in cuts(wire[1], parts)]))
        answer = b"".join(
            other.received(each) for each in cuts(wire[2], parts) if other.agreed is None
        )
        assert other.agreed is not None
        is_rc4 = other.agreed.method is Method.RC4
        wire.append(answer + (other.agreed.outgoing.update(behind) if is_rc4 else behind))
        rest = b""
        for each in cuts(wire[3], parts):
            if caller.agreed is None:
                assert caller.received(each) == b""
            else:
                rest += caller.agreed.incoming.update(each) if is_rc4 else each
        assert caller.agreed is not None
        assert caller.agreed.method is other.agreed.method
        assert caller.agreed.method is (preferred if offered is BOTH else offered)
        assert other.agreed.rest == initial
        assert caller.agreed.rest + rest == behind
        results.append(wire)
    assert results[0] == results[1]


def test_what_is_said_behind_the_initial_payload_is_by_the_method_selected() -> None:
    for preferred in (Method.RC4, Method.PLAINTEXT):
        ours = called(random.Random(1), preferred=preferred)
        caller = met(ours)
        request = caller.request(initial=b"in")
        behind = caller.encipher(b"out") if preferred is Method.RC4 else b"out"
        ours.received(request + behind)
        assert ours.agreed is not None
        assert ours.agreed.rest == b"inout"


@pytest.mark.parametrize("size", [0, 1, 68, MAX_INITIAL_BYTES])
def test_initial_payloads_of_all_sizes(size: int) -> None:
    ours = called(random.Random(1))
    said = ours.received(met(ours).request(initial=bytes(size)))
    assert said  # answered at once
    assert ours.agreed is not None
    assert ours.agreed.rest == bytes(size)


def test_the_most_padding_is_taken_on_all_four_ways() -> None:
    pad = bytes([7]) * MAX_PAD_BYTES
    ours = called(random.Random(1))
    caller = met(ours)
    ours.received(pad)
    ours.received(caller.request(padding=pad, initial=b"x"))
    assert ours.agreed is not None
    out = calling(random.Random(1))
    other, _ = answered(out)
    out.received(pad)
    out.received(other.answer(padding=pad))
    assert out.agreed is not None


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@given(st.binary(min_size=KEY_BYTES, max_size=3000), st.lists(st.integers(1, 400), max_size=8))
@settings(max_examples=50, deadline=None)
def test_junk_is_refused_within_bounds(junk: bytes, sizes: list[int]) -> None:
    ours = called(random.Random(1))
    most = KEY_BYTES + MAX_PAD_BYTES + 20
    try:
        for part in cuts(junk + bytes(most), sizes):
            ours.received(part)
    except EncryptionError:
        return
    pytest.fail("endless junk was taken")


@pytest.mark.parametrize("key", [0, 1, PRIME - 1, PRIME, PRIME + 1, 2**768 - 1])
def test_a_public_key_without_a_secret_is_refused(key: int) -> None:
    raw = key.to_bytes(KEY_BYTES, "big")
    with pytest.raises(EncryptionError, match="public key"):
        called(random.Random(1)).received(raw)
    with pytest.raises(EncryptionError, match="public key"):
        calling(random.Random(1)).received(raw)


def test_who_is_called_refuses() -> None:
    def refuses(why: str, say: Callable[[Mse], bytes], *, methods: Method = BOTH) -> None:
        ours = called(random.Random(1), methods=methods)
        with pytest.raises(EncryptionError, match=why):
            ours.received(say(met(ours)))
        assert ours.agreed is None

    refuses("verification", lambda c: c.request(vc=b"\0\0\0\0\0\0\0\1"))
    refuses("padding of 513", lambda c: c.request(padding_length=513))
    refuses("padding of 65535", lambda c: c.request(padding_length=0xFFFF))
    refuses("no method", lambda c: c.request(provide=0))
    refuses("no method", lambda c: c.request(provide=0xFFFFFFFC))
    refuses("no method", lambda c: c.request(provide=1), methods=Method.RC4)
    refuses("no request", lambda c: bytes(MAX_PAD_BYTES + 20))
    refuses("no request", lambda c: bytes(MAX_PAD_BYTES + 1) + c.request())


def test_a_torrent_that_is_not_here_is_refused_before_a_cipher_is_made() -> None:
    def no_cipher(key: bytes) -> ByHand:
        raise AssertionError("made a cipher")

    ours = IncomingEncryption(find, BOTH, Method.RC4, no_cipher, random.Random(1))
    caller = met(ours, skey=b"x" * 20)
    with pytest.raises(EncryptionError, match="not here"):
        ours.received(caller.request())


def test_who_calls_refuses() -> None:
    def refuses(why: str, say: Callable[[Mse], bytes], *, methods: Method = BOTH) -> None:
        ours = calling(random.Random(1), methods=methods)
        other, _ = answered(ours)
        with pytest.raises(EncryptionError, match=why):
            ours.received(say(other))
        assert ours.agreed is None

    refuses("padding of 513", lambda o: o.answer(padding_length=513))
    refuses("0x0 was not offered", lambda o: o.answer(select=0))
    refuses("0x3 was not offered", lambda o: o.answer(select=3))
    refuses("0x1 was not offered", lambda o: o.answer(select=1), methods=Method.RC4)
    refuses("no answer", lambda o: bytes(MAX_PAD_BYTES + 8))
    refuses("no answer", lambda o: b"\1" * (MAX_PAD_BYTES + 1) + o.answer())


def test_a_method_that_only_one_of_both_knows_is_left_out() -> None:
    ours = called(random.Random(1), preferred=Method.PLAINTEXT)
    ours.received(met(ours).request(provide=0xFFFFFFFE))
    assert ours.agreed is not None
    assert ours.agreed.method is Method.RC4


def test_plain_and_encrypted_are_told_apart_by_the_first_bytes() -> None:
    for size in range(len(PROTOCOL_NAME)):
        assert begins_plain(PROTOCOL_NAME[:size]) is None
        assert begins_plain(PROTOCOL_NAME[:size] + b"\xff") is False
    assert begins_plain(PROTOCOL_NAME) is True
    assert begins_plain(bytearray(PROTOCOL_NAME + b"more")) is True
