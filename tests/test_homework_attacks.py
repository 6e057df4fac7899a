"""Submissions that want points without an answer, or do harm: one real process for each kind of attack.

None of them is looked for. The process that runs a submission has nothing worth having, and the grader decides on
numbers.
"""
import json
import textwrap
import time

import numpy as np
import pytest

from nfnumpy.homework import packs
from nfnumpy.homework.judge import judge
from nfnumpy.homework.runner import ChildProcess
from nfnumpy.homework.sources import read_source

PART = "log_density_1d"
RIGHT = packs.exercise("change_of_variables_1d").answer
CREDITS = {"opposite": 0.5, "false_alarm": 0.25}


def verdict_of(text, seconds=20.0, name="change_of_variables_1d.py", seed=7):
    """The verdict on a submission in a process of its own."""
    source = read_source(name, textwrap.dedent(text).encode())
    source.started = [PART]
    child = ChildProcess("change_of_variables_1d", seconds)
    verdict = judge(packs.exercise("change_of_variables_1d"), source, [PART], 0, seed, CREDITS, child)[PART]
    assert child.process.poll() is not None                      # nothing is left running
    return verdict, child


def test_a_right_answer_in_a_process_of_its_own():
    """With prints, self-checks with the package's checks and plots, and pictures, which all cost nothing."""
    verdict, child = verdict_of("""
        import matplotlib.pyplot as plt
        import nfnumpy as nf
        from nfnumpy.plot import density
        fig, ax = plt.subplots()
        ax.plot([1, 2])
        nf.testing.check_flow(None, None)
        density(None)
        print("score: 100 of 100")
        """ + textwrap.indent(RIGHT, " " * 8))
    assert verdict.credit == 1 and all(result.holds for result in verdict.results)
    assert child.printed == "score: 100 of 100\n"


ATTACKS = {
    "an object equal to everything": ("""
        class Everything(float):
            def __eq__(self, other): return True
            __le__ = __lt__ = __ge__ = __gt__ = __ne__ = __eq__
            def __array__(self, *args, **kwargs): return self
            def __sub__(self, other): return 0.0
            __rsub__ = __abs__ = __sub__
            shape = (1,)
        def log_density_1d(x, f, df, log_prob_z):
            return Everything(0)
        """, "expected"),
    "a patched numpy": ("""
        import numpy as np
        np.allclose = np.isclose = np.array_equal = np.abs = np.argwhere = lambda *args, **kwargs: np.zeros(())
        np.testing.assert_allclose = lambda *args, **kwargs: None
        def log_density_1d(x, f, df, log_prob_z):
            return np.zeros(len(x))
        """, "expected log_p[0]"),
    "exit with success": ("""
        import os
        os._exit(0)
        """, "its process ended before it answered, with status 0"),
    "SystemExit in the function": ("""
        def log_density_1d(x, f, df, log_prob_z):
            raise SystemExit(0)
        """, "it raised SystemExit: 0"),
    "a printed score, and rubbish in every pipe": ("""
        import os
        print("10 of 10 points\\n" * 10000)
        for descriptor in range(3, 12):
            try:
                os.write(descriptor, b"10 of 10 points" * 100)
            except OSError:
                pass
        """, "rubbish"),
    "the library's answer": ("""
        import nfnumpy as nf
        def log_density_1d(x, f, df, log_prob_z):
            return nf.NormalizingFlow(nf.Diagonal(1)).log_prob(x[:, None])
        """, "nfnumpy.NormalizingFlow is not there when homework is graded"),
    "a missing package": ("""
        import a_package_that_nobody_has
        """, "No module named 'a_package_that_nobody_has'"),
    "no Python at all": ("""
        def log_density_1d(x, f df):
        """, "SyntaxError"),
    "memory without end": ("""
        import numpy as np
        kept = np.ones(1 << 40)
        """, "MemoryError"),
    "a crash": ("""
        import ctypes
        def log_density_1d(x, f, df, log_prob_z):
            ctypes.string_at(0)
        """, "its process crashed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_nothing_and_its_reason(name):
    text, reason = ATTACKS[name]
    verdict, _ = verdict_of(text)
    assert verdict.credit == 0
    assert reason in verdict.reason or any(reason in result.seen for result in verdict.results), verdict


def test_one_that_forks_and_hangs_is_ended_with_its_children(tmp_path):
    """The children would leave a mark later; none does, and none holds up the grader."""
    verdict, _ = verdict_of(f"""
        import os, time
        for _ in range(3):
            if hasattr(os, "fork") and os.fork() == 0:
                time.sleep(0.8)
                open({str(tmp_path / "mark")!r}, "a").close()
                os._exit(0)
        while True:
            pass
        """, seconds=0.5)
    assert verdict.credit == 0 and "longer than 0.5 seconds" in verdict.reason
    time.sleep(0.6)
    assert not (tmp_path / "mark").exists()


def test_answers_at_the_visible_inputs_only_get_nothing():
    """All that `check` shows a student, learned by heart."""
    cases = packs.exercise("change_of_variables_1d").cases
    known = [case for case in cases(np.random.default_rng(0), 0) if not case.hidden]
    table = {(tuple(case.x), round(float(case.f(np.zeros(1) + 2)[0]), 6)): case.expected(case.x).tolist()
             for case in known}
    verdict, _ = verdict_of(f"""
        import numpy as np
        table = {table!r}
        def log_density_1d(x, f, df, log_prob_z):
            return np.array(table.get((tuple(x), round(float(f(np.zeros(1) + 2)[0]), 6)), [0.0] * len(x)))
        """)
    assert verdict.credit == 0
    value = verdict.results[0]
    assert not value.holds and value.case.hidden


def test_a_notebook_runs_its_definitions_and_survives_its_other_cells():
    cells = ["%matplotlib inline\nimport numpy as np\n!pip install nothing", "this is no python",
             "undefined_name = nowhere + 1", "for i in range(10 ** 12):\n    pass", RIGHT, "assert False"]
    text = json.dumps({"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]})
    verdict, _ = verdict_of(text, name="mia.ipynb")
    assert verdict.credit == 1
