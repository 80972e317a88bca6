"""The sample of members and its slow twin, side by side; and the laws of its merge."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastcount.native.samples import BottomK, fail_allocation
from twin.bottomk import Row, TwinBottomK
from twin.siphash import siphash24

SECRET = bytes(range(16, 32))
members = st.one_of(
    st.integers(0, 60).map(lambda i: b"user-%d" % i),
    st.binary(min_size=1, max_size=3),
    st.binary(min_size=1, max_size=255),
)
sizes = st.one_of(st.integers(1, 12), st.just(100))


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    yield
    fail_allocation(-1)


def by_hash(member: bytes) -> int:
    return siphash24(SECRET, member) >> 11


def by_ties(member: bytes) -> int:
    """Priorities that many members share, the greatest one among them."""
    return (sum(member) % 5 << 51) - 1 if sum(member) % 5 else 0


def filled(k: int, rows: list[Row], gen: int = 0) -> BottomK:
    sample = BottomK(SECRET, k)
    for priority, member in rows:
        sample.offer_hashed(priority, member, gen)
    return sample


class BottomKMachine(RuleBasedStateMachine):
    """Offers, merges and changes of k under alternating generations; the old one is drained some time after the cut."""

    def __init__(self) -> None:
        super().__init__()
        fail_allocation(-1)
        self.gen = 0
        self.drained = True

    @initialize(k=sizes, ties=st.booleans())
    def start(self, k: int, ties: bool) -> None:
        self.priority = by_ties if ties else by_hash
        self.native = BottomK(SECRET, k)
        self.twin = TwinBottomK(k)

    @rule(member=members)
    def offer(self, member: bytes) -> None:
        priority = self.priority(member)
        assert self.native.offer_hashed(priority, member, self.gen) == self.twin.offer(priority, member)

    @rule(seed=st.integers(0, 2**32), n=st.integers(1, 300), length=st.sampled_from([1, 9, 40, 255]))
    def offer_many(self, seed: int, n: int, length: int) -> None:
        rng = random.Random(seed)
        for _ in range(n):
            self.offer(rng.randbytes(rng.randint(1, length)))

    @rule(k=sizes, others=st.lists(members, max_size=40), gen=st.integers(0, 1))
    def merge(self, k: int, others: list[bytes], gen: int) -> None:
        rows = [(self.priority(m), m) for m in others]
        assert self.native.merge(filled(k, rows, gen), self.gen) == self.twin.merge(TwinBottomK(k, rows))

    @rule(k=sizes)
    def set_k(self, k: int) -> None:
        assert self.native.set_k(k, self.gen) == self.twin.set_k(k)

    @precondition(lambda self: self.drained)
    @rule()
    def cut(self) -> None:
        self.twin.cut()
        self.gen ^= 1
        self.drained = False

    @precondition(lambda self: not self.drained)
    @rule()
    def drain(self) -> None:
        assert self.native.changed(self.gen ^ 1) == len(self.twin.waiting)
        assert self.native.drain(self.gen ^ 1) == self.twin.drain()
        assert self.native.drain(self.gen ^ 1) == []
        assert self.native.ghosts == 0
        self.drained = True

    @rule(member=members, others=st.lists(members, max_size=30), merging=st.booleans())
    def without_memory(self, member: bytes, others: list[bytes], merging: bool) -> None:
        """Refused for want of memory means that nothing changed."""
        before = self.native.to_bytes(), self.native.nbytes, self.native.changed(0), self.native.changed(1)
        other = filled(self.twin.k, [(self.priority(m), m) for m in others])
        fail_allocation(0)
        try:
            if merging:
                self.native.merge(other, self.gen)
            else:
                self.native.offer_hashed(self.priority(member), member, self.gen)
        except MemoryError:
            assert before == (
                self.native.to_bytes(), self.native.nbytes, self.native.changed(0), self.native.changed(1)
            )  # fmt: skip
            return
        finally:
            fail_allocation(-1)
        if merging:
            self.twin.merge(TwinBottomK(self.twin.k, [(self.priority(m), m) for m in others]))
        else:
            self.twin.offer(self.priority(member), member)

    @invariant()
    def same(self) -> None:
        assert self.native.check() is None
        assert self.native.members() == self.twin.members()
        assert self.native.distinct() == pytest.approx(self.twin.distinct(), rel=1e-12)
        assert self.native.k == self.twin.k
        assert self.native.to_bytes() == self.twin.to_bytes()
        assert BottomK.from_bytes(self.native.to_bytes(), SECRET, verify=False).to_bytes() == self.native.to_bytes()


TestBottomK = BottomKMachine.TestCase


samples = st.tuples(sizes, st.lists(members, max_size=30), st.booleans())


def build(k: int, of: list[bytes], ties: bool) -> BottomK:
    return filled(k, [((by_ties if ties else by_hash)(m), m) for m in of])


def copy(sample: BottomK) -> BottomK:
    return BottomK.from_bytes(sample.to_bytes(), SECRET, verify=False)


def merged(a: BottomK, b: BottomK) -> BottomK:
    out = copy(a)
    out.merge(b)
    assert out.check() is None
    return out


@given(st.lists(st.tuples(sizes, st.lists(members, max_size=30)), min_size=3, max_size=3), st.booleans())
def test_merge_is_commutative_associative_idempotent(parts: list[tuple[int, list[bytes]]], ties: bool) -> None:
    a, b, c = (build(k, of, ties) for k, of in parts)
    assert merged(a, b).to_bytes() == merged(b, a).to_bytes()
    assert merged(merged(a, b), c).to_bytes() == merged(a, merged(b, c)).to_bytes()
    assert merged(a, a).to_bytes() == a.to_bytes()
    assert merged(merged(a, b), b).to_bytes() == merged(a, b).to_bytes()
    a_before = a.to_bytes()
    assert a.merge(a) == 0
    assert a.to_bytes() == a_before


@given(sizes, st.lists(members, max_size=80), st.integers(1, 8), st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_nor_places_matter(k: int, of: list[bytes], nodes: int, rng: random.Random) -> None:
    straight = build(k, of, False)
    shuffled = of * 3
    rng.shuffle(shuffled)
    assert build(k, shuffled, False).to_bytes() == straight.to_bytes()
    places = [BottomK(SECRET, k) for _ in range(nodes)]
    for member in shuffled:
        rng.choice(places).offer(member)
    total = BottomK(SECRET, k)
    for place in places:
        total.merge(place)
    assert total.to_bytes() == straight.to_bytes()
    assert len(straight) == min(k, len(set(of)))


@given(samples, st.data())
def test_a_corrupted_byte_is_refused(sample: tuple[int, list[bytes], bool], data: st.DataObject) -> None:
    """All but another k, which is as good as the first, are told from the members' hashes."""
    whole = build(sample[0], sample[1], False).to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    broken = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    try:
        loaded = BottomK.from_bytes(broken, SECRET)
    except ValueError:
        return
    assert 1 <= at <= 3
    assert loaded.to_bytes() == broken
    assert loaded.check() is None


@given(st.binary(max_size=120))
def test_noise_is_refused_or_is_a_sample(noise: bytes) -> None:
    for data in (noise, b"\x01" + noise, b"\x01\x00\x05\x00" + noise):
        try:
            loaded = BottomK.from_bytes(data, SECRET, verify=False)
        except ValueError:
            continue
        assert loaded.to_bytes() == data
        assert loaded.check() is None
