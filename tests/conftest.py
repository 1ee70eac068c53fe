"""How Hypothesis searches.

`ci` draws the same examples every time, so a red test means a changed program. `wide` draws new ones and more of
them: `HYPOTHESIS_PROFILE=wide make test`.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("wide", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
