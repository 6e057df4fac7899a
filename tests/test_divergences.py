"""Losses and divergences: gradients against differences, values against closed forms, what each direction prefers."""
import math

import numpy as np
import pytest
from scipy import stats

import nfnumpy as nf
from nfnumpy.distributions import Density
from nfnumpy.energies import ENERGIES, U2, GaussianMixture
from nfnumpy.flows.triangular import Triangular
from nfnumpy.testing import randomize
from nfnumpy.testing.checks import check_vjp


def composition(rng):
    """Every kind of layer in both directions: linear, autoregressive, inverse autoregressive, coupling, permutation."""
    return nf.NormalizingFlow(nf.Composition([
        nf.Standardize([1.0, -2.0], [2.0, 0.5]), nf.GaussianAutoregressive(2, (6,), "tanh", order=[1, 0], rng=rng),
        nf.Permutation([1, 0]), nf.Inverse(nf.Composition([Triangular(2), nf.Coupling(2, (5, 5), "tanh", rng=rng)])),
        nf.Inverse(nf.GaussianAutoregressive(2, (6,), "tanh", rng=rng))]))


# tanh: a ReLU's kink between two points of a difference would spoil it
MODELS = {"maf": lambda rng: nf.maf(2, steps=3, hidden=(8, 8), activation="tanh", rng=rng),
          "iaf": lambda rng: nf.iaf(2, steps=3, hidden=(8,), activation="tanh", rng=rng),
          "realnvp": lambda rng: nf.realnvp(2, steps=4, hidden=(8,), activation="tanh", rng=rng),
          "composition": composition}
TWO_MODES = GaussianMixture(means=[[-1.0, 0.5], [1.0, 0.0]], scales=[0.7, 1.0], weights=[1, 2])
# each as a function of the model, at fixed noise: the same data, or the same seed
LOSSES = {"negative_log_likelihood": lambda model: nf.negative_log_likelihood(model, TWO_MODES.sample(20, rng=3)),
          "forward_kl": lambda model: nf.forward_kl(model, TWO_MODES.sample(20, rng=3), TWO_MODES),
          "reverse_kl": lambda model: nf.reverse_kl(model, TWO_MODES, 20, rng=4),
          "reverse_kl, u2": lambda model: nf.reverse_kl(model, U2(), 20, rng=5)}


def random_model(name, rng):
    rng = np.random.default_rng(rng)
    model = MODELS[name](rng)
    randomize(model.flow, rng)
    return model


def gradient_error(loss, model, directions=6):
    """Largest difference, relative to the gradient's length, of <gradient, w> and a central difference along unit w."""
    theta, gradient = model.theta.copy(), loss(model)[1]
    worst, rng = 0.0, np.random.default_rng(0)
    for _ in range(directions):
        w = rng.standard_normal(theta.shape)
        w /= np.linalg.norm(w)

        def value(t):
            model.theta[...] = theta + t * w
            return loss(model)[0]

        h = 1e-3                                                 # two central differences, extrapolated: error O(h^4)
        coarse, fine = ((value(step) - value(-step)) / (2 * step) for step in (h, h / 2))
        worst = max(worst, abs((4 * fine - coarse) / 3 - gradient @ w) / np.linalg.norm(gradient))
    model.theta[...] = theta
    return worst


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_values_derivative(loss, name, seed):
    assert gradient_error(LOSSES[loss], random_model(name, seed)) < 1e-7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_maximum_likelihood_is_the_forward_kl(name, dtype):
    """The gradients are equal to the last bit, the values apart by the mean of log pi alone."""
    model = random_model(name, 2).astype(dtype)
    x = TWO_MODES.sample(50, rng=0).astype(dtype)
    loss, gradient = nf.negative_log_likelihood(model, x)
    value, gradient_of_kl = nf.forward_kl(model, x, TWO_MODES)
    assert np.array_equal(gradient, gradient_of_kl) and gradient.dtype == dtype and gradient.any()
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    assert value - loss == pytest.approx(TWO_MODES.log_prob(x).mean(dtype=float), abs=tolerance)


