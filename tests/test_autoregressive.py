"""The Gaussian autoregressive flow against the slide's formulas, written out in plain loops."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.testing.zoo import randomize


def mu_and_sigma(flow, x):
    """mu_j(x_{1:j-1}) and sigma_j(x_{1:j-1}) of one sample by the definition of MADE with one hidden layer, in loops."""
    net, dim = flow.net, len(x)
    place = [list(flow.order).index(j) for j in range(dim)]      # place[j]: when coordinate j comes
    n_hidden = len(net.b0)
    lowest_seen = [net.mask0[i].tolist() for i in range(n_hidden)]
    hidden = [math.tanh(net.b0[i] + sum(net.W0[i, j] * x[j] for j in range(dim) if lowest_seen[i][j]))
              for i in range(n_hidden)]
    mu, sigma = [], []
    for j in range(dim):
        earlier = [i for i in range(n_hidden)                    # hidden units that see only what comes before x_j
                   if all(place[k] < place[j] for k in range(dim) if lowest_seen[i][k])]
        out = [net.b1[row] + sum(net.W1[row, i] * hidden[i] for i in earlier) for row in (j, dim + j)]
        mu.append(out[0])
        sigma.append(math.exp(5.0 * math.tanh(out[1] / 5.0)))
    return mu, sigma


@given(order=st.permutations([0, 1, 2]), seed=st.integers(0, 1000))
def test_forward_is_the_slides_formula(order, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(3, (4,), "tanh", order, rng), rng)
    x = rng.standard_normal(3)
    mu, sigma = mu_and_sigma(flow, x)
    z, log_det = flow.forward(x[None, :])
    np.testing.assert_allclose(z[0], [(x[j] - mu[j]) * (1 / sigma[j]) for j in range(3)], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det[0], -sum(math.log(s) for s in sigma), rtol=1e-12, atol=1e-12)


@given(order=st.permutations([0, 1, 2]), seed=st.integers(0, 1000))
def test_inverse_is_the_slides_formula_one_coordinate_after_another(order, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(3, (4,), "tanh", order, rng), rng)
    z, x = rng.standard_normal(3), [0.0, 0.0, 0.0]
    for j in order:
        mu, sigma = mu_and_sigma(flow, x)
        x[j] = sigma[j] * z[j] + mu[j]
    got, log_det = flow.inverse(z[None, :])
    np.testing.assert_allclose(got[0], x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det[0], sum(math.log(s) for s in sigma), rtol=1e-12, atol=1e-12)


@given(dim=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_product_of_the_conditionals_is_the_flows_density(dim, seed):
    """prod_j N(x_j; mu_j, sigma_j^2): what the lecture claims of it."""
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(dim, (8,), "tanh", rng=rng), rng)
    x = rng.standard_normal((5, dim))
    for row, mu, log_sigma in zip(x, *flow.conditionals(x), strict=True):
        np.testing.assert_allclose([mu, np.exp(log_sigma)], mu_and_sigma(flow, row), rtol=1e-11, atol=1e-11)
    product = []
    for row in x:
        mu, sigma = mu_and_sigma(flow, row)
        product.append(sum(-0.5 * ((x_j - m) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
                           for x_j, m, s in zip(row, mu, sigma)))
    np.testing.assert_allclose(nf.NormalizingFlow(flow).log_prob(x), product, rtol=1e-11, atol=1e-11)


@given(order=st.permutations(range(5)), seed=st.integers(0, 1000))
def test_the_jacobian_is_triangular_in_the_given_order(order, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(5, (7,), "tanh", order, rng), rng)
    J = nf.testing.jacobian(lambda x: flow.forward(x)[0], rng.standard_normal((2, 5)))[:, order][:, :, order]
    assert not np.triu(J, k=1).any() and np.tril(J).astype(bool).sum() == 2 * 15


def test_orders_by_name():
    orders = {order: nf.GaussianAutoregressive(6, order=order, rng=0).order.tolist()
              for order in (None, "natural", "reversed", "random")}
    assert orders[None] == orders["natural"] == [0, 1, 2, 3, 4, 5] and orders["reversed"] == [5, 4, 3, 2, 1, 0]
    assert sorted(orders["random"]) == orders["natural"] != orders["random"]
    assert nf.GaussianAutoregressive(6, order="random", rng=0).order.tolist() == orders["random"]


def test_a_new_flow_is_the_identity():
    x = np.random.default_rng(0).standard_normal((4, 3))
    for flow in (nf.GaussianAutoregressive(3, rng=0), nf.Coupling(3, rng=0)):
        z, log_det = flow.forward(x)
        np.testing.assert_array_equal(z, x)
        assert not log_det.any()


def test_log_sigma_stays_within_its_bound_far_out():
    """Without the bound a ReLU network's log sigma grows without end along rays, and sigma overflows."""
    rng = np.random.default_rng(0)
    flow = randomize(nf.GaussianAutoregressive(4, (16,), rng=rng), rng)
    x = 1e6 * rng.standard_normal((100, 4))
    z, log_det = flow.forward(x)
    assert np.isfinite(z).all() and np.abs(log_det).max() <= 4 * nf.Affine.bound
    assert np.isfinite(nf.NormalizingFlow(flow).log_prob(x)).all()


