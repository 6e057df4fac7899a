"""Transformers beyond the affine one: the spline at its knots, the mixture in its tails, all in both conditioners."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, logit

import nfnumpy as nf
from nfnumpy.flows.mixture import MixtureOfLogistics
from nfnumpy.flows.spline import RationalQuadratic, softmax
from nfnumpy.testing.derivatives import STEP
from nfnumpy.testing.zoo import randomize

seeds = st.integers(0, 1000)
splines = st.builds(RationalQuadratic, bins=st.integers(1, 6), bound=st.floats(0.5, 5))
mixtures = st.builds(MixtureOfLogistics, components=st.integers(1, 6))


def draw(transformer, seed, n=7, m=3, size=1.0):
    """x inside and outside of a spline's interval, and parameters of standard deviation `size`."""
    rng = np.random.default_rng(seed)
    x = 1.5 * transformer.bound * rng.standard_normal((n, m))
    return x, size * rng.standard_normal((n, m, transformer.n_params))


@given(spline=splines, seed=seeds, size=st.sampled_from([0.0, 1.0, 30.0]))
def test_the_spline_and_its_inverse(spline, seed, size):
    """Size 30 makes degenerate bins: slopes from 1e-3 to some 1e3 and their quotients cost up to six digits."""
    x, params = draw(spline, seed, size=size)
    (z, log_det), _ = spline.forward_vjp(x, params)
    (back, log_det_back), _ = spline.inverse_vjp(z, params)
    tolerance = 1e-10 if size < 30 else 1e-5
    np.testing.assert_allclose(back, x, rtol=tolerance, atol=tolerance)
    tolerance = 1e-8 if size < 30 else 1e-3
    np.testing.assert_allclose(log_det_back, -log_det, rtol=tolerance, atol=tolerance)
    if size == 0:
        np.testing.assert_allclose(z, x, atol=1e-14)             # parameters of zero are the identity
        np.testing.assert_allclose(log_det, 0, atol=1e-13)


@given(transformer=splines | mixtures, seed=seeds)
def test_the_log_det_is_that_of_the_slope(transformer, seed):
    """One row at a time, the slope by a complex step."""
    x, params = draw(transformer, seed, m=1)
    (z, log_det), _ = transformer.forward_vjp(x, params)
    (moved, _), _ = transformer.forward_vjp(x + 1j * STEP, params)
    np.testing.assert_allclose(log_det, np.log(moved.imag[:, 0] / STEP), rtol=1e-9, atol=1e-9)
    assert (moved.imag > 0).all()                                # monotone


@given(transformer=splines | mixtures, seed=seeds, method=st.sampled_from(["forward_vjp", "inverse_vjp"]))
def test_vjps(transformer, seed, method):
    """<u, J v> = <J^T u, v> in the input and the parameters, J v by a complex step."""
    x, params = draw(transformer, seed)
    rng = np.random.default_rng(seed)
    (z, log_det), vjp = getattr(transformer, method)(x, params)
    u, w = rng.standard_normal(z.shape), rng.standard_normal(log_det.shape)
    grads = vjp(u, w)
    for k, value in enumerate((x, params)):
        v = rng.standard_normal(value.shape)
        moved = [x, params]
        moved[k] = value + 1j * STEP * v
        (z_moved, log_det_moved), _ = getattr(transformer, method)(*moved)
        expected = (u * z_moved.imag / STEP).sum() + (w * log_det_moved.imag / STEP).sum()
        np.testing.assert_allclose((grads[k] * v).sum(), expected, rtol=1e-7, atol=1e-7)


@given(spline=splines, seed=seeds)
def test_knots_are_hit_and_the_slope_is_continuous(spline, seed):
    """At each knot, the two ends included, value and slope from both sides agree: to the step's size."""
    params = np.random.default_rng(seed).standard_normal((1, 1, spline.n_params))
    knots, _ = spline._knots(params)
    x = knots["x"][0, 0]
    repeated = np.broadcast_to(params, (len(x), 1, spline.n_params))
    (z, _), _ = spline.forward_vjp(x[:, None], repeated)
    np.testing.assert_allclose(z[:, 0], knots["z"][0, 0], atol=1e-12 * spline.bound)
    for side in (-1e-9, 1e-9):
        (_, log_slope), _ = spline.forward_vjp(x[:, None] + side, repeated)
        np.testing.assert_allclose(log_slope, np.log(knots["d"][0, 0]), atol=1e-4)


