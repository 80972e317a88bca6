"""A HyperLogLog as slow and plain as it can be: a list of 16,384 numbers, and Redis's strings by the letter."""

import math

SEED = 0xADC83B19
MULTIPLIER = 0xC6A4A7935BD1E995
WORD = 2**64
REGISTERS = 16384


def murmur64a(data: bytes) -> int:
    """MurmurHash64A as Austin Appleby published it, input read as little-endian."""
    h = (SEED ^ (len(data) * MULTIPLIER)) % WORD
    whole = len(data) - len(data) % 8
    for i in range(0, whole, 8):
        k = int.from_bytes(data[i : i + 8], "little") * MULTIPLIER % WORD
        k ^= k >> 47
        k = k * MULTIPLIER % WORD
        h = (h ^ k) * MULTIPLIER % WORD
    if data[whole:]:
        h = (h ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER % WORD
    h ^= h >> 47
    h = h * MULTIPLIER % WORD
    return h ^ (h >> 47)


def place(hash: int) -> tuple[int, int]:
    """(register, rank) of a hash."""
    rest = hash >> 14
    for position in range(50):
        if rest >> position & 1:
            return hash % REGISTERS, position + 1
    return hash % REGISTERS, 51


def estimate(registers: list[int]) -> int:
    """Ertl 2017 (arXiv:1702.01284), algorithm 6."""
    histogram = [0] * 52
    for value in registers:
        histogram[value] += 1
    z = REGISTERS * tau(1 - histogram[51] / REGISTERS)
    for value in range(50, 0, -1):
        z = (z + histogram[value]) / 2
    z += REGISTERS * sigma(histogram[0] / REGISTERS)
    if math.isinf(z):
        return 0
    number = REGISTERS**2 / (2 * math.log(2)) / z if z else math.inf
    return 2**63 - 1 if number >= 2**63 else math.floor(number + 0.5)


def sigma(x: float) -> float:
    if x == 1:
        return math.inf
    total, k = x, 1
    while True:
        x *= x
        before, total = total, total + x * 2.0 ** (k - 1)
        if total == before:
            return total
        k += 1


def tau(x: float) -> float:
    if x in (0, 1):
        return 0
    total, k = 1 - x, 1
    while True:
        x = math.sqrt(x)
        before, total = total, total - (1 - x) ** 2 * 2.0**-k
        if total == before:
            return total / 3
        k += 1


class Hll:
    """`hashes`: of the members seen."""

    def __init__(self) -> None:
        self.registers = [0] * REGISTERS
        self.hashes: set[int] = set()

    def add(self, member: bytes) -> bool:
        """Whether a register changed."""
        hash = murmur64a(member)
        self.hashes.add(hash)
        register, rank = place(hash)
        changed = rank > self.registers[register]
        self.registers[register] = max(rank, self.registers[register])
        return changed

    def estimate(self) -> int:
        return estimate(self.registers)


def header(encoding: int, cached: int | None) -> bytes:
    return b"HYLL" + bytes([encoding, 0, 0, 0]) + (1 << 63 if cached is None else cached).to_bytes(8, "little")


def dense(registers: list[int], cached: int | None) -> bytes:
    """Register i at bit 6i of one long little-endian number: four registers in three bytes."""
    fours = (registers[i : i + 4] for i in range(0, REGISTERS, 4))
    return header(0, cached) + b"".join((a | b << 6 | c << 12 | d << 18).to_bytes(3, "little") for a, b, c, d in fours)


def sparse(registers: list[int], cached: int | None) -> bytes:
    """With the longest runs possible. ValueError where a register is above 32."""
    out = bytearray(header(1, cached))
    i = 0
    while i < REGISTERS:
        value, run = registers[i], 1
        while i + run < REGISTERS and registers[i + run] == value and (value == 0 or run < 4):
            run += 1
        if value > 32:
            raise ValueError(value)
        if value:
            out.append(0x80 + (value - 1) * 4 + run - 1)
        elif run <= 64:
            out.append(run - 1)
        else:
            out += (0x4000 + run - 1).to_bytes(2, "big")
        i += run
    return bytes(out)


def parse(data: bytes) -> list[int] | None:
    """The registers of a string, or None for a malformed one."""
    if len(data) < 16 or data[:4] != b"HYLL" or data[4] > 1 or any(data[5:8]):
        return None
    if data[4] == 0:
        if len(data) != 12304:
            return None
        words = (int.from_bytes(data[i : i + 3], "little") for i in range(16, 12304, 3))
        registers = [word >> shift & 63 for word in words for shift in (0, 6, 12, 18)]
        return registers if max(registers) <= 51 else None
    registers = []
    rest = list(data[16:])
    while rest:
        op = rest.pop(0)
        if op >= 0x80:
            registers += [(op - 0x80) // 4 + 1] * (op % 4 + 1)
        elif op >= 0x40:
            if not rest:
                return None
            registers += [0] * ((op - 0x40) * 256 + rest.pop(0) + 1)
        else:
            registers += [0] * (op + 1)
    return registers if len(registers) == REGISTERS else None
