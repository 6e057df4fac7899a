"""Activation normalization: values, and an initialisation that happens when it is asked for."""
import warnings

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.flows.actnorm import ActNorm


@pytest.mark.parametrize("shape", ((1,), (4,), (3, 5, 2), (1, 1, 3)))
def test_properties(shape):
    rng = np.random.default_rng(0)
    flow = nf.testing.randomize(ActNorm(shape), rng)
    x = rng.standard_normal((4, *shape))
    nf.testing.check_flow(flow, x)
    nf.testing.check_flow(nf.Inverse(flow), x)


def test_values():
    flow = ActNorm((3, 5, 2))
    flow.mu, flow.log_sigma = [1.0, -2.0], [0.5, -0.25]
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 2))
    z, log_det = flow.forward(x)
    for c, (mu, log_sigma) in enumerate(((1.0, 0.5), (-2.0, -0.25))):
        np.testing.assert_allclose(z[..., c], (x[..., c] - mu) / np.exp(log_sigma), rtol=1e-14)
    np.testing.assert_allclose(log_det, -15 * 0.25, rtol=1e-14)  # every pixel counts


@pytest.mark.parametrize("shape", ((4,), (3, 5, 4)))
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
def test_after_initialisation_every_channel_has_mean_0_and_variance_1(shape, dtype):
    rng = np.random.default_rng(0)
    flow = ActNorm(shape, dtype=dtype)
    x = rng.standard_normal((50, *shape)) * [1, 10, 0.01, 5] + [0, 100, -1, 3]
    z = flow.initialize(x)
    assert z.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    for values in (z, flow.forward(x)[0]):
        values = values.reshape(-1, 4)
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=tolerance)
        np.testing.assert_allclose(values.var(axis=0), 1, atol=tolerance)
    np.testing.assert_allclose(flow.mu, x.reshape(-1, 4).mean(axis=0), rtol=1e-4)    # x = sigma z + mu
    np.testing.assert_allclose(np.exp(flow.log_sigma), x.reshape(-1, 4).std(axis=0), rtol=1e-4)


def test_forward_never_initialises():
    flow = ActNorm((2,))
    x = np.random.default_rng(0).standard_normal((9, 2)) * 7 + 3
    for call in (flow.forward, flow.inverse, flow.forward_vjp, flow.inverse_vjp):
        call(x)
        assert not flow.theta.any()
    assert (flow.forward(x)[0] == x).all()


def test_in_a_composition_each_sees_what_the_earlier_ones_make():
    x = np.random.default_rng(0).standard_normal((50, 2)) * 7 + 3
    flow = nf.Composition([ActNorm((2,)), nf.Permutation([1, 0]), ActNorm((2,))])
    z = flow.initialize(x)
    np.testing.assert_allclose(z.std(axis=0), 1)
    np.testing.assert_allclose(flow.flows[2].theta, 0, atol=1e-12)
    np.testing.assert_array_equal(flow.forward(x)[0], z)


@pytest.mark.parametrize("constant", (0.0, 0.1, -1e9))
def test_a_constant_channel_keeps_its_scale_with_a_warning(constant):
    x = np.random.default_rng(0).standard_normal((50, 3))
    x[:, 1] = constant
    flow = ActNorm((3,))
    with pytest.warns(UserWarning, match=r"constant ones at index \[1\]; their log_sigma is set to 0"):
        z = flow.initialize(x)
    assert flow.log_sigma[1] == 0 and np.abs(z[:, 1]).max() <= 1e-6 and np.isfinite(z).all()
    np.testing.assert_allclose(z[:, [0, 2]].std(axis=0), 1)


def test_a_channel_of_small_spread_is_not_a_constant_one():
    x = np.random.default_rng(0).standard_normal((50, 1)) * 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(ActNorm((1,)).initialize(x).std(), 1)


@pytest.mark.parametrize("x", (np.zeros((0, 2)), np.zeros((1, 2))))
def test_fewer_than_two_rows_are_refused(x):
    flow = ActNorm((2,))
    with pytest.raises(ValueError, match=f"x: expected at least two rows to initialize from, got {len(x)}"):
        flow.initialize(x)
    assert not flow.theta.any()


def test_refusals():
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        ActNorm((2,)).initialize(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="x: expected real numbers"):
        ActNorm((2,)).initialize(np.ones((3, 2), complex))
    for shape in (3, (), (3, 0)):
        with pytest.raises(ValueError, match="shape: expected"):
            ActNorm(shape)


def test_saving(tmp_path):
    flow = nf.testing.randomize(ActNorm((2, 3, 2)), 0)
    nf.save(nf.NormalizingFlow(flow), tmp_path / "model.npz")
    x = np.ones((1, 2, 3, 2))
    np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").flow.forward(x)[0], flow.forward(x)[0])
