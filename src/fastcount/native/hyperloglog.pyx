"""A HyperLogLog as a Python object: a thin skin over hll.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastcount.native.hll cimport (
    HLL_DENSE, HLL_EXACT, HLL_SPARSE, hll_add, hll_changed, hll_cost, hll_count, hll_drain, hll_error, hll_free,
    hll_item_rank, hll_item_register, hll_item_valid, hll_memory, hll_merge, hll_merge_registers,
    hll_preimage, hll_put, hll_redis_count, hll_registers, hll_t,
)
from fastcount.native.hll_codec cimport (
    HLL_DENSE_STRING, HLL_ENCODING, HLL_MAGIC, HLL_NOT_CACHED, HLL_OK, HLL_OVERFLOW, HLL_OVERSIZE, HLL_REGISTER,
    HLL_RESERVED, HLL_SPARSE_LIMIT, HLL_TRUNCATED, hll_decode, hll_encode_dense, hll_encode_sparse,
)
from fastcount.native.hll_estimate cimport HLL_RANK_MAX, HLL_REGISTERS
from fastcount.native.hll_registers cimport registers_portable
from fastcount.native.murmur cimport murmur64a as c_murmur64a

from fastcount.errors import SketchError

cdef dict FORMS = {HLL_EXACT: "exact", HLL_SPARSE: "sparse", HLL_DENSE: "dense"}

cdef dict FAULTS = {
    HLL_MAGIC: "not a HyperLogLog string of Redis: it does not start with HYLL",
    HLL_TRUNCATED: "a HyperLogLog string that ends too early",
    HLL_ENCODING: "a HyperLogLog string of unknown encoding: expected 0 (dense) or 1 (sparse)",
    HLL_RESERVED: "a HyperLogLog string whose reserved header bytes are not zero",
    HLL_OVERFLOW: "a HyperLogLog string with a run past register 16,383",
    HLL_OVERSIZE: "a dense HyperLogLog string longer than its 12,304 bytes",
    HLL_REGISTER: "a HyperLogLog string with a register above 51",
}


cdef uint64_t hash_of(object data) except? 0:
    cdef const uint8_t[::1] view
    cdef const uint8_t *p = NULL
    cdef uint64_t n
    if PyBytes_CheckExact(data):
        p = <const uint8_t *>PyBytes_AS_STRING(data)
        n = PyBytes_GET_SIZE(data)
    else:
        view = data
        n = view.shape[0]
        if n:
            p = &view[0]
    if n >> 32:
        raise ValueError("data must be shorter than 4 GiB")
    return c_murmur64a(p, <uint32_t>n)


def murmur64a(data not None) -> int:
    """MurmurHash64A with Redis's seed, of less than 4 GiB: what `HyperLogLog.add_hash` takes."""
    return hash_of(data)


def preimage(uint32_t register, uint32_t rank) -> bytes:
    """The 8-byte member that puts `rank` (1–51) into `register` (0–16,383), here and through PFADD.
    Raises ValueError outside of these."""
    cdef uint64_t number
    if register >= HLL_REGISTERS or not 1 <= rank <= HLL_RANK_MAX:
        raise ValueError(f"register {register}, rank {rank}: expected 0 to 16383, 1 to 51")
    number = hll_preimage(register, rank)
    return number.to_bytes(8, "little")


def item_register(uint32_t item) -> tuple[int, int]:
    """(register, rank) of an item that `drain` gave. Raises ValueError if it is none."""
    if not hll_item_valid(item):
        raise ValueError(f"{item:#x} is not an item of a HyperLogLog")
    return hll_item_register(item), hll_item_rank(item)


def portable(bint on) -> bool:
    """Whether the vector loops were in use so far. With `on` the portable ones are from now on; for tests."""
    return registers_portable(on)


def read_redis(const uint8_t[::1] data not None) -> tuple[bytes, int | None]:
    """(registers, cached cardinality or None) of a Redis string: a byte a register, 16,384 of them.
    Raises SketchError."""
    cdef uint8_t nothing = 0
    cdef uint64_t cached = 0, at = 0
    cdef bytes values = PyBytes_FromStringAndSize(NULL, HLL_REGISTERS)
    cdef int fault = hll_decode(&data[0] if data.shape[0] else &nothing, data.shape[0],
                                <uint8_t *>PyBytes_AS_STRING(values), &cached, &at)
    if fault != HLL_OK:
        raise SketchError(FAULTS[fault], at)
    return values, None if cached == HLL_NOT_CACHED else cached


