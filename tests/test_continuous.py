"""Continuous-time flows: closed forms, traces and their gradients, the solver's tolerances, Hutchinson's estimator."""
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

import nfnumpy as nf
from nfnumpy.flows.solver import integrate
from nfnumpy.nets.velocity import Velocity
from nfnumpy.testing.derivatives import directional_derivative

seeds, dims = st.integers(0, 2 ** 32 - 1), st.integers(1, 5)
some_widths = st.lists(st.integers(1, 5), max_size=3)
STEP = 1e-30


def random_flow(dim, hidden, seed, **arguments):
    rng = np.random.default_rng(seed)
    return nf.testing.randomize(nf.ContinuousFlow(dim, hidden, rng=rng, **arguments), rng), rng


@given(dim=dims, seed=seeds)
def test_a_linear_field_has_the_matrix_exponential_for_its_flow(dim, seed):
    """dx/dt = A x + c t + b is linear in (x, t, 1), whose matrix has two more rows; log det of e^A is tr A."""
    flow, rng = random_flow(dim, (), seed)
    A, c, x = flow.net.W0[:, :-1], flow.net.W0[:, -1], rng.standard_normal((4, dim))
    M = np.zeros((dim + 2, dim + 2))
    M[:dim, :dim], M[:dim, dim], M[:dim, dim + 1], M[dim, dim + 1] = A, c, flow.net.b0, 1
    start = np.column_stack([x, np.zeros(4), np.ones(4)])
    z, log_det = flow.forward(x)
    np.testing.assert_allclose(z, (start @ expm(M).T)[:, :dim], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(log_det, np.trace(A), atol=1e-8)


@given(dim=dims, hidden=some_widths, seed=seeds, t=st.floats(-1, 1))
def test_the_trace_is_that_of_the_jacobian(dim, hidden, seed, t):
    flow, rng = random_flow(dim, hidden, seed)
    x = rng.standard_normal((3, dim))
    (v, trace), _ = flow.net.with_trace(x, t, np.eye(dim))
    plain, _ = flow.net.vjp(np.column_stack([x, np.full(3, t)]))
    np.testing.assert_allclose(v, plain, rtol=1e-13, atol=1e-13)
    J = nf.testing.jacobian(lambda x: flow.net.with_trace(x, t, np.eye(dim))[0][0], x)
    np.testing.assert_allclose(trace, np.trace(J, axis1=1, axis2=2), rtol=1e-12, atol=1e-12)
    e = rng.standard_normal((3, 1, dim))
    estimate = flow.net.with_trace(x, t, e)[0][1]
    np.testing.assert_allclose(estimate, (e @ J @ e.swapaxes(1, 2))[:, 0, 0], rtol=1e-11, atol=1e-11)


@given(dim=dims, hidden=some_widths, seed=seeds, t=st.floats(-1, 1), exact=st.booleans())
def test_the_vjp_of_velocity_and_trace(dim, hidden, seed, t, exact):
    """Beside complex steps in x and in theta: the gradient of the trace is where phi'' comes in. Each row its own noise, too."""
    flow, rng = random_flow(dim, hidden, seed)
    x, a, w = rng.standard_normal((3, dim)), rng.standard_normal((3, dim)), rng.standard_normal(3)
    directions = np.eye(dim) if exact else rng.standard_normal((3, 1, dim))
    grad_x, grad_theta = flow.net.with_trace(x, t, directions)[1](a, w)

    def along(v_x, v_theta):
        net = flow.net.astype(complex)
        net.theta += 1j * STEP * v_theta
        (v, trace), _ = net.with_trace(x + 1j * STEP * v_x, t, directions)
        return ((a * v).sum() + w @ trace).imag / STEP

    u, s = rng.standard_normal(x.shape), rng.standard_normal(flow.n_params)
    np.testing.assert_allclose((grad_x * u).sum(), along(u, 0 * s), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(grad_theta @ s, along(0 * u, s), rtol=1e-10, atol=1e-10)


def test_gradients_through_the_solver_with_two_hidden_layers():
    flow, rng = random_flow(2, (4, 3), seed=0)
    nf.testing.check_vjp(flow, rng.standard_normal((2, 2)))


def test_a_new_flow_is_the_identity():
    x = np.random.default_rng(0).standard_normal((5, 3))
    for out, log_det in (nf.ContinuousFlow(3, rng=0).forward(x), nf.ContinuousFlow(3, rng=0).inverse(x)):
        np.testing.assert_array_equal(out, x)
        assert not log_det.any()


def test_errors_follow_the_tolerances_and_cost_evaluations():
    """Values, log-determinants and gradients are within ten tolerances of those of the tightest."""
    def everything(tolerance):
        flow, rng = random_flow(3, (8,), 5, rtol=tolerance, atol=tolerance)
        x = rng.standard_normal((6, 3))
        (z, log_det), vjp = flow.forward_vjp(x)
        grad_x, grad_theta = vjp(np.ones_like(z), 1.0)
        return np.concatenate([z.ravel(), log_det, grad_x.ravel(), grad_theta / 6]), flow.evaluations(x)

    exact, _ = everything(1e-13)
    tolerances = [1e-3, 1e-5, 1e-7, 1e-9, 1e-11]
    results = [everything(tolerance) for tolerance in tolerances]
    errors = [np.abs(values - exact).max() for values, _ in results]
    assert all(error < 10 * tolerance for error, tolerance in zip(errors, tolerances)), errors
    evaluations = [count for _, count in results]
    assert evaluations == sorted(evaluations) and evaluations[-1] > 2 * evaluations[0]


def rotation(t, rows):
    """Rows turn, twenty radians in a time of 1; three integrals are of nothing."""
    return 20 * rows @ np.array([[0.0, 1.0], [-1.0, 0.0]]), np.zeros(3)


def test_a_hard_row_is_as_accurate_among_easy_ones_as_alone():
    """Rows that stand still and integrals of nothing make no errors, and must not hide those of a row that turns."""
    hard, nothing = np.array([[1.0, 0.0]]), np.zeros(0)
    alone, _, count = integrate(lambda t, rows: (rotation(t, rows)[0], nothing), 0, 1, hard, nothing, 1e-6, 1e-6)
    rows = np.concatenate([np.zeros((500, 2)), hard])
    among, rest, same = integrate(rotation, 0, 1, rows, np.zeros(3), 1e-6, 1e-6)
    assert count == same and not among[:-1].any() and not rest.any()
    np.testing.assert_allclose(among[-1:], alone, rtol=1e-12)
    np.testing.assert_allclose(alone, [[np.cos(20), np.sin(20)]], atol=1e-4)


def test_the_rest_is_held_to_the_tolerance_as_well():
    """An integral of seven numbers, without rows and among rows that stand still: the same steps."""
    (_, alone, count), (_, among, same) = (
        integrate(lambda t, rows: (rows, np.cos(30 * t) * np.arange(7)), 0, 1, np.zeros((n, 2)), np.zeros(7), 1e-8, 1e-8)
        for n in (0, 400))
    assert count == same
    np.testing.assert_allclose(among, alone, rtol=1e-12)
    np.testing.assert_allclose(alone, np.sin(30) / 30 * np.arange(7), atol=1e-7)


def all_signs(dim):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=dim)))