@given(mixture=mixtures, seed=seeds)
def test_the_mixture_is_the_log_odds_of_its_distribution_function(mixture, seed):
    x, params = draw(mixture, seed)
    a, m, r = np.split(params, 3, axis=-1)
    K, log_s = mixture.components, 5 * np.tanh(r / 5)
    mu = m - 3 * ((2 * np.arange(1, K + 1) - 1) / K - 1) * np.tanh(log_s)
    F = (softmax(a) * expit((x[..., None] - mu) * np.exp(-log_s))).sum(axis=-1)
    (z, _), _ = mixture.forward_vjp(x, params)
    near = (1e-6 < F) & (F < 1 - 1e-6)                           # where F itself still has digits
    np.testing.assert_allclose(z[near], logit(F)[near], rtol=1e-8, atol=1e-8)
    assert mixture.components > 1 or (mu == m).all()


@given(seed=seeds, method=st.sampled_from(["forward_vjp", "inverse_vjp"]))
def test_a_mixture_of_one_is_the_affine_transformer(seed, method):
    x, params = draw(MixtureOfLogistics(1), seed)
    results = []
    for transformer, p in ((MixtureOfLogistics(1), params), (nf.Affine(), params[..., 1:])):
        (z, log_det), vjp = getattr(transformer, method)(x, p)
        grad_x, grad_params = vjp(np.cos(z), np.sin(log_det))
        results.append((z, log_det, grad_x, grad_params[..., -2:]))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@given(mixture=mixtures, seed=seeds, size=st.sampled_from([0.0, 1.0, 30.0]))
def test_the_mixture_and_its_inverse(mixture, seed, size):
    """f(g(z)) = z to rounding; g(f(x)) as well where the slope tells x: between narrow components it is e^-500."""
    x, params = draw(mixture, seed, size=size)
    (z, log_det), _ = mixture.forward_vjp(x, params)
    assert np.isfinite(log_det).all()
    (back, log_det_back), _ = mixture.inverse_vjp(z, params)
    (again, log_det_again), _ = mixture.forward_vjp(back, params)
    np.testing.assert_allclose(again, z, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(log_det_back, -log_det_again)
    if size < 30:
        np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
    if size == 0:
        np.testing.assert_allclose(z, x, rtol=1e-14, atol=1e-14)  # parameters of zero are the identity
        np.testing.assert_allclose(log_det, 0, atol=1e-14)


@given(mixture=mixtures, seed=seeds, size=st.sampled_from([1.0, 30.0]))
def test_a_quantile_of_the_mixture_lies_between_those_of_its_components(mixture, seed, size):
    z, params = draw(mixture, seed, size=size)
    (x, _), _ = mixture.inverse_vjp(z, params)
    _, mu, log_s, _ = mixture._components(params)
    quantiles = mu + np.exp(log_s) * z[..., None]
    slack = 1e-13 * (1 + np.abs(quantiles).max(axis=-1))
    assert (quantiles.min(axis=-1) - slack <= x).all() and (x <= quantiles.max(axis=-1) + slack).all()


@given(mixture=mixtures, seed=seeds, far=st.sampled_from([1e4, 1e8, 1e16, 1e100]), side=st.sampled_from([-1, 1]))
def test_far_out_the_mixture_has_the_slope_of_its_widest_component(mixture, seed, far, side):
    _, params = draw(mixture, seed, m=1)
    params[..., -1] = params.max() + 1                           # the widest, by a margin
    (z, log_det), vjp = mixture.forward_vjp(np.full((len(params), 1), side * far), params)
    np.testing.assert_allclose(log_det, -5 * np.tanh(params[:, 0, -1] / 5), rtol=1e-9, atol=1e-9)
    assert all(np.isfinite(grad).all() for grad in vjp(np.ones_like(z), np.ones_like(log_det)))
    (x, _), _ = mixture.inverse_vjp(z, params)
    np.testing.assert_allclose(x, side * far, rtol=1e-14)


@given(mixture=mixtures, seed=seeds, size=st.sampled_from([1.0, 30.0]))
def test_the_mixture_keeps_float32(mixture, seed, size):
    x, params = (values.astype(np.float32) for values in draw(mixture, seed, size=size))
    (z, log_det), vjp = mixture.forward_vjp(x, params)
    (back, log_det_back), vjp_back = mixture.inverse_vjp(z, params)
    (again, _), _ = mixture.forward_vjp(back, params)
    np.testing.assert_allclose(again, z, rtol=1e-3, atol=1e-3)
    arrays = [z, log_det, *vjp(z, log_det), back, log_det_back]
    if size == 1:                                                # dx/dz = e^500 is no number of 32 bits
        arrays += vjp_back(back, log_det_back)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_the_components_of_a_new_mixture_part():
    """They start equal. Without places of their own they would stay so, and fit one hump where the data have two."""
    rng = np.random.default_rng(0)
    x = 2 * rng.choice([-1, 1], (400, 1)) + 0.3 * rng.standard_normal((400, 1))
    gaussian = nf.Gaussian.fit(x).log_prob(x).mean()
    two_humps = -0.5 * np.log(2 * np.pi * np.e) - np.log(2 * 0.3)     # minus the entropy of what x was drawn from
    parting, equal = MixtureOfLogistics(4), MixtureOfLogistics(4)
    equal.c = np.zeros(4)
    gains = []
    for transformer in (parting, equal):
        model = nf.maf(1, steps=1, hidden=(), rng=0, transformer=transformer).standardized(x)
        nf.fit(model, x, x, rng=0, max_steps=200, lr=0.1, patience=200, progress=False)
        gains.append(model.log_prob(x).mean() - gaussian)
    assert gains[0] > two_humps - gaussian - 0.1 > 1
    assert gains[1] < 0.01


def test_a_density_behind_a_spline_has_mass_one():
    model = nf.maf(1, steps=1, hidden=(), rng=0, transformer=RationalQuadratic(bins=5, bound=2.0))
    model.theta = np.random.default_rng(0).standard_normal(len(model.theta))
    mass, error = quad(lambda x: np.exp(model.log_prob(np.array([[x]]))[0]), -10, 10, points=[-2, 2], limit=200)
    assert abs(mass - 1) < 1e-8 + 10 * error


@pytest.mark.parametrize("transformer", ["additive", "spline", "mixture", RationalQuadratic(bins=3, bound=2.0)])
@pytest.mark.parametrize("build", [nf.maf, nf.iaf, nf.realnvp])
def test_models_with_other_transformers_learn_and_are_saved(build, transformer, tmp_path):
    rng = np.random.default_rng(0)
    model, x = build(2, steps=2, hidden=(8,), rng=0, transformer=transformer), rng.standard_normal((50, 2))
    np.testing.assert_allclose(model.log_prob(x), model.base.log_prob(x), atol=1e-12)   # new flows are the identity
    model.theta = 0.3 * rng.standard_normal(len(model.theta))
    nf.save(model, tmp_path / "model.npz")
    again = nf.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.log_prob(x), model.log_prob(x))
    np.testing.assert_array_equal(again.sample(5, rng=1), model.sample(5, rng=1))


