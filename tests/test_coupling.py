"""The affine coupling layer against the slide's formulas, and alternation."""
import math

import numpy as np
import pytest
from coupling_figures import as_autoregressive
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.testing.zoo import randomize


def conditioner(net, x1, n_out):
    """mu and sigma from x_1 by a one-hidden-layer tanh network, in loops."""
    hidden = [math.tanh(net.b0[i] + sum(net.W0[i, j] * x1[j] for j in range(len(x1)))) for i in range(len(net.b0))]
    out = [net.b1[i] + sum(net.W1[i, j] * hidden[j] for j in range(len(hidden))) for i in range(2 * n_out)]
    return out[:n_out], [math.exp(5.0 * math.tanh(raw / 5.0)) for raw in out[n_out:]]


@given(dim=st.integers(1, 5), swap=st.booleans(), seed=st.integers(0, 1000))
def test_both_directions_are_the_slides_formulas(dim, swap, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.Coupling(dim, (4,), "tanh", swap, rng), rng)
    x, d = rng.standard_normal(dim), dim // 2
    swap = swap and dim > 1
    x1, x2 = (x[d:], x[:d]) if swap else (x[:d], x[d:])
    mu, sigma = conditioner(flow.net, x1, len(x2))
    forward = [(x2[j] - mu[j]) / sigma[j] for j in range(len(x2))]
    inverse = [x2[j] * sigma[j] + mu[j] for j in range(len(x2))]
    for (out, log_det), second, sign in ((flow.forward(x[None, :]), forward, -1), (flow.inverse(x[None, :]), inverse, 1)):
        np.testing.assert_allclose(out[0], [*second, *x1] if swap else [*x1, *second], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(log_det[0], sign * sum(math.log(s) for s in sigma), rtol=1e-12, atol=1e-12)


@given(dim=st.integers(1, 7), seed=st.integers(0, 1000))
def test_after_two_alternating_layers_every_coordinate_has_been_transformed(dim, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, dim))
    z, _ = randomize(nf.realnvp(dim, steps=2, hidden=(4,), activation="tanh", rng=rng).flow, rng).forward(x)
    assert (z != x).all()
    if dim > 1:                                                  # without alternation the first half never moves
        same = nf.Composition([randomize(nf.Coupling(dim, (4,), "tanh", rng=rng), rng) for _ in range(2)])
        np.testing.assert_array_equal(same.forward(x)[0][:, :dim // 2], x[:, :dim // 2])


@given(dim=st.integers(2, 6), swap=st.booleans(), seed=st.integers(0, 1000))
def test_the_jacobian_is_block_triangular(dim, swap, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.Coupling(dim, (5,), "tanh", swap, rng), rng)
    J, = nf.testing.jacobian(lambda x: flow.forward(x)[0], rng.standard_normal((1, dim)))
    first, second = np.split(np.arange(dim), [dim // 2])
    x1, x2 = (second, first) if swap else (first, second)
    np.testing.assert_array_equal(J[np.ix_(x1, x1)], np.eye(len(x1)))
    assert not J[np.ix_(x1, x2)].any() and J[np.ix_(x2, x1)].all()
    np.testing.assert_array_equal(J[np.ix_(x2, x2)], np.diag(np.diag(J[np.ix_(x2, x2)])))


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="dim: expected a whole number of at least 1, got 0"):
        nf.Coupling(0)


@given(dim=st.integers(2, 7), hidden=st.lists(st.integers(1, 12), min_size=1, max_size=2), seed=st.integers(0, 1000))
def test_a_coupling_layer_is_a_gaussian_autoregressive_flow_with_some_zeros(dim, hidden, seed):
    """Equal up to the order of summation: a few units in the last place of the largest number on the way."""
    rng = np.random.default_rng(seed)
    coupling = randomize(nf.Coupling(dim, hidden, "tanh", rng=rng), rng)
    flow, x, d = as_autoregressive(coupling), rng.standard_normal((5, dim)), dim // 2
    for direction in ("forward", "inverse"):
        (out, log_det), (ar_out, ar_log_det) = getattr(coupling, direction)(x), getattr(flow, direction)(x)
        size = np.finfo(float).eps * max(1.0, np.abs(out).max(), np.abs(x).max(), np.abs(log_det).max())
        assert np.abs(out - ar_out).max() <= 16 * size and np.abs(log_det - ar_log_det).max() <= 16 * size
    mu, log_sigma = flow.conditionals(x)
    assert not mu[:, :d].any() and not log_sigma[:, :d].any()
    biases = getattr(flow.net, f"b{flow.net.depth - 1}").reshape(2, dim)
    biases[:, :d] = 0.1                                          # biases included: with these it is another flow
    assert (flow.forward(x)[0][:, :d] != x[:, :d]).all()