@pytest.mark.parametrize("dim", [1, 3])
def test_hutchinsons_estimate_is_right_on_average_over_all_signs(dim):
    """The mean of e . J e over the 2^m vectors of signs is tr J exactly, in both directions and in every gradient."""
    flow, rng = random_flow(dim, (6, 5), seed=1)
    x, a, w = rng.standard_normal((4, dim)), rng.standard_normal((4, dim)), rng.standard_normal(4)
    for method in ("forward_vjp", "inverse_vjp"):
        (z, log_det), vjp = getattr(flow, method)(x)
        estimates = []
        for noise in all_signs(dim):
            (same, estimate), noisy_vjp = getattr(flow.hutchinson(noise), method)(x)
            np.testing.assert_allclose(same, z, atol=1e-8)
            estimates.append((estimate, *noisy_vjp(a, w)))
        for mean, exact in zip(map(np.mean, zip(*estimates), itertools.repeat(0)), (log_det, *vjp(a, w))):
            np.testing.assert_allclose(mean, exact, atol=1e-8)
        assert dim == 1 or np.std([estimate for estimate, *_ in estimates], axis=0).min() > 1e-3


def test_each_row_has_its_own_noise_or_all_have_the_same():
    flow, rng = random_flow(2, (6,), seed=2)
    x, noise = rng.standard_normal((4, 2)), all_signs(2)
    together = flow.hutchinson(noise).forward(x)[1]
    alone = [flow.hutchinson(e).forward(x)[1][i] for i, e in enumerate(noise)]
    np.testing.assert_allclose(together, alone, atol=1e-8)
    nf.testing.check_vjp(flow.hutchinson(noise[1]), x)           # the gradient is that of the estimate


def test_an_estimate_learns_for_the_flow_and_is_not_saved(tmp_path):
    flow, rng = random_flow(2, (4,), seed=3)
    x, noisy = rng.standard_normal((4, 2)), nf.NormalizingFlow(flow.hutchinson([1.0, -1.0]))
    assert noisy.theta is flow.theta and flow.noise is None
    nf.save(noisy, tmp_path / "model.npz")
    np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").log_prob(x), nf.NormalizingFlow(flow).log_prob(x))
    assert np.abs(noisy.log_prob(x) - nf.NormalizingFlow(flow).log_prob(x)).max() > 1e-3


def test_a_part_of_a_composition_is_estimated_in_place():
    """Behind a Standardize: on the same theta, and right on average over all signs, value and gradient."""
    flow, rng = random_flow(2, (4,), seed=3)
    whole, x = nf.Composition([nf.Standardize([1.0, 2.0], [2.0, 3.0]), flow]), rng.standard_normal((4, 2))
    losses = [nf.negative_log_likelihood(nf.NormalizingFlow(whole.replacing(
        lambda part: part.hutchinson(e) if part is flow else part)), x) for e in all_signs(2)]
    loss, gradient = nf.negative_log_likelihood(nf.NormalizingFlow(whole), x)
    np.testing.assert_allclose(np.mean([value for value, _ in losses]), loss, atol=1e-8)
    np.testing.assert_allclose(np.mean([grad for _, grad in losses], axis=0), gradient, atol=1e-7)
    assert whole.replacing(lambda part: part) is whole


