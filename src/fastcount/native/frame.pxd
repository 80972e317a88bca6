# Decoding a frame of wire version 1 (docs/wire-format.md).
#
# A frame is decoded whole into records before anything is applied. Names stay where they are: a record holds their
# offsets from `base`, the start of the buffer that all frames of a receive batch lie in, so that batch must stay
# untouched until its records are applied. The hash is taken while the bytes are at hand.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastcount.native.hash cimport hash_bytes, hash_key_t, text_suspicious
from fastcount.native.keys cimport TRAILER, keys_fault, keys_t
from fastcount.native.text cimport text_valid, type_valid
from fastcount.native.types cimport TYPE_UNKNOWN, types_find, types_intern, types_t

cdef enum:
    MAGIC = 0xFC
    VERSION = 1
    SEQUENCED = 1
    SIGNED = 2
    MAX_FRAME = 1 << 20
    OP_CONTROL = 0
    OP_INC = 1
    OP_ADD = 2
    OP_SEEN = 3
    OP_SAMPLE = 4
    OP_HIT = 5
    CONTROL_TYPE = 1
    CONTROL_TIME = 2
    CONTROL_END = 3

# in the order of fastcount.wire.ERRORS
cdef enum:
    E_NONE, E_MAGIC, E_VERSION, E_FLAGS, E_TRUNCATED, E_VARINT, E_RESERVED, E_NO_TYPE, E_TYPE, E_ID, E_MEMBER, E_END
    E_SENT, E_OVERSIZE, E_SIGNATURE, N_ERRORS

cdef struct record_t:  # 32 bytes
    uint64_t hash
    int64_t delta
    uint32_t id         # offset from base
    uint32_t member     # likewise; only where op has one
    uint16_t type       # TYPE_UNKNOWN: not known when decoded
    uint16_t op_length  # op << 10 | bytes of the id
    uint8_t member_length

cdef struct frame_t:
    # header
    uint64_t source
    uint64_t seq
    uint64_t sent
    uint8_t flags
    # content
    uint32_t records      # data records, all written to `out`
    bint ended            # END was its last record
    bint members          # a record has one
    bint unknown_type     # a record has TYPE_UNKNOWN
    # when it did not decode
    uint32_t error_at     # offset from the start of the frame


cdef inline const uint8_t *varint(const uint8_t *p, const uint8_t *end, uint64_t *out, int *error) noexcept nogil:
    """LEB128, shortest form, below 2^64. Returns the byte after it; NULL, with `error`, when there is none."""
    cdef uint64_t v = 0
    cdef int shift = 0
    cdef uint8_t b
    while p < end:
        b = p[0]
        p += 1
        if shift == 63 and b > 1:
            error[0] = E_VARINT
            return NULL
        v |= <uint64_t>(b & 0x7F) << shift
        if b < 0x80:
            if b == 0 and shift > 0:
                error[0] = E_VARINT
                return NULL
            out[0] = v
            return p
        shift += 7
    error[0] = E_TRUNCATED
    return NULL


cdef inline int64_t unzigzag(uint64_t v) noexcept nogil:
    return <int64_t>((v >> 1) ^ (0 - (v & 1)))


cdef inline int fault(frame_t *f, const uint8_t *at, const uint8_t *start, int error) noexcept nogil:
    f.error_at = <uint32_t>(at - start)
    return error


cdef inline int frame_header(const uint8_t *start, uint64_t size, const keys_t *keys, frame_t *f,
                             const uint8_t **body) noexcept nogil:
    """Everything before the first record. Returns E_NONE, or the error."""
    cdef const uint8_t *p = start
    cdef const uint8_t *end = start + size
    cdef const uint8_t *q
    cdef int error = E_NONE, i
    f.source = f.seq = f.sent = 0
    f.records = 0
    f.flags = 0
    f.ended = f.unknown_type = f.members = False
    if size > MAX_FRAME:
        return fault(f, start, start, E_OVERSIZE)
    if size < 1:
        return fault(f, start, start, E_TRUNCATED)
    if p[0] != MAGIC:
        return fault(f, p, start, E_MAGIC)
    if size < 2:
        return fault(f, end, start, E_TRUNCATED)
    if p[1] != VERSION:
        return fault(f, p + 1, start, E_VERSION)
    if size < 3:
        return fault(f, end, start, E_TRUNCATED)
    if p[2] & ~(SEQUENCED | SIGNED):
        return fault(f, p + 2, start, E_FLAGS)
    f.flags = p[2]
    p += 3
    if f.flags & SIGNED:
        if size < 3 + TRAILER:
            return fault(f, p, start, E_TRUNCATED)
        end -= TRAILER
        q = keys_fault(keys, start, size)
        if q != NULL:
            return fault(f, q, start, E_SIGNATURE)
    elif keys != NULL and keys.required:
        return fault(f, p - 1, start, E_SIGNATURE)
    if f.flags & SEQUENCED:
        if end - p < 8:
            return fault(f, p, start, E_TRUNCATED)
        for i in range(8):
            f.source |= <uint64_t>p[i] << (8 * i)
        p += 8
        q = varint(p, end, &f.seq, &error)
        if q == NULL:
            return fault(f, p, start, error)
        p = q
        q = varint(p, end, &f.sent, &error)
        if q == NULL:
            return fault(f, p, start, error)
        if f.sent > <uint64_t>1 << 53:
            return fault(f, p, start, E_SENT)
        p = q
    body[0] = p
    return E_NONE


