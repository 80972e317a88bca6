"""What is read from sketches: the top by uniques and the union of a type, at rest and while others add."""

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount._core import Store
from twin import frames

HIT, SEEN, SAMPLE, INC = frames.HIT, frames.SEEN, frames.SAMPLE, frames.INC
adds = st.lists(
    st.tuples(st.sampled_from([HIT, HIT, SEEN, SAMPLE, INC]), st.sampled_from([b"t", b"u"]), st.integers(0, 12),
              st.integers(0, 25)),
    max_size=120,
)  # fmt: skip


def apply(store: Store, op: int, type: bytes, id: bytes, members: list[bytes]) -> None:
    body = b"".join(frames.record(op, id, member=member) for member in members)
    assert store.apply(frames.header() + frames.type_record(type) + body).refused == 0


@given(adds, st.integers(1, 15), st.sampled_from([1, 4, 256]))
def test_top_by_unique_and_union_say_what_sets_say(adds, k: int, shards: int) -> None:  # type: ignore[no-untyped-def]
    store = Store(shards=shards)
    names: dict[bytes, dict[bytes, set[bytes]]] = {b"t": {}, b"u": {}}
    for i, (op, type, name, member) in enumerate(adds):
        id, text = b"n%d" % name, b"m%d" % member
        apply(store, op, type, id, [text])
        if op != INC:
            names[type].setdefault(id, set())
        if op in (HIT, SEEN):
            names[type][id].add(text)
        if i % 50 == 49:
            store.swap()
    for type, sets in names.items():
        # a name that has a sample only, has no uniques; it is among them with 0
        expected = sorted(((id, len(members)) for id, members in sets.items()), key=lambda row: (-row[1], row[0]))
        assert store.top(type, k, by="unique") == expected[:k]
        assert store.unique(type) == (len(set().union(*sets.values())), 0.0)


def test_top_by_unique_of_dense_sketches_is_in_the_order_of_their_estimates() -> None:
    store = Store()
    for i in range(30):
        apply(store, SEEN, b"t", b"n%d" % i, [b"%d" % m for m in range(i * 150)])
        store.incr(b"t", b"n%d" % i, 1000 - i)
    rows = store.top(b"t", 29, by="unique")
    assert rows == sorted(((id, store.unique(b"t", id).distinct) for id, _ in rows), key=lambda row: (-row[1], row[0]))
    assert [id for id, count in rows if count <= 1792] == [b"n%d" % i for i in range(11, 0, -1)]
    assert {count for _, count in rows} >= {i * 150 for i in range(1, 12)}
    assert store.top(b"t", 1)[0] == (b"n0", 1000)
    with pytest.raises(ValueError, match="unique"):
        store.top(b"t", 1, by="uniques")


def test_a_union_is_that_of_the_members_not_the_sum_of_the_names() -> None:
    store = Store(shards=4)
    everybody = [b"%d" % i for i in range(30_000)]
    draw = random.Random(1)
    for i in range(600):  # more than are merged before a shard's lock is given up for a moment
        apply(store, SEEN, b"t", b"n%d" % i, draw.sample(everybody, 100))
    for i in range(3):
        apply(store, SEEN, b"t", b"large%d" % i, everybody[i * 10_000 : (i + 1) * 10_000])
    count, error = store.unique(b"t")
    assert error == pytest.approx(0.008125)
    assert abs(count / len(everybody) - 1) < 4 * error
    assert store.unique(b"nothing") == (0, 0.0)


def test_a_union_while_others_add_lies_between_before_and_after() -> None:
    """Exact, so that any member lost or made up would show."""
    store = Store(shards=16)
    members = [b"m%d" % i for i in range(1500)]
    draw = random.Random(2)
    added = 0
    done = threading.Event()

    def add() -> None:
        nonlocal added
        try:
            for i, member in enumerate(members):
                names = [b"n%d" % draw.randrange(2000) for _ in range(20)]
                body = b"".join(frames.record(HIT, name, member=member) for name in names)
                store.apply(frames.header() + frames.type_record(b"t") + body)
                added = i + 1
        finally:
            done.set()

    def swap() -> None:
        while not done.is_set():
            store.swap()

    threads = [threading.Thread(target=work, daemon=True) for work in (add, swap)]
    for thread in threads:
        thread.start()
    readings = 0
    last = 0
    while not done.is_set():
        before = added
        count, error = store.unique(b"t")
        assert error == 0
        assert max(before, last) <= count <= added + 1
        last = count
        top = store.top(b"t", 5, by="unique")
        assert all(1 <= unique <= added + 1 for _, unique in top)
        readings += 1
    for thread in threads:
        thread.join()
    assert readings > 3
    assert store.unique(b"t") == (len(members), 0.0)
