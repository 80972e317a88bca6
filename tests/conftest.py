"""Hypothesis profiles: the same examples every time in ``make test``; FASTCOUNT_HYPOTHESIS=soak looks for new ones."""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {
    "deadline": None,
    "phases": [Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("ci", derandomize=True, max_examples=60, stateful_step_count=40, **_COMMON)
settings.register_profile("soak", max_examples=3000, stateful_step_count=80, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("FASTCOUNT_HYPOTHESIS", "ci"))
