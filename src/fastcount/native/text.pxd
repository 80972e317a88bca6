# What a type, an id and a member may be made of (docs/wire-format.md, "Records").

from libc.stdint cimport uint8_t, uint32_t

cdef extern from * nogil:
    """
    static const unsigned char fc_type_byte[256] = {
        ['-'] = 1, ['.'] = 1, ['_'] = 1,
        ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
        ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
        ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1,
        ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
        ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1,
        ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1,
        ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
    };
    """
    const uint8_t fc_type_byte[256]


cdef inline bint text_valid(const uint8_t *p, uint32_t n) noexcept nogil:
    """p[:n] is UTF-8 (RFC 3629: shortest form, no surrogates) without control characters (category Cc)."""
    cdef uint32_t i = 0
    cdef uint8_t c, d
    while i < n:
        c = p[i]
        if c < 0x80:
            if c < 0x20 or c == 0x7F:
                return False
            i += 1
        elif c < 0xC2:
            return False
        elif c < 0xE0:
            if i + 1 >= n or (p[i + 1] & 0xC0) != 0x80:
                return False
            if c == 0xC2 and p[i + 1] < 0xA0:  # U+0080–U+009F
                return False
            i += 2
        elif c < 0xF0:
            if i + 2 >= n or (p[i + 1] & 0xC0) != 0x80 or (p[i + 2] & 0xC0) != 0x80:
                return False
            d = p[i + 1]
            if (c == 0xE0 and d < 0xA0) or (c == 0xED and d >= 0xA0):
                return False
            i += 3
        elif c < 0xF5:
            if (i + 3 >= n or (p[i + 1] & 0xC0) != 0x80 or (p[i + 2] & 0xC0) != 0x80
                    or (p[i + 3] & 0xC0) != 0x80):
                return False
            d = p[i + 1]
            if (c == 0xF0 and d < 0x90) or (c == 0xF4 and d >= 0x90):
                return False
            i += 4
        else:
            return False
    return True


cdef inline bint type_valid(const uint8_t *p, uint32_t n) noexcept nogil:
    """p[:n] is 1–64 bytes of [A-Za-z0-9_.-]."""
    cdef uint32_t i
    if n < 1 or n > 64:
        return False
    for i in range(n):
        if not fc_type_byte[p[i]]:
            return False
    return True
