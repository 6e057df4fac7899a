"""The race against other libraries: nfnumpy's side of every workload runs, and the README's table has them all."""
import re
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.race import compare, worker
from tests.benchmarks.race.workloads import WORKLOADS, batch

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.parametrize("name", WORKLOADS)
def test_nfnumpy_runs_every_workload(name):
    repetition = worker.nfnumpy(name)
    result, n = repetition(), WORKLOADS[name][-1]
    if WORKLOADS[name][0] != "train":
        assert len(result) == n and result.dtype == np.float32 and np.isfinite(result).all()
    assert len(batch(name)) == n


def test_a_table_is_that_of_the_readme():
    """Its columns and its workloads, in its order; the fastest of several libraries counts."""
    table = {name: {"nfnumpy": 1e-3, "zuko": 4e-3, "nflows": 2e-3, "normflows": None, "torch": None,
                    "flowjax": None if "glow" in name else 1e-2} for name in WORKLOADS}
    lines = compare.markdown(table).splitlines()
    assert lines[2] == "| `maf-2d` | 1.00 | 0.50 | 0.10 |" and "| `glow-digits` | 1.00 | 0.50 |  |" in lines
    readme = README.read_text(encoding="utf-8")
    first = readme.index(lines[0])
    rows = readme[first:].split("\n\n")[0].splitlines()
    assert rows[1] == lines[1] and re.findall(r"`(.*?)`", "\n".join(rows)) == list(WORKLOADS)
