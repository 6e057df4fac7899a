"""Hypothesis profiles: the ordinary one keeps the suite short, `thorough` (HYPOTHESIS_PROFILE=thorough) digs deeper."""
import os
import sys
from pathlib import Path

# The matrices here are small: on a busy machine BLAS waits for its threads far longer than it multiplies.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis  # noqa: E402

# The scripts of the lecture import each other by name, as they do when they are run; pages import them from the checkout.
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "lectures" / "lecture02")]

# No test depends on a clock, Hypothesis's deadline included; derandomized, so that a run can be repeated.
# Without the phase that explains: it runs a hundred more examples, also for every `find`, and changes no verdict.
quick = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile("ordinary", max_examples=15, deadline=None, derandomize=True, phases=quick)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))
