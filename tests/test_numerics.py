"""Numerics at the edges: the claims of lectures/numerics.md, whose script measures what is tested here."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.testing.zoo import BUILDERS, randomize

spec = importlib.util.spec_from_file_location("numerics", Path(__file__).parents[1] / "lectures" / "numerics.py")
numerics = importlib.util.module_from_spec(spec)
spec.loader.exec_module(numerics)

SEEDS, DTYPES = st.integers(0, 2 ** 16), st.sampled_from(numerics.DTYPES)
MORE = settings(max_examples=settings.default.max_examples * 4)


@MORE
@given(name=st.sampled_from(sorted(BUILDERS)), dim=st.integers(1, 16), seed=SEEDS, dtype=DTYPES,
       size=st.sampled_from(numerics.SIZES))
def test_log_prob_is_finite_for_large_parameters_and_data_to_a_million(name, dim, seed, dtype, size):
    """Parameters to 10 in float64, to 3 in float32, where the square of z must stay below 10^38."""
    rng = np.random.default_rng(seed)
    flow = randomize(BUILDERS[name](dim, rng), rng).astype(dtype)
    largest = 10 if dtype is np.float64 else 3
    flow.theta[...] = rng.uniform(-largest, largest, flow.n_params)
    x = numerics.batch(flow, size, rng).astype(dtype)
    assert np.isfinite(nf.NormalizingFlow(flow).log_prob(x)).all()
    z, log_det = flow.forward(x)
    assert np.isfinite(z).all() and np.isfinite(log_det).all()


@MORE
@given(name=st.sampled_from(sorted(BUILDERS)), dim=st.integers(1, 16), seed=SEEDS, dtype=DTYPES,
       exponent=st.integers(0, 37), size=st.sampled_from(numerics.SIZES))
def test_beyond_that_range_nothing_turns_into_nan_in_silence(name, dim, seed, dtype, exponent, size):
    """NumPy says that something overflowed, a flow refuses what is outside its domain, or the results are no NaN."""
    rng = np.random.default_rng(seed)
    flow = randomize(BUILDERS[name](dim, rng), rng).astype(dtype)
    flow.theta[...] = rng.uniform(-1, 1, flow.n_params) * 10.0 ** exponent
    model = nf.NormalizingFlow(flow)
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            results = model.log_prob(numerics.batch(flow, size, rng)), model.sample(2, rng)
    except (FloatingPointError, ValueError, np.linalg.LinAlgError) as error:
        note(f"refused: {error}")
    else:
        assert not any(np.isnan(result).any() for result in results)


@pytest.mark.parametrize("build", numerics.STACKS.values())
@pytest.mark.parametrize("dtype, depth", [(np.float64, 60), (np.float32, 6)])
def test_layers_at_the_bound_of_log_sigma_that_do_not_overflow(build, dtype, depth):
    """60 layers in float64, as `Affine` says, and 6 in float32: (10^6 e^30)^2 is 10^38, the largest number."""
    model = build(2, depth, (), dtype=dtype)
    numerics.saturated(model.flow)
    assert np.isfinite(model.log_prob([[1e6, -1e6]])).all() and np.isfinite(model.sample(5, rng=0)).all()


@given(name=st.sampled_from(sorted(numerics.STACKS)), activation=st.sampled_from(["relu", "tanh"]), seed=SEEDS)
def test_far_out_on_every_ray_the_density_decreases(name, activation, seed):
    """Far out a ReLU network is linear and log sigma at its bound: -log p grows as the square of the radius.

    Where a slope of a network nearly cancels a coordinate it takes a large radius; the page has those of 200 rays.
    """
    rng, radii = np.random.default_rng(seed), np.geomspace(0.1, 1e9, 600)
    model = numerics.STACKS[name](3, 2, (8,), activation, rng=rng)
    randomize(model.flow, rng)
    for direction in rng.standard_normal((3, 3)):
        radius = numerics.decreasing_radius(model.log_prob, direction / np.linalg.norm(direction), radii)
        note(f"log p decreases from radius {radius:.3g} on")
        assert radius < 1e8


@given(kind=st.sampled_from(["dense", "plu", "qr", "triangular"]), exponent=st.integers(0, 8), dim=st.integers(2, 16),
       seed=SEEDS)
def test_linear_flows_lose_what_the_condition_number_takes(kind, exponent, dim, seed):
    """Solving with W loses a factor of its condition number; 10 dim leaves room for rounding in several factors."""
    build = {"dense": nf.Dense, "plu": nf.PLU, "qr": nf.QR, "triangular": numerics.triangular}[kind]
    rng, condition = np.random.default_rng(seed), 10.0 ** exponent
    flow = numerics.conditioned(build, dim, condition, rng)
    for size in numerics.SIZES:
        x = numerics.batch(flow, size, rng)
        assert numerics.round_trip(flow, x) < 10 * dim * condition * np.finfo(float).eps
    assert numerics.log_det_error(flow, x) < 10 * dim * condition * np.finfo(float).eps


@pytest.mark.parametrize("build", [nf.maf, nf.realnvp])
@pytest.mark.parametrize("activation, far", [("relu", 1e-5), ("tanh", 1e-12)])
def test_trained_flows_stay_exact(build, activation, far):
    """Far outside the data a ReLU network extrapolates, sigma varies, and digits are lost; tanh is constant there."""
    train, test = nf.datasets.load("moons", n=500, rng=0)
    model = build(2, 4, (16,), activation, rng=0).standardized(train)
    nf.fit(model, train, rng=0, max_steps=150, lr=5e-3)
    assert numerics.round_trip(model.flow, test) < 1e-12 and numerics.round_trip(model.flow.astype(np.float32), test) < 1e-4
    assert numerics.round_trip(model.flow, numerics.batch(model.flow, 1e6, np.random.default_rng(0))) < far
    assert numerics.log_det_error(model.flow, test[:5]) < 1e-12