class InFloat64:
    """A target of one's own that answers in float64 whatever it is asked in; -log pi = |x - 1|^2 / 2."""

    def log_prob(self, x):
        return -0.5 * ((x.astype(np.float64) - 1) ** 2).sum(axis=1)

    def score(self, x):
        return 1 - x.astype(np.float64)


class Shift(nf.Flow):
    """x = z + b, whose gradient is the sum of the pulls that it gets, in their dtype."""

    def __init__(self, dim, dtype=np.float64):
        super().__init__((dim,), parameters={"b": np.full(dim, 0.5)}, dtype=dtype)

    def inverse_vjp(self, z):
        z = self.as_z(z)
        outputs = z + self.b, np.zeros(len(z), z.dtype)
        return outputs, lambda grad_x, grad_log_det, out=None: (grad_x, grad_x.sum(axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_target_of_float64_leaves_the_gradient_in_thetas_dtype(dtype):
    """d/db of the mean of (z + b - 1)^2 / 2 is the mean of z + b - 1, in float32 to six digits."""
    model = nf.NormalizingFlow(Shift(2, dtype))
    _, gradient = nf.reverse_kl(model, InFloat64(), 50, rng=0)
    assert gradient.dtype == dtype
    z = model.base.sample(50, rng=np.random.default_rng(0))
    np.testing.assert_allclose(gradient, z.mean(axis=0) - 0.5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_noise_gives_the_same_bits(loss):
    model = random_model("maf", 0)
    (value, gradient), (again, gradient_again) = LOSSES[loss](model), LOSSES[loss](model)
    assert value == again and np.array_equal(gradient, gradient_again) and isinstance(value, float)


def test_a_generator_draws_afresh():
    model, rng = random_model("iaf", 0), np.random.default_rng(0)
    assert nf.reverse_kl(model, TWO_MODES, 5, rng)[0] != nf.reverse_kl(model, TWO_MODES, 5, rng)[0]


@pytest.mark.parametrize("call", [lambda model: nf.negative_log_likelihood(model, np.zeros((0, 2))),
                                  lambda model: nf.forward_kl(model, np.zeros((0, 2)), TWO_MODES),
                                  lambda model: nf.reverse_kl(model, TWO_MODES, 0, rng=0),
                                  lambda model: nf.reverse_kl(model, TWO_MODES, 5, rng="seed")])
def test_empty_batches_and_wrong_generators_are_refused(call):
    with pytest.raises(ValueError, match="^(x|n|rng): expected"):
        call(random_model("maf", 0))


# ---- values: closed forms --------------------------------------------------------------------------------------------

def gaussian_flow():
    """An affine flow z = W x + b, and the Gaussian that it is: N(-W^-1 b, (W^T W)^-1)."""
    W, b = np.array([[1.25, 0.0], [-0.6, 0.8]]), np.array([0.3, -0.4])
    flow = Triangular(2, W=W)
    flow.b = b
    return nf.NormalizingFlow(flow), nf.Gaussian(-np.linalg.solve(W, b), np.linalg.inv(W.T @ W))


def gaussian_kl(p, q):
    """KL(p, q) of two Gaussians, nats: (tr(Q^-1 P) + d^T Q^-1 d - m + log det Q - log det P) / 2, d between means."""
    d = p.mean - q.mean
    log_det_p, log_det_q = (np.linalg.slogdet(g.covariance)[1] for g in (p, q))
    return 0.5 * (np.trace(np.linalg.solve(q.covariance, p.covariance)) + d @ np.linalg.solve(q.covariance, d) - p.dim
                  + log_det_q - log_det_p)


SIZES, SEEDS = (100, 1000, 10_000, 100_000), range(32)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_estimates_converge_to_the_closed_form_like_one_over_root_n(direction):
    """The slope of the root-mean-square error over 32 seeds against n, on log-log axes, is -1/2 within 0.1.

    A root-mean-square over S seeds has a relative error of 1 / sqrt(2 S), 0.125 here, which makes the fitted slope's
    standard error 0.025 for four decades' ends 100..100,000: 0.1 is four of them. The seeds are the first 32 numbers.
    """
    model, p = gaussian_flow()
    pi = nf.Gaussian([0.5, 0.0], [[1.0, 0.4], [0.4, 0.8]])
    np.testing.assert_allclose(model.log_prob(pi.mean[None]), p.log_prob(pi.mean[None]), rtol=1e-12)     # p is the flow
    exact = gaussian_kl(pi, p) if direction == "forward" else gaussian_kl(p, pi)
    assert exact > 0.1
    errors = []
    for n in SIZES:
        if direction == "forward":
            values = [nf.forward_kl(model, pi.sample(n, rng=seed), pi)[0] for seed in SEEDS]
        else:
            values = [nf.reverse_kl(model, pi, n, rng=seed)[0] for seed in SEEDS]
        errors.append(math.sqrt(np.mean((np.array(values) - exact) ** 2)))
    slope = np.polyfit(np.log(SIZES), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.1, f"slope {slope:.3f}"
    assert errors[-1] < 0.01


class Scaled(Density):
    """A density times a constant."""

    def __init__(self, target, log_constant):
        self.target, self.log_constant, self.shape = target, log_constant, target.shape

    def log_prob(self, x):
        return self.target.log_prob(x) + self.log_constant

    def score(self, x):
        return self.target.score(x)


def test_reverse_kl_is_up_to_log_z():
    """A target times Z moves the value by -log Z and the gradient by nothing."""
    model = random_model("iaf", 0)
    value, gradient = nf.reverse_kl(model, TWO_MODES, 50, rng=0)
    scaled, same_gradient = nf.reverse_kl(model, Scaled(TWO_MODES, 3.0), 50, rng=0)
    assert scaled == pytest.approx(value - 3.0, abs=1e-12) and np.array_equal(gradient, same_gradient)


def square_grid(half, points=401):
    """Points ``(points^2, 2)`` and the area of each: very accurate for smooth functions that vanish at the edge."""
    t = np.linspace(-half, half, points)
    return np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2), (t[1] - t[0]) ** 2


@pytest.mark.parametrize("name", ["u1", "u2", "u3", "u4"])
def test_reverse_kl_plus_log_z_is_the_divergence(name):
    """Against quadrature, for an affine flow and the energies: within 4 standard errors (chance of failure 6e-5)."""
    (model, p), target, n = gaussian_flow(), ENERGIES[name](), 20_000
    x, area = square_grid(7.0)
    log_p = p.log_prob(x)
    exact = (np.exp(log_p) * (log_p - target.log_prob(x) + target.log_z)).sum() * area
    sample = p.sample(n, rng=1)
    standard_error = (p.log_prob(sample) - target.log_prob(sample)).std() / math.sqrt(n)
    assert abs(nf.reverse_kl(model, target, n, rng=0)[0] + target.log_z - exact) < 4 * standard_error


def quadrature_kl(p, q, x, area):
    """KL(p, q) on a grid; where p is zero to rounding the integrand is."""
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    return (np.exp(log_p) * (log_p - log_q)).sum() * area


def test_a_divergence_is_not_negative_and_zero_only_between_equals():
    """All pairs among the normalised densities and random flows, by quadrature on a square that holds their mass."""
    rng = np.random.default_rng(0)
    densities = [nf.StandardNormal(2), TWO_MODES, ENERGIES["ring"](), ENERGIES["mixture"](), gaussian_flow()[1],
                 *(nf.NormalizingFlow(nf.Composition([nf.Standardize([0.2, 0.1], [1.2, 0.9]),
                                                      randomize(nf.Coupling(2, (6,), "tanh", rng=rng), rng)]))
                   for _ in range(2))]
    x, area = square_grid(12.0, 301)
    for i, p in enumerate(densities):
        assert abs(np.exp(p.log_prob(x)).sum() * area - 1) < 1e-4
        for j, q in enumerate(densities):
            kl = quadrature_kl(p, q, x, area)
            assert (kl > 0.01) if i != j else (kl == 0)


def test_the_estimate_between_equals_is_zero_and_its_gradient_averages_to_zero():
    """log p - log pi vanishes at each sample, the gradient on average only: E[d log p / d theta] = 0."""
    model = random_model("realnvp", 0)
    pi = random_model("realnvp", 0)

    class AsTarget(Density):
        shape = (2,)
        log_prob = staticmethod(pi.log_prob)

        def score(self, x):
            return pi.log_prob_vjp(x)[1](1.0)[0]

    n = 4000
    x = pi.sample(n, rng=0)
    value, forward_gradient = nf.forward_kl(model, x, AsTarget())
    assert abs(value) < 1e-12
    value, reverse_gradient = nf.reverse_kl(model, AsTarget(), n, rng=0)
    assert abs(value) < 1e-10                                        # a round trip: z -> x -> z
    gradient_elsewhere = nf.forward_kl(random_model("realnvp", 1), x, AsTarget())[1]
    for gradient in (forward_gradient, reverse_gradient):
        assert np.linalg.norm(gradient) < 0.1 * np.linalg.norm(gradient_elsewhere)


# ---- a wrong implicit solve is caught --------------------------------------------------------------------------------

class PullForgottenInside(nf.GaussianAutoregressive):
    """`inverse_vjp_by_sweeps` without the log-determinant's pull in the solve: J^T v = grad_x."""

    def inverse_vjp(self, z):
        x, log_det = self.inverse_by_passes(z)
        _, forward_vjp, transformer_vjp = self._forward_vjp(x)
        slope, _ = transformer_vjp(np.ones_like(x), 0.0)

        def vjp(grad_x, grad_log_det, out=None):
            v = np.zeros_like(x)
            for _ in self.order:
                v = v + (grad_x - forward_vjp(v, 0.0)[0]) / slope
            _, grad_theta = forward_vjp(v, grad_log_det, out)
            return v, np.negative(grad_theta, out=grad_theta)

        return (x, log_det), vjp


class PullForgottenOutside(nf.GaussianAutoregressive):
    """`inverse_vjp_by_sweeps` with the right v, and without the pull in grad_theta: t = (df/dtheta)^T v."""

    def inverse_vjp(self, z):
        x, log_det = self.inverse_by_passes(z)
        _, forward_vjp, transformer_vjp = self._forward_vjp(x)
        slope, _ = transformer_vjp(np.ones_like(x), 0.0)

        def vjp(grad_x, grad_log_det, out=None):
            v = np.zeros_like(x)
            for _ in self.order:
                v = v + (grad_x - forward_vjp(v, grad_log_det)[0]) / slope
            _, grad_theta = forward_vjp(v, 0.0, out)
            return v, np.negative(grad_theta, out=grad_theta)

        return (x, log_det), vjp


class BySweeps(nf.GaussianAutoregressive):
    """The same, with nothing forgotten: the control."""

    def inverse_vjp(self, z):
        return self.inverse_vjp_by_sweeps(z)


@pytest.mark.parametrize("flow_class, wrong", [(PullForgottenInside, "its input through log_det"),
                                               (PullForgottenOutside, "theta through log_det"), (BySweeps, None)])
@pytest.mark.parametrize("seed", range(5))
def test_a_forgotten_pull_of_the_log_determinant_is_caught(flow_class, wrong, seed):
    flow = randomize(flow_class(3, (8,), "tanh", rng=seed), seed)
    model = nf.NormalizingFlow(flow)
    target = GaussianMixture(np.eye(3), scales=1.5)
    error = gradient_error(lambda model: nf.reverse_kl(model, target, 50, rng=0), model)
    x = np.random.default_rng(seed).standard_normal((5, 3))
    if wrong is None:
        assert error < 1e-7 and check_vjp(flow, x) < 1e-7
    else:
        assert error > 1e-3
        with pytest.raises(AssertionError, match=f"check_vjp: inverse_vjp, gradient of {wrong}"):
            check_vjp(flow, x)
        assert gradient_error(lambda model: nf.negative_log_likelihood(model, x), model) < 1e-7       # forward is right


# ---- forward KL covers, reverse KL seeks -----------------------------------------------------------------------------

BIMODAL = GaussianMixture(means=[[-3.0, 0.0], [3.0, 0.0]], scales=1.0)


def fitted_gaussian(loss, steps, start):
    """The affine flow after Adam's `steps`, as the Gaussian that it is; `start` moves its first mean to one side."""
    flow = Triangular(2)
    flow.b = np.array([-start, 0.0])
    model, rng = nf.NormalizingFlow(flow), np.random.default_rng(0)
    adam = nf.Adam(model.theta)
    for step in range(steps):
        adam.lr = 0.05 * 0.5 * (1 + math.cos(math.pi * step / steps))
        adam.step(loss(model, rng)[1])
    return nf.Gaussian(-np.linalg.solve(flow.W, flow.b), np.linalg.inv(flow.W.T @ flow.W))


def mass_near_the_modes(gaussian):
    """Mass of x1 within two standard deviations of each mode: (left, right)."""
    x1 = stats.norm(gaussian.mean[0], math.sqrt(gaussian.covariance[0, 0]))
    return [x1.cdf(mode + 2) - x1.cdf(mode - 2) for mode in (-3.0, 3.0)]


def test_forward_kl_covers_the_modes():
    """Its Gaussian optimum has the mixture's moments, mean 0 and covariance diag(1 + 3^2, 1): half on either side."""
    gaussian = fitted_gaussian(lambda model, rng: nf.forward_kl(model, BIMODAL.sample(512, rng), BIMODAL), 400, 1.0)
    np.testing.assert_allclose(gaussian.mean, [0, 0], atol=0.15)     # optimisation noise of the last steps
    np.testing.assert_allclose(gaussian.covariance, np.diag([10.0, 1.0]), atol=0.3)
    left, right = mass_near_the_modes(gaussian)
    assert abs(left - right) < 0.05 and min(left, right) > 0.28      # 0.319 each: Phi(5 / sqrt 10) - Phi(1 / sqrt 10)


@pytest.mark.parametrize("side", [-1, 1])
def test_reverse_kl_seeks_one_mode(side):
    """Which of the two depends on the start; the other is nearly empty, which costs log 2 nats and not more."""
    target, rng = BIMODAL, np.random.default_rng(1)
    gaussian = fitted_gaussian(lambda model, rng: nf.reverse_kl(model, target, 256, rng), 400, start=0.5 * side)
    masses = mass_near_the_modes(gaussian)[::side]
    assert masses[1] > 0.93 and masses[0] < 1e-3                     # 0.954 within two standard deviations
    np.testing.assert_allclose(gaussian.mean, [3 * side, 0], atol=0.1)
    x = gaussian.sample(20_000, rng)
    assert (gaussian.log_prob(x) - target.log_prob(x)).mean() == pytest.approx(math.log(2), abs=0.02)


def test_each_direction_prefers_its_own_optimum():
    """By quadrature: the covering Gaussian is better in KL(pi, p), the seeking one in KL(p, pi)."""
    covers, seeks = nf.Gaussian([0.0, 0.0], np.diag([10.0, 1.0])), nf.Gaussian([3.0, 0.0], np.eye(2))
    x, area = square_grid(25.0, 501)
    forward = [quadrature_kl(BIMODAL, p, x, area) for p in (covers, seeks)]
    reverse = [quadrature_kl(p, BIMODAL, x, area) for p in (covers, seeks)]
    assert forward[0] < forward[1] and reverse[1] < reverse[0]
