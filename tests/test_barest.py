"""The benchmark's second implementation of MAF: written apart from the package, it has the same gradient."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from tests.benchmarks import barest


@given(dim=st.integers(1, 4), steps=st.integers(1, 3), hidden=st.tuples(st.integers(1, 6), st.integers(1, 6)),
       n=st.integers(1, 4), seed=st.integers(0, 1000))
def test_it_has_the_gradient_of_the_package(dim, steps, hidden, n, seed):
    rng = np.random.default_rng(seed)
    model = nf.maf(dim, steps, hidden, rng=rng)
    model.theta += 0.5 * rng.standard_normal(len(model.theta))
    x = rng.standard_normal((n, dim))
    bare = barest.BarestMAF(model)
    bare.gradient(x)
    np.testing.assert_allclose(bare.like(model), nf.negative_log_likelihood(model, x)[1], rtol=1e-9, atol=1e-12)


def test_it_prints_the_table(capsys, monkeypatch):
    monkeypatch.setattr(barest, "MODELS", {"one": (1, (2, 2), 3)})
    barest.main(["--seconds", "0", "--rounds", "1"])
    header, _, line = capsys.readouterr().out.splitlines()
    assert header.count("|") == line.count("|") == 5 and "one" in line