def test_the_density_integrates_to_one():
    """By the trapezoidal rule, which for smooth functions that vanish at the border is nearly exact."""
    flow, _ = random_flow(2, (8,), 4, rtol=1e-7, atol=1e-7)
    axis = np.linspace(-9, 9, 73)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert abs(np.exp(nf.NormalizingFlow(flow).log_prob(grid)).sum() * 0.25 ** 2 - 1) < 1e-6


def test_a_trajectory_ends_in_f_and_its_log_dets_add_up():
    flow, rng = random_flow(2, (8,), seed=5)
    x = rng.standard_normal((3, 2))
    z, log_det = flow.forward(x)
    for times, end, total in (([0, 0.3, 0.9, 1], z, log_det), ([1.0, 0.4, 0.0], x, -log_det)):
        steps = list(flow.trajectory(x if times[0] == 0 else z, times))
        np.testing.assert_allclose(steps[-1][0], end, atol=1e-8)
        np.testing.assert_allclose(sum(part for _, part in steps), total, atol=1e-8)
    (h, log_det), = flow.trajectory(x, iter([0.5, 0.5]))         # nowhere to go
    np.testing.assert_array_equal(h, x)
    assert not log_det.any()
    with pytest.raises(ValueError, match="^times: expected finite numbers, got nan"):
        list(flow.trajectory(x, [0.0, np.nan]))


def test_moons_are_learned():
    x = nf.targets.Moons(noise=0.1).sample(150, rng=0)
    model = nf.continuous(2, (16,), rtol=1e-3, atol=1e-3, rng=0).standardized(x)
    adam, losses = nf.Adam(model.theta, lr=0.03), []
    for _ in range(40):
        loss, gradient = nf.negative_log_likelihood(model, x)
        losses.append(loss)
        adam.step(gradient)
    gaussian = -nf.Gaussian.fit(x).log_prob(x).mean()
    assert losses[-1] < gaussian - 0.05 < losses[0], (losses[0], gaussian, losses[-1])


@pytest.mark.parametrize("arguments, message", [
    ({"dim": 0}, "dim: expected a whole number of at least 1, got 0"),
    ({"activation": "relu"}, r"activation: expected a smooth one \(tanh\), got 'relu': the gradient of the trace"),
    ({"activation": "gelu"}, "activation: expected one of tanh, relu, got 'gelu'"),
    ({"rtol": 0}, "rtol: expected a positive number, got 0"),
    ({"atol": np.inf}, "atol: expected a positive number, got inf")])
def test_arguments_are_refused_and_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        nf.ContinuousFlow(**{"dim": 2, **arguments})


def test_noise_of_another_shape_is_refused():
    flow = nf.ContinuousFlow(2, (3,))
    for noise in (np.ones(3), np.ones((4, 3)), 1.0, np.ones((1, 1, 2))):
        with pytest.raises(ValueError, match=r"noise: expected an array of shape \(2,\) or \(n, 2\), got one of shape"):
            flow.hutchinson(noise)
    for noise, words in (([np.nan, 1.0], "finite numbers"), ([1j, 1.0], "real numbers"), (["a", "b"], "real numbers")):
        with pytest.raises(ValueError, match=f"noise: expected {words}"):
            flow.hutchinson(np.array(noise))
    with pytest.raises(ValueError, match="noise: expected a row for each of the 5 rows of the batch, got 4"):
        flow.hutchinson(np.ones((4, 2))).forward(np.zeros((5, 2)))


def test_what_cannot_be_solved_is_said_and_ends():
    flow, rng = random_flow(2, (4,), seed=6)
    x = rng.standard_normal((3, 2))
    with pytest.raises(FloatingPointError, match="expected finite numbers to start from"):
        flow.forward(np.where(x == x[0, 0], np.nan, x))
    flow.theta *= 1e6
    with pytest.raises(FloatingPointError, match=r"from t = 0 to 1 in 10000 evaluations, got as far as t = .*too fast"):
        flow.forward(x)
    with pytest.raises(FloatingPointError, match=r"got as far as t = 0\.5: required step size"):    # x = 1 / (0.5 - t)
        integrate(lambda t, rows: (rows ** 2, np.zeros(0)), 0, 1, np.full((1, 1), 2.0), np.zeros(0), 1e-9, 1e-9)


def test_a_velocity_takes_derivatives_of_complex_input():
    net = Velocity(2, (3,), rng=0)
    nf.testing.randomize(net, 0)
    x = np.random.default_rng(0).standard_normal((2, 2))
    moved = directional_derivative(lambda x: net.with_trace(x, 0.5, np.eye(2))[0][1], x, np.ones((2, 2)))
    grad_x, _ = net.with_trace(x, 0.5, np.eye(2))[1](np.zeros((2, 2)), np.ones(2))
    np.testing.assert_allclose(grad_x.sum(axis=1), moved, rtol=1e-12)
