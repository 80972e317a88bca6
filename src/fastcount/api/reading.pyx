"""The answers to a GET of one counter and of its uniques, built in C: the JSON for every route, and the whole answer to
the plainest request.

A request costs little more than its socket calls here, so an interpreted regular expression and two ``%`` formats
would double it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, strlen
from libc.time cimport time_t, tm

from fastcount.errors import InvalidName

cdef extern from "<time.h>" nogil:
    tm *gmtime_r(const time_t *, tm *)

cdef extern from "Python.h":
    char *PyOS_double_to_string(double value, char format, int precision, int flags, int *type) except NULL
    int Py_DTSF_ADD_DOT_0

cdef enum:
    MAX_TYPE = 64
    MAX_ID = 1023
    MAX_BODY = 4096  # at most 64 + 2 * 1,023 bytes of names, 3 numbers of 20 and 90 bytes around them
    MAX_LENGTH = 20  # of a number in decimal
    STAMP = 24  # 2026-11-23T21:00:00.123Z

cdef const char *START = b"GET /v1/counter/"
cdef const char *END = b" HTTP/1.1\r\n"
cdef const char *UNIQUE = b"/unique"
cdef const char *LENGTH = b"content-length: "
cdef const char *BLANK = b"\r\n\r\n"
cdef Py_ssize_t START_SIZE = 16, END_SIZE = 11, UNIQUE_SIZE = 7, LENGTH_SIZE = 16, BLANK_SIZE = 4

# Bytes that mean themselves in a path to every URL parser (RFC 3986, pchar without %), and the value of a hex digit.
cdef uint8_t IN_ID[256]
cdef uint8_t HEX[256]
cdef int _c
for _c in range(256):
    IN_ID[_c] = (48 <= _c < 58) or (65 <= _c < 91) or (97 <= _c < 123) or _c in b"-._~!$&'()*+,;=:@"
    HEX[_c] = _c - 48 if 48 <= _c < 58 else (_c | 32) - 87 if (_c | 32) in b"abcdef" else 255


cdef inline char *put(char *out, const char *text, Py_ssize_t size) noexcept nogil:
    memcpy(out, text, size)
    return out + size


cdef inline char *put_number(char *out, int64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int n = 0
    cdef uint64_t rest = <uint64_t>value
    if value < 0:
        out[0] = b"-"
        out += 1
        rest = 0 - rest
    while True:
        digits[n] = <char>(48 + rest % 10)
        rest //= 10
        n += 1
        if rest == 0:
            break
    while n:
        n -= 1
        out[0] = digits[n]
        out += 1
    return out


cdef inline char *put_quoted(char *out, const char *text, Py_ssize_t size) noexcept nogil:
    """The inside of a JSON string. `text` was validated: UTF-8 without control characters, so only two bytes need an
    escape (RFC 8259, section 7)."""
    cdef Py_ssize_t i
    for i in range(size):
        if text[i] == b'"' or text[i] == b"\\":
            out[0] = b"\\"
            out += 1
        out[0] = text[i]
        out += 1
    return out


cdef char *put_name(char *out, bytes type_, bytes id_) except NULL:
    """The members that each answer begins with, up to the closing quote."""
    if PyBytes_GET_SIZE(type_) > MAX_TYPE or PyBytes_GET_SIZE(id_) > MAX_ID:
        raise ValueError("the store took a name that is too long")
    out = put(out, b'{"type":"', 9)
    out = put_quoted(out, PyBytes_AS_STRING(type_), PyBytes_GET_SIZE(type_))
    out = put(out, b'","id":"', 8)
    return put_quoted(out, PyBytes_AS_STRING(id_), PyBytes_GET_SIZE(id_))


cdef inline void put_padded(char *out, int value, int width) noexcept nogil:
    while width:
        width -= 1
        out[width] = <char>(48 + value % 10)
        value //= 10


cdef class Reader:
    """read: `Store.read`. unique: `Store.unique`. clock: Unix seconds, asked once a read."""

    cdef object read
    cdef object unique
    cdef object clock
    cdef int64_t ms  # of `text`
    cdef char text[STAMP]

    def __init__(self, read, unique, clock):
        self.read = read
        self.unique = unique
        self.clock = clock
        self.ms = -1
        memcpy(self.text, b"0000-00-00T00:00:00.000Z", STAMP)

    cdef int tick(self) except -1:
        """Bring `text` up to now; it is written anew once a millisecond."""
        cdef int64_t ms = <int64_t>(<double>self.clock() * 1000.0)
        cdef time_t seconds = ms // 1000
        cdef tm t
        if ms != self.ms:
            if gmtime_r(&seconds, &t) == NULL:
                raise OverflowError("the clock shows no year")
            put_padded(self.text, t.tm_year + 1900, 4)
            put_padded(self.text + 5, t.tm_mon + 1, 2)
            put_padded(self.text + 8, t.tm_mday, 2)
            put_padded(self.text + 11, t.tm_hour, 2)
            put_padded(self.text + 14, t.tm_min, 2)
            put_padded(self.text + 17, t.tm_sec, 2)
            put_padded(self.text + 20, <int>(ms % 1000), 3)
            self.ms = ms
        return 0

    def stamp(self):
        self.tick()
        return PyBytes_FromStringAndSize(self.text, STAMP)

    cdef Py_ssize_t write(self, char *out, bytes type_, bytes id_) except -1:
        """The JSON of a counter, at most MAX_BODY bytes; how many there are."""
        cdef char *p = out
        cdef int64_t value, pending, lost
        value, pending, lost = self.read(type_, id_)
        self.tick()
        p = put_name(p, type_, id_)
        p = put(p, b'","value":', 10)
        p = put_number(p, value)
        p = put(p, b',"as_of":"', 10)
        p = put(p, self.text, STAMP)
        p = put(p, b'","pending":', 12)
        p = put_number(p, pending)
        p = put(p, b',"lost":', 8)
        p = put_number(p, lost)
        p = put(p, b"}", 1)
        return p - out

    cdef Py_ssize_t write_unique(self, char *out, bytes type_, bytes id_) except -1:
        """The JSON of its uniques, as `write`."""
        cdef char *p = out
        cdef char *digits
        cdef int64_t distinct
        cdef double error
        distinct, error = self.unique(type_, id_)
        p = put_name(p, type_, id_)
        p = put(p, b'","unique":', 11)
        p = put_number(p, distinct)
        p = put(p, b',"error":', 9)
        digits = PyOS_double_to_string(error, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)  # as repr() and JSON have it
        p = put(p, digits, strlen(digits))
        PyMem_Free(digits)
        p = put(p, b"}", 1)
        return p - out

    def body(self, bytes type_ not None, bytes id_ not None, /):
        cdef char out[MAX_BODY]
        cdef Py_ssize_t size = self.write(out, type_, id_)
        return PyBytes_FromStringAndSize(out, size)

    def unique_body(self, bytes type_ not None, bytes id_ not None, /):
        cdef char out[MAX_BODY]
        cdef Py_ssize_t size = self.write_unique(out, type_, id_)
        return PyBytes_FromStringAndSize(out, size)

    def simple(self, bytes data not None, bytes block not None, bytes head not None, /):
        cdef const char *p = PyBytes_AS_STRING(data)
        cdef const char *line_end
        cdef const char *start
        cdef char id_[MAX_ID]
        cdef char out[MAX_BODY]
        cdef char length[MAX_LENGTH]
        cdef char *q
        cdef Py_ssize_t size, digits, n = 0, line = PyBytes_GET_SIZE(data) - PyBytes_GET_SIZE(block)
        cdef uint8_t c, high, low
        cdef bytes type_, name
        cdef bint unique = False
        if line <= START_SIZE + END_SIZE or memcmp(p, START, START_SIZE) != 0:
            return None
        line_end = p + line - END_SIZE
        if memcmp(line_end, END, END_SIZE) != 0:
            return None
        if memcmp(p + line, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block)) != 0:
            return None
        p += START_SIZE
        start = p
        while p < line_end and IN_ID[<uint8_t>p[0]]:
            p += 1
        if p == line_end or p[0] != b"/" or p - start > MAX_TYPE:
            return None
        type_ = PyBytes_FromStringAndSize(start, p - start)
        p += 1
        while p < line_end:
            c = <uint8_t>p[0]
            p += 1
            if c == b"%":
                if line_end - p < 2:
                    return None
                high, low = HEX[<uint8_t>p[0]], HEX[<uint8_t>p[1]]
                if high == 255 or low == 255:
                    return None
                c = high << 4 | low
                p += 2
            elif not IN_ID[c]:
                p -= 1
                unique = line_end - p == UNIQUE_SIZE and memcmp(p, UNIQUE, UNIQUE_SIZE) == 0
                if not unique:
                    return None
                break
            if n == MAX_ID:
                return None
            id_[n] = <char>c
            n += 1
        name = PyBytes_FromStringAndSize(id_, n)
        try:
            size = self.write_unique(out, type_, name) if unique else self.write(out, type_, name)
        except InvalidName:
            return None
        digits = put_number(length, size) - length
        cdef bytes answer = PyBytes_FromStringAndSize(
            NULL, PyBytes_GET_SIZE(head) + LENGTH_SIZE + digits + BLANK_SIZE + size
        )
        q = put(PyBytes_AS_STRING(answer), PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        q = put(q, LENGTH, LENGTH_SIZE)
        q = put(q, length, digits)
        q = put(q, BLANK, BLANK_SIZE)
        put(q, out, size)
        return answer
