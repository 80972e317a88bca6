"""Algorithm L (Li 1994) and the merge of two reservoirs, on lists, with the native part's random numbers."""

import math

MASK = (1 << 64) - 1
Event = tuple[bytes, bytes, int]


def _rotl(x: int, n: int) -> int:
    return (x << n | x >> (64 - n)) & MASK


class TwinRandom:
    """xoshiro256** (Blackman, Vigna 2021), seeded by SplitMix64."""

    def __init__(self, seed: int) -> None:
        self.s: list[int] = []
        for i in range(1, 5):
            z = seed + i * 0x9E3779B97F4A7C15 & MASK
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
            z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
            self.s.append(z ^ z >> 31)

    def next(self) -> int:
        s = self.s
        out = _rotl(s[1] * 5 & MASK, 7) * 9 & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = _rotl(s[3], 45)
        return out

    def unit(self) -> float:
        return ((self.next() >> 12) + 0.5) / 2**52

    def below(self, n: int) -> int:
        while (x := self.next()) < 2**64 % n:
            pass
        return x % n

    def gamma(self, shape: float) -> float:
        """Marsaglia, Tsang 2000."""
        d = shape - 1 / 3
        c = 1 / math.sqrt(9 * d)
        while True:
            x = math.sqrt(-2 * math.log(self.unit())) * math.cos(2 * math.pi * self.unit())
            v = 1 + c * x
            if v > 0:
                v = v * v * v
                if math.log(self.unit()) < 0.5 * x * x + d - d * v + d * math.log(v):
                    return d * v


class TwinReservoir:
    def __init__(self, k: int, seed: int) -> None:
        self.k = k
        self.random = TwinRandom(seed)
        self._empty()

    def _empty(self) -> None:
        self.events: list[Event] = []
        self.seen = 0
        self.keep_at = 0  # the number of the next event to keep
        self.log_w = 0.0

    def _draw(self) -> None:
        skip = math.log(self.random.unit()) / math.log1p(-math.exp(self.log_w))
        self.keep_at = self.seen + int(skip)

    def offer(self, event: Event) -> bool:
        number = self.seen
        self.seen += 1
        if len(self.events) == self.k and number < self.keep_at:
            return False
        if len(self.events) < self.k:
            self.events.append(event)
        else:
            self.events[self.random.below(self.k)] = event
        if len(self.events) == self.k:
            self.log_w += math.log(self.random.unit()) / self.k
            self._draw()
        return True

    def take(self) -> "TwinReservoir":
        out = TwinReservoir(self.k, self.random.next())
        out.events, out.seen, out.keep_at, out.log_w = self.events, self.seen, self.keep_at, self.log_w
        self._empty()
        return out

    def _pick(self, events: list[Event], wanted: int) -> list[Event]:
        out: list[Event] = []
        for i, event in enumerate(events):
            if self.random.below(len(events) - i) < wanted - len(out):
                out.append(event)
        return out

    def merge(self, other: "TwinReservoir") -> None:
        mine, theirs = self.seen, other.seen
        self.k = min(self.k, other.k)
        self.seen = mine + theirs
        total = min(self.k, self.seen)
        wanted = 0
        for i in range(total):
            wanted += self.random.below(self.seen - i) < mine - wanted
        self.events = self._pick(self.events, wanted) + self._pick(other.events, total - wanted)
        self.keep_at, self.log_w = self.seen, 0.0
        if total == self.k:
            a, b = self.random.gamma(self.k), self.random.gamma(self.seen - self.k + 1)
            self.log_w = math.log(a / (a + b))
            self._draw()