cdef inline int frame_records(const uint8_t *base, const uint8_t *start, const uint8_t *p, const uint8_t *end,
                              types_t *types, const hash_key_t *key, bint intern, record_t *out,
                              frame_t *f) noexcept nogil:
    """The records in p..end. `out` has room for (end - p) / 2 of them. With `intern` a type that has a record and is
    not known is added. Returns E_NONE, or the error."""
    cdef const uint8_t *at
    cdef const uint8_t *q
    cdef const uint8_t *type_name = NULL
    cdef uint32_t type_length = 0, type = TYPE_UNKNOWN, n, op
    cdef uint64_t seed = 0, v, suspect
    cdef record_t *r = out
    cdef int error = E_NONE
    f.unknown_type = f.ended = f.members = False
    while p < end:
        at = p
        op = p[0] >> 5
        n = p[0] & 31
        p += 1
        if op == OP_CONTROL:
            if n == CONTROL_TYPE:
                if p == end:
                    return fault(f, p, start, E_TRUNCATED)
                n = p[0]
                if n < 1 or n > 64:
                    return fault(f, p, start, E_TYPE)
                p += 1
                if end - p < n:
                    return fault(f, p, start, E_TRUNCATED)
                if not type_valid(p, n):
                    return fault(f, p, start, E_TYPE)
                type_name = p
                type_length = n
                type = types_find(types, key, p, n, &seed)
                p += n
            elif n == CONTROL_TIME:
                q = varint(p, end, &v, &error)
                if q == NULL:
                    return fault(f, p, start, error)
                p = q
            elif n == CONTROL_END:
                if not f.flags & SEQUENCED or p != end:
                    return fault(f, at, start, E_END)
                f.ended = True
            else:
                return fault(f, at, start, E_RESERVED)
            continue
        if op > OP_HIT:
            return fault(f, at, start, E_RESERVED)
        if type_name == NULL:
            return fault(f, at, start, E_NO_TYPE)
        if type == TYPE_UNKNOWN:
            if intern:
                type = types_intern(types, key, type_name, type_length)
            f.unknown_type |= type == TYPE_UNKNOWN
        if n == 0:
            q = varint(p, end, &v, &error)
            if q == NULL:
                return fault(f, p, start, error)
            if v < 32:
                return fault(f, p, start, E_VARINT)
            if v > 1023:
                return fault(f, p, start, E_ID)
            n = <uint32_t>v
            p = q
        if end - p < n:
            return fault(f, p, start, E_TRUNCATED)
        suspect = 0
        r.hash = hash_bytes(p, n, seed, key, &suspect)
        if suspect and not text_valid(p, n):
            return fault(f, p, start, E_ID)
        r.id = <uint32_t>(p - base)
        r.type = <uint16_t>type
        r.op_length = <uint16_t>(op << 10 | n)
        r.delta = 1
        p += n
        if op != OP_INC:
            if op == OP_ADD:
                q = varint(p, end, &v, &error)
                if q == NULL:
                    return fault(f, p, start, error)
                r.delta = unzigzag(v)
                p = q
            else:
                if p == end:
                    return fault(f, p, start, E_TRUNCATED)
                n = p[0]
                if n == 0:
                    return fault(f, p, start, E_MEMBER)
                p += 1
                if end - p < n:
                    return fault(f, p, start, E_TRUNCATED)
                if text_suspicious(p, n) and not text_valid(p, n):
                    return fault(f, p, start, E_MEMBER)
                f.members = True
                r.member = <uint32_t>(p - base)
                r.member_length = <uint8_t>n
                p += n
        r += 1
    f.records = <uint32_t>(r - out)
    return E_NONE
