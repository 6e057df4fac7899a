"""The density model: change of variables, samples, gradients, and what it refuses."""
import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

import nfnumpy as nf
from nfnumpy.testing.zoo import randomize

builders = st.sampled_from([nf.maf, nf.realnvp])


def random_model(build, dim, seed, **arguments):
    rng = np.random.default_rng(seed)
    model = build(dim, steps=3, hidden=(10,), activation="tanh", rng=rng, **arguments)
    randomize(model.flow, rng)
    return model, rng


@given(build=builders, dim=st.integers(1, 5), seed=st.integers(0, 1000))
def test_log_prob_is_the_change_of_variables(build, dim, seed):
    """log p(x) = log N(f(x); 0, I) + log abs det J, the determinant by slogdet of a complex-step Jacobian."""
    model, rng = random_model(build, dim, seed)
    x = rng.standard_normal((4, dim))
    z = model.flow.forward(x)[0]
    J = nf.testing.jacobian(lambda x: model.flow.forward(x)[0], x)
    expected = [-0.5 * sum(c * c for c in row) - 0.5 * dim * math.log(2 * math.pi) + np.linalg.slogdet(J[i])[1]
                for i, row in enumerate(z)]
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-10, atol=1e-10)


@given(build=builders, dim=st.integers(1, 4), seed=st.integers(0, 1000))
def test_log_prob_vjp_is_the_gradient_of_log_prob(build, dim, seed):
    model, rng = random_model(build, dim, seed)
    x, u = rng.standard_normal((4, dim)), rng.standard_normal(4)
    log_p, vjp = model.log_prob_vjp(x)
    np.testing.assert_array_equal(log_p, model.log_prob(x))
    grad_x, grad_theta = vjp(u)
    # Richardson's differences, good to about 1e-8 here: a model refuses complex input.
    v = rng.standard_normal(x.shape)
    np.testing.assert_allclose((grad_x * v).sum(), u @ nf.testing.directional_derivative(model.log_prob, x, v),
                               rtol=1e-6, atol=1e-6)
    theta, w = model.theta.copy(), rng.standard_normal(model.theta.shape) / math.sqrt(len(model.theta))

    def along(t):
        model.theta = theta + t
        return model.log_prob(x)

    np.testing.assert_allclose(grad_theta @ w, u @ nf.testing.directional_derivative(along, 0 * theta, w), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("build", [nf.maf, nf.realnvp])
def test_one_dimensional_densities_integrate_to_one(build):
    """By the trapezoid rule on a grid that holds all but 1e-12 of the mass: its error is below 1e-6 for smooth densities."""
    for seed in range(5):
        model, _ = random_model(build, 1, seed)
        x = np.linspace(-60, 60, 200_001)[:, None]
        assert abs(trapezoid(np.exp(model.log_prob(x)), x[:, 0]) - 1) < 1e-6


@pytest.mark.parametrize("build", [nf.maf, nf.realnvp])
def test_two_dimensional_densities_integrate_to_one(build):
    """On a grid in x of 0.05 over [-15, 15]^2; the densities at hand are smooth on that scale and vanish outside."""
    model, _ = random_model(build, 2, 0)
    side = np.arange(-15, 15, 0.05)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    assert abs(np.exp(model.log_prob(grid)).sum() * 0.05 ** 2 - 1) < 1e-3


def test_samples_follow_the_density():
    """Mean and covariance of 20,000 samples against moments by quadrature, within five standard errors."""
    model, _ = random_model(nf.realnvp, 2, 1)
    side = np.arange(-15, 15, 0.05)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    p = np.exp(model.log_prob(grid)) * 0.05 ** 2
    samples = model.sample(20_000, rng=0)
    for moment in (lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x[:, 0] ** 2, lambda x: x[:, 1] ** 2, lambda x: x.prod(1)):
        values = moment(samples)
        assert abs(values.mean() - p @ moment(grid)) < 5 * values.std() / math.sqrt(20_000) + 1e-3


@given(build=builders, dim=st.integers(1, 3), seed=st.integers(0, 100))
def test_equal_seeds_give_equal_samples_and_temperature_scales_the_noise(build, dim, seed):
    model, _ = random_model(build, dim, seed)
    np.testing.assert_array_equal(model.sample(5, rng=seed), model.sample(5, rng=seed))
    cold = model.sample(5, rng=seed, temperature=0.5)
    z = np.random.default_rng(seed).standard_normal((5, dim))
    np.testing.assert_allclose(cold, model.flow.inverse(0.5 * z)[0], rtol=1e-14)
    np.testing.assert_allclose(model.sample(3, temperature=0.0), np.repeat(model.flow.inverse(np.zeros((1, dim)))[0], 3, axis=0))
    assert model.sample(0).shape == (0, dim)


def test_copies_of_a_model_are_independent():
    model, _ = random_model(nf.maf, 2, 0)
    for twin in (copy.copy(model), copy.deepcopy(model), model.astype(np.float64)):
        assert not np.shares_memory(twin.theta, model.theta)
        np.testing.assert_array_equal(twin.log_prob(np.ones((1, 2))), model.log_prob(np.ones((1, 2))))


def test_float32_stays_float32():
    model, _ = random_model(nf.maf, 3, 0, dtype=np.float32)
    x = model.sample(4, rng=0)
    log_p, vjp = model.log_prob_vjp(x.astype(np.float64))
    grad_x, grad_theta = vjp(np.ones(4))
    assert {a.dtype for a in (x, log_p, grad_x, grad_theta, model.log_prob(x))} == {np.dtype(np.float32)}
    assert model.astype(np.float64).sample(4, rng=0).dtype == np.float64


@given(digits=st.integers(0, 6), scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_standardize_in_float32_keeps_the_digits_that_the_mean_leaves(digits, scale, seed):
    """The bound that its docstring states, and, with a mean a million times the scale, an error that is there."""
    rng = np.random.default_rng(seed)
    mean = scale * 10.0 ** digits * rng.uniform(1, 2, 50)
    x = mean + scale * rng.standard_normal((20, 50))
    double = nf.Standardize(mean, np.full(50, scale))
    z, z32 = double.forward(x)[0], double.astype(np.float32).forward(x)[0]
    bound = 2.0 ** -24 * (np.abs(x) + mean + 3 * np.abs(x - mean)) / scale
    assert z32.dtype == np.float32 and (np.abs(z32 - z) <= bound * (1 + 1e-6)).all()
    assert digits < 6 or np.abs(z32 - z).max() > 0.01


def test_standardized_answers_in_the_units_of_the_data():
    """log p_x(x) = log p_u((x - mean) / std) - sum log std."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 2)) * [3.0, 0.01] + [100.0, -7.0]
    plain, _ = random_model(nf.realnvp, 2, 0)
    u = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = plain.log_prob(u) - np.log(x.std(axis=0)).sum()
    np.testing.assert_allclose(plain.standardized(x).log_prob(x), expected, rtol=1e-12)


def test_two_rows_are_enough_to_standardise_and_one_is_not():
    model = nf.maf(1, steps=1, rng=0).standardized(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(model.log_prob([[2.0]]), -0.5 * math.log(2 * math.pi))
    with pytest.raises(ValueError, match="x: expected at least two rows and columns that vary, got 1 rows"):
        nf.Standardize.of(np.array([[1.0]]))


def test_maf_reverses_between_its_layers_and_only_there():
    kinds = [type(flow).__name__ for flow in nf.maf(dim=3, steps=3, rng=0).flow.flows]
    assert kinds == ["GaussianAutoregressive", "Permutation", "GaussianAutoregressive", "Permutation",
                     "GaussianAutoregressive"]


@pytest.mark.parametrize("x, message", [
    ([1.0, 2.0], r"got a single sample of shape \(2,\); write x\[None, :\]"),
    ([[1.0, np.nan], [np.inf, 0.0]], r"x: expected finite numbers, got 2 that are NaN or infinite, the first at index \(0, 1\)"),
    ([[1.0, 2.0, 3.0]], r"x: expected a batch of shape \(n, 2\), got an array of shape \(1, 3\)"),
    ([["a", "b"]], "x: expected real numbers, got an array of dtype <U1"),
    ([[1j, 2j]], "x: expected real numbers, got an array of dtype complex128"),
    ([[1.0], [1.0, 2.0]], "x: expected a rectangular array"),
    (np.ma.masked_array(np.zeros((3, 2)), mask=[[0, 1]] * 3), "x: expected an array without masked entries, got 3"),
    (None, "x: expected real numbers, got an array of dtype object")])
def test_data_that_is_no_batch_of_finite_reals_is_refused(x, message):
    model = nf.realnvp(2, steps=1, rng=0)
    for call in (model.log_prob, model.log_prob_vjp, lambda x: nf.negative_log_likelihood(model, x)):
        with pytest.raises(ValueError, match=message):
            call(x)


@pytest.mark.parametrize("arguments, message", [
    ({"n": -1}, "n: expected a whole number of at least 0, got -1"), ({"n": 2.5}, "n: expected a whole number"),
    ({"n": 1, "rng": "0"}, "rng: expected None, a whole number from 0 up or a numpy.random.Generator, got '0'"),
    ({"n": 1, "temperature": -1}, "temperature: expected a finite number of at least 0, got -1"),
    ({"n": 1, "temperature": np.nan}, "temperature: expected a finite number of at least 0, got nan")])
def test_samples_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nf.realnvp(2, steps=1, rng=0).sample(**arguments)


@pytest.mark.parametrize("temperature", ["a", None, 1j, [1.0]])
def test_temperatures_that_are_no_numbers_are_refused_by_name(temperature):
    for model in (nf.realnvp(2, steps=1, rng=0), nf.realnvp_image((2, 2, 1), 1, 1, 2, grey_levels=2, rng=0)):
        with pytest.raises(TypeError, match=r"^temperature: expected a number, got ('a'|None|1j|\[1.0\])$"):
            model.sample(1, temperature=temperature)
        assert len(model.sample(1, rng=0, temperature=np.float32(0.5))) == len(model.sample(1, temperature=1)) == 1


@pytest.mark.parametrize("build", [nf.maf, nf.realnvp])
@pytest.mark.parametrize("arguments", [{"dim": 0}, {"dim": 2, "steps": 0}, {"dim": 2, "hidden": (0,)},
                                       {"dim": 2, "activation": "x"}, {"dim": 2, "dtype": int}])
def test_builders_refuse_what_makes_no_sense(build, arguments):
    with pytest.raises(ValueError, match=f"^{list(arguments)[-1]}: expected"):
        build(**arguments)


def test_a_base_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"base: expected a density on samples of shape \(2,\), got \(3,\)"):
        nf.NormalizingFlow(nf.Coupling(2), nf.StandardNormal((3,)))


def test_importing_the_package_loads_neither_matplotlib_nor_the_optimisers():
    import subprocess
    import sys
    code = "import sys, nfnumpy; print([m for m in ('matplotlib', 'scipy.optimize') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