@given(seed=seeds, transformer=st.sampled_from(["additive", "spline", "mixture"]))
def test_the_fast_inverse_is_the_plain_one(seed, transformer):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(4, (6,), "tanh", "random", rng, transformer=transformer), rng)
    z, grad_x, grad_log_det = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal(3)
    (outputs, vjp), (expected, plain_vjp) = flow.inverse_vjp(z), flow.inverse_vjp_by_sweeps(z)
    results = (*outputs, *vjp(grad_x, grad_log_det)), (*expected, *plain_vjp(grad_x, grad_log_det))
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8)


@given(seed=seeds)
def test_softmax_is_a_distribution(seed):
    shares = softmax(300 * np.random.default_rng(seed).standard_normal((4, 5)))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=-1), 1)


def test_what_is_no_transformer_is_refused():
    with pytest.raises(ValueError, match="transformer: expected one of affine, additive, spline, mixture, or.*'cubic'"):
        nf.realnvp(2, transformer="cubic")
    with pytest.raises(ValueError, match="bins: expected a whole number of at least 1, got 0"):
        RationalQuadratic(bins=0)
    with pytest.raises(ValueError, match="bound: expected a positive finite number, got -1"):
        RationalQuadratic(bound=-1)
    with pytest.raises(ValueError, match="components: expected a whole number of at least 1, got 0"):
        MixtureOfLogistics(0)
    with pytest.raises(ValueError, match="components: expected at most 500, got 501"):
        MixtureOfLogistics(501)
    with pytest.raises(TypeError, match="conditionals: expected a flow with the affine transformer"):
        nf.GaussianAutoregressive(2, transformer="spline").conditionals(np.zeros((1, 2)))
