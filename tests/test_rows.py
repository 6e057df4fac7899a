"""A batch whose rows are dealt out to threads: what the flow gives by itself, whatever their number."""
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.flows import Logit
from nfnumpy.rows import RowsInThreads, worth_it
from tests.test_threads import blas_threads

FLOWS = {"maf": lambda: nf.maf(3, steps=2, hidden=(5,), activation="tanh", rng=0).flow,
         "realnvp": lambda: nf.realnvp(3, steps=2, hidden=(5,), activation="tanh", transformer="spline", rng=0).flow,
         "linear": lambda: nf.linear(3, kind="dense", rng=0).flow}
NEAR = {"rtol": 1e-10, "atol": 1e-10}                            # sums over samples in another order


def random_flow(name, rng):
    flow = FLOWS[name]()
    flow.theta += 0.3 * rng.standard_normal(flow.n_params)
    return flow


@given(name=st.sampled_from(sorted(FLOWS)), n=st.integers(0, 6), before=st.integers(1, 4), after=st.integers(1, 4),
       seed=st.integers(0, 1000))
def test_values_and_gradients_are_those_of_the_flow(name, n, before, after, seed):
    """Also if the number of threads has changed when the adjoint is called."""
    rng = np.random.default_rng(seed)
    flow = random_flow(name, rng)
    x, grad_z, grad_log_det = rng.standard_normal((n, 3)), rng.standard_normal((n, 3)), rng.standard_normal(n)
    (z, log_det), vjp = flow.forward_vjp(x)
    with blas_threads(before):
        outputs, vjp_in_threads = RowsInThreads(flow).forward_vjp(x)
        for got, wanted in zip((*outputs, *RowsInThreads(flow).forward(x), *RowsInThreads(flow).inverse(z)),
                               (z, log_det, z, log_det, *flow.inverse(z))):
            np.testing.assert_allclose(got, wanted, **NEAR)
    out = np.full(flow.n_params, np.nan)
    with blas_threads(after):
        grad_x, grad_theta = vjp_in_threads(grad_z, grad_log_det, out)
        for got, wanted in zip(vjp_in_threads(grad_z, 0.5), vjp(grad_z, 0.5)):     # one number for all samples
            np.testing.assert_allclose(got, wanted, **NEAR)
    assert grad_theta is out
    for got, wanted in zip((grad_x, grad_theta), vjp(grad_z, grad_log_det)):
        np.testing.assert_allclose(got, wanted, **NEAR)


@pytest.mark.parametrize("method", ["forward", "inverse", "forward_vjp"])
def test_the_flow_sees_every_row_once_and_never_the_whole_batch(method):
    """Right values alone do not tell: after an error the flow is asked once more, with all rows."""
    class Watched(nf.Permutation):
        def __getattribute__(self, name):
            function = super().__getattribute__(name)
            return (lambda x: (seen.append(x[:, 0].tolist()), function(x))[1]) if name == method else function

    flow, seen = Watched([0]), []
    with blas_threads(3):
        getattr(RowsInThreads(flow), method)(np.arange(7.0)[:, None])
    assert sorted(seen) == [[0, 1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("name", sorted(FLOWS))
def test_a_model_is_the_same_with_large_products(name, monkeypatch):
    """Densities, gradients and samples; of MAF the samples take a pass for each dimension, and are left alone."""
    model = nf.NormalizingFlow(random_flow(name, np.random.default_rng(0)))
    x = np.random.default_rng(1).standard_normal((7, 3))

    def everything():
        return model.log_prob(x), *nf.negative_log_likelihood(model, x), model.sample(5, rng=1)

    wanted = everything()
    monkeypatch.setattr("nfnumpy.model.SMALL", 0)
    monkeypatch.setattr("nfnumpy.rows.PART", 1)
    with blas_threads(2) as numbers, mock.patch("nfnumpy.model.RowsInThreads", wraps=RowsInThreads) as used:
        got = everything()
    assert used.call_count == (3 if name == "maf" else 4) and numbers[-1] == 2    # the adjoint needs the threads as well
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, **NEAR)


@pytest.mark.parametrize("build", [lambda: nf.maf(2, context=1, hidden=(5,), rng=0).given(np.zeros((4, 1))),
                                   lambda: nf.continuous(2, hidden=(5,), rng=0)], ids=["context", "continuous"])
def test_batches_whose_rows_belong_to_other_rows_are_not_cut(build, monkeypatch):
    monkeypatch.setattr("nfnumpy.model.SMALL", 0)
    monkeypatch.setattr("nfnumpy.rows.PART", 1)
    monkeypatch.setattr("nfnumpy.model.RowsInThreads", None)     # to call it would raise
    model = build()
    with blas_threads(2):
        assert model.log_prob(np.zeros((4, 2))).shape == (4,) and model.sample(4, rng=0).shape == (4, 2)


def test_rows_are_dealt_out_when_each_thread_has_enough_of_them():
    """At 64 units, 1,024 rows a thread."""
    flow = nf.maf(2, hidden=(64, 64), rng=0).flow
    with blas_threads(2):
        assert worth_it(flow, 2048, 0) and not worth_it(flow, 2047, 0) and not worth_it(flow, 10 ** 6, 1)
    with blas_threads(3):
        assert worth_it(flow, 3072, 0) and not worth_it(flow, 3071, 0)
    with blas_threads(1):
        assert not worth_it(flow, 10 ** 6, 0)


@pytest.mark.parametrize("method", ["forward", "inverse", "forward_vjp"])
def test_what_a_flow_refuses_is_refused_in_its_words(method):
    """With the row's number in the whole batch, and all that is wrong in it counted."""
    flow, x = nf.Composition([Logit((2,)), nf.Inverse(Logit((2,)))]), np.full((6, 2), 0.5)
    x[1, 0] = x[4, 1] = 2
    with blas_threads(2):
        with pytest.raises(ValueError, match="got 2 outside, the first 2.0 at index") as alone:
            getattr(flow, method)(x)
        with pytest.raises(ValueError) as in_threads:
            getattr(RowsInThreads(flow), method)(x)
    assert str(in_threads.value) == str(alone.value)
