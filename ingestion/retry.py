"""Retry or give up, and how long to wait: pure decisions."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How a collector comes back after its connection ended."""

    first_delay_s: float = 1.0
    delay_s_max: float = 60.0
    attempts_max: int = -1  # -1: for ever
    enabled: bool = True

    def delays_s(self, rng: random.Random) -> Iterator[float]:
        """Seconds to wait before each next attempt: doubling, capped, and jittered so that a herd spreads out.

        Ends when no attempt is left.

        >>> [round(d, 1) for d in RetryPolicy(1.0, 4.0, 4).delays_s(random.Random(7))]
        [0.7, 1.2, 3.3, 2.1]
        """
        if not self.enabled:
            return
        attempt = 0
        while self.attempts_max < 0 or attempt < self.attempts_max:
            ceiling = min(self.delay_s_max, self.first_delay_s * 2 ** min(attempt, 32))
            yield ceiling * rng.uniform(0.5, 1.0)
            attempt += 1