cdef int generation(int gen) except -1:
    if not 0 <= gen <= 1:
        raise ValueError(f"generation {gen}: expected 0 or 1")
    return gen


cdef bint outcome(int changed) except -1:
    if changed < 0:
        raise MemoryError
    return changed


cdef class HyperLogLog:
    cdef hll_t hll

    def __cinit__(self):
        memset(&self.hll, 0, sizeof(hll_t))

    def __dealloc__(self):
        hll_free(&self.hll)

    @classmethod
    def from_redis(cls, const uint8_t[::1] data not None) -> HyperLogLog:
        cdef HyperLogLog self = cls()
        cdef bytes values = read_redis(data)[0]
        outcome(hll_merge_registers(&self.hll, <const uint8_t *>PyBytes_AS_STRING(values), 0))
        hll_drain(&self.hll, 0, NULL)
        return self

    def add(self, member not None, int gen=0) -> bool:
        return outcome(hll_add(&self.hll, hash_of(member), generation(gen)))

    def add_hash(self, uint64_t hash, int gen=0) -> bool:
        return outcome(hll_add(&self.hll, hash, generation(gen)))

    def merge(self, HyperLogLog other not None, int gen=0) -> bool:
        return outcome(hll_merge(&self.hll, &other.hll, generation(gen)))

    def merge_items(self, items, int gen=0) -> bool:
        cdef uint32_t item
        cdef bint changed = False
        generation(gen)
        items = list(items)
        for item in items:
            if not hll_item_valid(item):
                raise ValueError(f"{item:#x} is not an item of a HyperLogLog")
        for item in items:
            changed |= outcome(hll_put(&self.hll, item, gen))
        return changed

    def merge_registers(self, const uint8_t[::1] values not None, int gen=0) -> bool:
        cdef int i
        if values.shape[0] != HLL_REGISTERS:
            raise ValueError(f"{values.shape[0]} registers: expected 16384, a byte each")
        for i in range(HLL_REGISTERS):
            if values[i] > HLL_RANK_MAX:
                raise ValueError(f"register {i} is {values[i]}: expected 0 to 51")
        return outcome(hll_merge_registers(&self.hll, &values[0], generation(gen)))

    def drain(self, int gen=0) -> list[int]:
        cdef uint32_t n = hll_changed(&self.hll, generation(gen)), i
        cdef bytes room = PyBytes_FromStringAndSize(NULL, n * 4)
        cdef uint32_t *items = <uint32_t *>PyBytes_AS_STRING(room)
        hll_drain(&self.hll, gen, items)
        return [items[i] for i in range(n)]

    def count(self) -> int:
        return hll_count(&self.hll)

    def redis_count(self) -> int:
        return hll_redis_count(&self.hll)

    @property
    def error(self) -> float:
        return hll_error(&self.hll)

    @property
    def form(self) -> str:
        return FORMS.get(self.hll.form, "empty")

    @property
    def memory(self) -> int:
        return hll_memory(&self.hll)

    def cost(self, int gen=0) -> int:
        return hll_cost(&self.hll, generation(gen))

    def registers(self) -> bytes:
        cdef bytes values = PyBytes_FromStringAndSize(NULL, HLL_REGISTERS)
        hll_registers(&self.hll, <uint8_t *>PyBytes_AS_STRING(values))
        return values

    def to_redis(self, *, str encoding="auto", bint cached=True) -> bytes:
        cdef uint8_t values[HLL_REGISTERS]
        cdef bytes room = PyBytes_FromStringAndSize(NULL, HLL_DENSE_STRING)
        cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(room)
        cdef uint64_t number = hll_count(&self.hll) if cached else HLL_NOT_CACHED
        cdef uint64_t n = 0
        if encoding not in ("auto", "sparse", "dense"):
            raise ValueError(f"encoding {encoding!r}: expected 'auto', 'sparse' or 'dense'")
        hll_registers(&self.hll, values)
        if encoding != "dense":
            n = hll_encode_sparse(values, number, out, HLL_SPARSE_LIMIT if encoding == "auto" else HLL_DENSE_STRING)
            if n == 0 and encoding == "sparse":
                raise ValueError("this sketch has no sparse form: a register above 32, or longer than the dense one")
        if n == 0:
            n = hll_encode_dense(values, number, out)
        return room[:n]