@given(dim=st.integers(1, 12), hidden=st.lists(st.integers(1, 14), max_size=3).map(tuple), ordered=st.booleans(),
       activation=st.sampled_from(["tanh", "relu"]), seed=st.integers(0, 1000))
def test_the_fast_inverse_is_the_plain_loop(dim, hidden, ordered, activation, seed):
    """By degree, each hidden unit computed once, against m passes and m sweeps: equal within 1e-12 of the values' size."""
    rng = np.random.default_rng(seed)
    order = np.arange(dim) if ordered else rng.permutation(dim)
    flow = randomize(nf.GaussianAutoregressive(dim, hidden, activation, order, rng), rng)
    z = rng.standard_normal((5, dim))
    (x, log_det), vjp = flow.inverse_vjp(z)
    (x_plain, log_det_plain), plain_vjp = flow.inverse_vjp_by_sweeps(z)
    pull = rng.standard_normal((5, dim)), rng.standard_normal(5)
    for fast, plain in zip((*flow.inverse(z), x, log_det, *vjp(*pull)),
                           (*flow.inverse_by_passes(z), x_plain, log_det_plain, *plain_vjp(*pull)), strict=True):
        assert np.abs(fast - plain).max(initial=0) <= 1e-12 * (1 + np.abs(plain).max(initial=0))


class CountingFlow(nf.GaussianAutoregressive):
    """Counts the passes of the conditioner."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.count, vjp = 0, self.net.vjp

        def counted(h):
            self.count += 1
            return vjp(h)

        self.net.vjp = counted


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_passes_are_what_the_flow_says(dim):
    flow = CountingFlow(dim, rng=0)
    for method, passes in zip((flow.forward, flow.inverse_by_passes), flow.passes):
        flow.count = 0
        method(np.zeros((3, dim)))
        assert flow.count == passes


@pytest.mark.parametrize("arguments, message", [
    ({"dim": 0}, "dim: expected a whole number of at least 1, got 0"),
    ({"dim": 2.0}, "dim: expected a whole number of at least 1, got 2.0"),
    ({"dim": 3, "order": [0, 1]}, r"order: expected a permutation of 0\.\.2, got 2 numbers"),
    ({"dim": 2, "order": "backwards"}, r"order: expected natural, reversed, random or a permutation of 0\.\.1, got 'backw"),
    ({"dim": 2, "order": [1, 1]}, r"order: expected a permutation of 0\.\.m-1")])
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nf.GaussianAutoregressive(**arguments)
