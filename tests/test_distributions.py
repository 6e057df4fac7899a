"""Densities: each one integrates to 1, its score is the gradient of log p, and its samples follow it."""
import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from scipy import stats

from nfnumpy.distributions import Density, Gaussian, StandardNormal
from nfnumpy.targets import TOY, Checkerboard, Circles, EightGaussians, Moons, Pinwheel, SwissRoll, TwoSpirals

reproducible = settings(deadline=None, derandomize=True, database=None, max_examples=50)

# a box that holds all but 1e-10 of the mass (7 noise lengths around the centres), and cells of about 3 noise lengths,
# in which 12 Gauss-Legendre nodes a side integrate a Gaussian to 1e-10
BOXES = {"moons": ((-1.7, 2.7), (-1.2, 1.7), 18), "circles": ((-1.6, 1.6), (-1.6, 1.6), 16),
         "eight_gaussians": ((-5.4, 5.4), (-5.4, 5.4), 12), "pinwheel": ((-6.5, 6.5), (-6.5, 6.5), 32),
         "checkerboard": ((-4, 4), (-4, 4), 12), "two_spirals": ((-4, 4), (-4, 4), 24),
         "swiss_roll": ((-4.6, 4.6), (-4.6, 4.6), 24)}
CURVES = [Moons, TwoSpirals, SwissRoll]
SMOOTH = sorted(set(TOY) - {"checkerboard"})
# seeds are fixed, so a test either always passes or always fails; the level is the chance that a correct sampler
# would have failed when the seed was chosen
FALSE_ALARM = 1e-3


def spd_gaussian(seed, m):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((m, m))
    return Gaussian(rng.standard_normal(m), a @ a.T + 0.1 * np.eye(m))


def densities():
    yield "standard normal", StandardNormal(3)
    yield "standard normal image", StandardNormal((2, 3, 1))
    yield "gaussian", spd_gaussian(0, 4)
    for name, toy in TOY.items():
        yield name, toy()


DENSITIES = dict(densities())


def cells(name):
    """Quadrature over the box: points (cells, 144, 2), weights (144,), and a function x -> number of its cell."""
    (left, right), (bottom, top), k = BOXES[name]
    nodes, weights = leggauss(12)
    nodes, weights = (nodes + 1) / 2, weights / 2
    width, height = (right - left) / k, (top - bottom) / k
    columns, rows = np.divmod(np.arange(k * k), k)
    inner = np.stack(np.meshgrid(nodes * width, nodes * height, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.stack([left + columns * width, bottom + rows * height], axis=1)[:, None] + inner

    def cell(x):
        indices = np.floor((x - [left, bottom]) / [width, height]).astype(int)
        return np.where(((indices >= 0) & (indices < k)).all(axis=1), indices @ [k, 1], -1)

    return points, np.outer(weights, weights).ravel() * width * height, cell


@pytest.mark.parametrize("name", TOY)
def test_toy_integrates_to_one_and_samples_follow_it(name):
    target = TOY[name]()
    points, weights, cell = cells(name)
    log_p = target.log_prob(points.reshape(-1, 2)).reshape(points.shape[:2])
    p = np.exp(log_p)
    probabilities = p @ weights

    assert abs(probabilities.sum() - 1) < 1e-9                      # the mass outside of the box; quadrature

    n = 20_000
    x = target.sample(n, rng=0)
    assert x.shape == (n, 2) and x.dtype == np.float64

    # chi-square over the cells; those with fewer than 10 expected samples are merged into one with the outside
    counts = np.bincount(cell(x) + 1, minlength=len(probabilities) + 1)
    expected = n * np.concatenate([[max(0.0, 1 - probabilities.sum())], probabilities])
    large = expected >= 10
    observed = np.append(counts[large], counts[~large].sum())
    expected = np.append(expected[large], expected[~large].sum())
    if expected[-1] < 1e-3:                                                     # checkerboard: nothing outside
        assert observed[-1] == 0
        observed, expected = observed[:-1], expected[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, len(expected) - 1) > FALSE_ALARM

    # the mean of -log p over samples is the entropy, within 4 standard errors (chance of failure 6e-5);
    # 1e-6 for the constant log p of the checkerboard, whose standard error is 0
    entropy = -(np.where(p > 0, p * np.where(p > 0, log_p, 0.0), 0.0) @ weights).sum()
    log_p = target.log_prob(x)
    assert abs(-log_p.mean() - entropy) < 4 * log_p.std() / math.sqrt(n) + 1e-6


@pytest.mark.parametrize("name", SMOOTH)
def test_toy_mean_score_is_zero(name):
    # integration by parts: E[score] = 0, and E[x_i score_i] = -1 (Stein's identity); 4.5 standard errors
    target = TOY[name]()
    x = target.sample(20_000, rng=1)
    score = target.score(x)
    for statistic, value in ((score, 0), (x * score, -1)):
        assert (np.abs(statistic.mean(axis=0) - value) < 4.5 * statistic.std(axis=0) / math.sqrt(len(x))).all()


def numerical_gradient(density, x, h):
    """Central differences with one Richardson step: error O(h^4)."""
    gradient = np.empty_like(x)
    for index in np.ndindex(density.shape):
        step = np.zeros(density.shape)
        step[index] = h
        one = (density.log_prob(x + step) - density.log_prob(x - step)) / (2 * h)
        two = (density.log_prob(x + 2 * step) - density.log_prob(x - 2 * step)) / (4 * h)
        gradient[(slice(None), *index)] = (4 * one - two) / 3
    return gradient


@pytest.mark.parametrize("name", sorted(set(DENSITIES) - {"checkerboard"}))
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_score_is_the_gradient_of_log_prob(name, spread):
    density = DENSITIES[name]
    x = density.sample(50, rng=2)
    x = x + spread * np.random.default_rng(3).standard_normal(x.shape)
    if name == "pinwheel":                                          # its second derivative jumps at the origin
        x = x[np.linalg.norm(x, axis=1) > 0.05]
    score = density.score(x)
    # h = 1e-4. Truncation: far away log p bends where the nearest end of a curve changes, over noise^2 / distance
    # = 2e-3 at the least, and (h / 2e-3)^4 = 6e-6 of a change in score. Rounding: a few eps |log p| / h.
    scale = 1 + np.abs(score)
    rounding = 1e-11 * (1 + np.abs(density.log_prob(x))).reshape(-1, *[1] * len(density.shape))
    assert (np.abs(score - numerical_gradient(density, x, 1e-4)) < 6e-6 * scale + rounding).all()


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("noise", [0.01, None, 0.5, 2.0])
def test_quadrature_is_as_accurate_as_stated(curve, noise):
    class Finer(curve):
        piece, pieces = curve.piece / 2, 2 * curve.pieces           # twice the nodes

    target = curve() if noise is None else curve(noise)
    finer = Finer(target.noise)
    x = target.sample(300, rng=0)
    direction = np.random.default_rng(1).standard_normal(x.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    for distance in (0, 3, 6):                                      # in noise lengths, from points near the curve
        near = x + distance * target.noise * direction
        error = np.abs(target.log_prob(near) - finer.log_prob(near)).max()
        assert error < 1e-10 + 1e-15 / target.noise ** 2
    for distance in (10, 100, 1e6):
        far = target.log_prob(distance * direction), finer.log_prob(distance * direction)
        np.testing.assert_allclose(*far, rtol=1e-4)


@pytest.mark.parametrize("curve", CURVES)
def test_curve_nodes_average_to_one(curve):
    # the weights are a probability distribution with the moments of the centres that are sampled
    target = curve()
    assert abs(target.weights.sum() - 1) < 1e-13
    centres = target._draw_centres(100_000, np.random.default_rng(0))
    for power in (1, 2):
        moment = target.weights @ target.centres ** power
        error = 4.5 * (centres ** power).std(axis=0) / math.sqrt(len(centres))
        assert (np.abs((centres ** power).mean(axis=0) - moment) < error).all()


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_moons_against_brute_force(noise):
    # the trapezoidal rule over a million points of one curve, which knows nothing of the classes' algebra
    t = np.linspace(0, math.pi, 200_001)
    weights = np.full(t.shape, 1 / (len(t) - 1))
    weights[[0, -1]] /= 2
    moons = Moons(noise)
    for x in moons.sample(5, rng=0):
        p = 0.0
        for c in (np.cos(t), np.sin(t)), (1 - np.cos(t), 0.5 - np.sin(t)):
            square = (x[0] - c[0]) ** 2 + (x[1] - c[1]) ** 2
            p += 0.5 * (np.exp(-square / (2 * noise ** 2)) @ weights) / (2 * math.pi * noise ** 2)
        # the rule's error, (step / noise)^2 / 12 at the ends of the curve
        assert abs(moons.log_prob(x[None])[0] - math.log(p)) < 1e-8


def test_circles_against_quadrature_over_the_angle():
    circles = Circles(noise=0.2, radius=2.0, factor=0.25)
    angle = np.arange(4096) * 2 * math.pi / 4096        # periodic: the trapezoidal rule is exact to rounding
    x = np.random.default_rng(0).normal(size=(20, 2))
    p = 0.0
    for radius in (2.0, 0.5):
        centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        square = ((x[:, None] - centres) ** 2).sum(axis=-1)
        p = p + 0.5 * np.exp(-square / 0.08).mean(axis=1) / (0.08 * math.pi)
    # rounding of exponents of size r R / noise^2, about 100
    np.testing.assert_allclose(circles.log_prob(x), np.log(p), rtol=0, atol=1e-11)
    assert np.array_equal(circles.score([[0.0, 0.0]]), [[0.0, 0.0]])


@pytest.mark.parametrize("noise", [0.001, 0.1, 1000.0])
def test_pinwheel_without_twist_is_a_mixture(noise):
    pinwheel = Pinwheel(radius=2.0, radial_std=1.0, tangential_std=noise, blades=2, twist=0.0)
    x = pinwheel.sample(50, rng=0)
    blades = [Gaussian([sign * 2.0, 0.0], np.diag([1.0, noise ** 2])).log_prob(x) for sign in (1, -1)]
    np.testing.assert_allclose(pinwheel.log_prob(x), np.logaddexp(*blades) - math.log(2), rtol=1e-10, atol=1e-10)


def test_checkerboard_squares():
    # the sixteen centres, row by row from the top: every other one is dark, starting light at the top left
    board = Checkerboard()
    middles = np.array([[x, y] for y in (3.0, 1.0, -1.0, -3.0) for x in (-3.0, -1.0, 1.0, 3.0)])
    dark = np.isfinite(board.log_prob(middles)).reshape(4, 4)
    assert np.array_equal(dark, np.indices((4, 4)).sum(axis=0) % 2 == 1)
    assert (board.log_prob([[4.0, 4.0], [-5.0, -5.0], [9.0, 9.0]]) == -np.inf).all()
    assert np.array_equal(board.score(middles), np.zeros((16, 2)))


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_away_is_finite(name, dtype):
    target = TOY[name]()
    far = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, -1e4], [1e6, 1e6], [-1e15, 1e10]], dtype)
    assert np.isfinite(target.log_prob(far)).all() and np.isfinite(target.score(far)).all()
    if name != "pinwheel":                          # whose density oscillates along a ray, as the ray crosses blades
        back = (target.score(far[1:]).astype(float) * far[1:]).sum(axis=1)
        assert (back < 0).all()                     # a gradient step from there is a step back
    huge = np.array([[1e200, -1e308], [1e150, 0.0]])
    assert (target.log_prob(huge) < -1e290).all() and not np.isnan(target.score(huge)).any()


@pytest.mark.parametrize("name", TOY)
def test_errors_of_numpy_are_not_needed(name):
    # a user who runs with np.seterr(all="raise") to find bugs must not be stopped by an exp that underflows
    target = TOY[name]()
    with np.errstate(all="raise"):
        target.log_prob(100 * target.sample(100, rng=0))
        target.score(100 * target.sample(100, rng=0))


@pytest.mark.parametrize("name", TOY)
def test_large_batches_are_computed_in_pieces(name):
    target = TOY[name]()
    x = target.sample(3000, rng=0)
    order = np.random.default_rng(1).permutation(len(x))
    # matrix products round differently for different numbers of rows
    np.testing.assert_allclose(target.log_prob(x)[order], target.log_prob(x[order]), rtol=0, atol=1e-11)
    np.testing.assert_allclose(target.log_prob(x[:1])[0], target.log_prob(x)[0], rtol=0, atol=1e-11)
    assert target.log_prob(x[:0]).shape == (0,) and target.score(x[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", DENSITIES)
def test_contract(name):
    density = DENSITIES[name]
    x = density.sample(7, rng=5)
    assert isinstance(density, Density) and density.dim == x[0].size and x.shape == (7, *density.shape)
    assert density.sample(0, rng=5).shape == (0, *density.shape)
    assert x.dtype == np.float64 and x.flags.c_contiguous
    for dtype in (np.float32, np.float64):
        given_x = x.astype(dtype)
        before = given_x.copy()
        assert density.log_prob(given_x).dtype == dtype and density.log_prob(given_x).shape == (7,)
        assert density.score(given_x).dtype == dtype and density.score(given_x).shape == x.shape
        assert np.array_equal(given_x, before)
        # float32: 6e-8 relative of log p and of the sums that make it
        np.testing.assert_allclose(density.log_prob(given_x), density.log_prob(given_x.astype(float)), rtol=1e-5)
    assert density.log_prob(np.round(x).astype(int)).dtype == np.float64

    rebuilt = type(density)(**density.config())
    for twin in (rebuilt, copy.deepcopy(density), pickle.loads(pickle.dumps(density))):
        assert np.array_equal(twin.log_prob(x), density.log_prob(x)) and repr(twin) == repr(density)


@pytest.mark.parametrize("name", DENSITIES)
def test_seeds(name):
    density = DENSITIES[name]
    state = np.random.get_state()[1].copy()
    assert np.array_equal(density.sample(50, rng=3), density.sample(50, rng=3))
    assert np.array_equal(density.sample(50, rng=3), density.sample(50, np.random.default_rng(3)))
    assert not np.array_equal(density.sample(50, rng=3), density.sample(50, rng=4))
    rng = np.random.default_rng(3)
    assert not np.array_equal(density.sample(50, rng), density.sample(50, rng))
    density.sample(5)
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("method", ["log_prob", "score"])
def test_wrong_input_is_refused(name, method):
    density = DENSITIES[name]
    function = getattr(density, method)
    x = density.sample(3, rng=0)
    with pytest.raises(ValueError, match=r"single sample of shape .*; write [xz]\[None"):
        function(x[0])
    for wrong in (np.zeros((3, 9)), [[1.0], [2.0, 3.0]], np.full(x.shape, "a"), None, 1.0):
        with pytest.raises(ValueError, match="^[xz]: expected"):
            function(wrong)
    for count in (-1, 2.5, "3", True):
        with pytest.raises(ValueError, match="^n: expected a whole number"):
            density.sample(count)
    with pytest.raises(ValueError, match="^rng: expected"):
        density.sample(3, rng="seed")


@pytest.mark.parametrize("name", [*TOY, "gaussian"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_targets_refuse_what_is_not_finite(name, value):
    density = DENSITIES[name]
    x = density.sample(3, rng=0)
    x[1, 0] = value
    with pytest.raises(ValueError, match=r"x: expected finite numbers, got 1 .* the first at index \(1, 0\)"):
        density.log_prob(x)


def test_standard_normal_lets_overflow_through():
    base = StandardNormal(2)
    log_p = base.log_prob([[np.inf, 0.0], [1e200, 0.0], [np.nan, 0.0]])
    assert (log_p[:2] == -np.inf).all() and np.isnan(log_p[2])


@reproducible
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2 ** 32 - 1))
def test_standard_normal_is_the_product_of_its_coordinates(shape, seed):
    base = StandardNormal(tuple(shape))
    z = base.sample(3, rng=seed)
    expected = stats.norm.logpdf(z.reshape(3, -1)).sum(axis=1)
    np.testing.assert_allclose(base.log_prob(z), expected, rtol=1e-13)
    assert np.array_equal(base.score(z), -z)
    assert base.sample(3, rng=seed, dtype=np.float32).dtype == np.float32


def test_standard_normal_by_complex_step():
    z = StandardNormal(3).sample(4, rng=0)
    step = np.zeros(3)
    step[1] = 1e-30
    derivative = StandardNormal(3).log_prob(z + 1j * step).imag / 1e-30
    np.testing.assert_allclose(derivative, StandardNormal(3).score(z)[:, 1], rtol=1e-15)


@pytest.mark.parametrize("shape", [0, -1, 2.0, (), (2, 0), "2", None, True])
def test_standard_normal_refuses_shapes(shape):
    with pytest.raises(ValueError, match="^shape: expected"):
        StandardNormal(shape)


@pytest.mark.parametrize("dtype", [np.float16, int, complex])
def test_standard_normal_refuses_dtypes(dtype):
    with pytest.raises(ValueError, match="^dtype: expected float32 or float64"):
        StandardNormal(2).sample(3, rng=0, dtype=dtype)


@reproducible
@given(st.integers(1, 6), st.integers(0, 2 ** 32 - 1))
def test_gaussian_against_scipy(m, seed):
    gaussian = spd_gaussian(seed, m)
    x = gaussian.sample(4, rng=seed)
    expected = stats.multivariate_normal(gaussian.mean, gaussian.covariance).logpdf(x)
    # the condition number of A A^T + 0.1 is at most a few hundred
    np.testing.assert_allclose(gaussian.log_prob(x), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gaussian.score(x), -np.linalg.solve(gaussian.covariance, (x - gaussian.mean).T).T,
                               rtol=1e-9, atol=1e-9)


def test_gaussian_samples_are_white_once_whitened():
    gaussian = spd_gaussian(1, 3)
    z = gaussian._whiten(gaussian.sample(20_000, rng=0)).ravel()
    assert stats.kstest(z, "norm").pvalue > FALSE_ALARM


@reproducible
@given(st.integers(1, 5), st.integers(0, 2 ** 32 - 1), st.floats(1e-6, 1e6))
def test_gaussian_fit_is_the_maximum(m, seed, unit):
    rng = np.random.default_rng(seed)
    x = unit * (rng.standard_normal((m + 10, m)) @ rng.standard_normal((m, m)) + rng.standard_normal(m))
    fitted = Gaussian.fit(x)
    # NumPy's two-pass covariance sums in another order
    covariance = np.atleast_2d(np.cov(x.T, bias=True))
    np.testing.assert_allclose(fitted.covariance, covariance, rtol=1e-8, atol=1e-12 * unit ** 2)
    best = fitted.log_prob(x).mean()
    for _ in range(5):                              # any other Gaussian nearby is worse
        noise = 0.1 * rng.standard_normal((m, m))
        factor = fitted.cholesky @ (np.eye(m) + noise)
        other = Gaussian(fitted.mean + 0.1 * fitted.cholesky @ rng.standard_normal(m), factor @ factor.T)
        assert other.log_prob(x).mean() < best
    # at the maximum the average of -2 (log p + log det L + m/2 log 2 pi) is the trace of the identity
    assert abs(best + m / 2 * (1 + math.log(2 * math.pi)) + np.log(np.diag(fitted.cholesky)).sum()) < 1e-8


def test_gaussian_fit_is_independent_of_units():
    x = np.random.default_rng(0).standard_normal((100, 3))
    units = np.array([1e-9, 1.0, 1e9])
    difference = Gaussian.fit(x * units).log_prob(x * units) - Gaussian.fit(x).log_prob(x)
    np.testing.assert_allclose(difference, -np.log(units).sum(), atol=1e-9)


def test_gaussian_fit_names_the_cause():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4))
    constant, dependent = x.copy(), x.copy()
    constant[:, 2] = 0.1
    dependent[:, 3] = x[:, 0] - 2 * x[:, 1] + 5
    with pytest.raises(ValueError, match="constant ones at index 2;.*drop them, or dequantize"):
        Gaussian.fit(constant)
    with pytest.raises(ValueError, match="columns 0, 1, 3 are linearly dependent; drop one of them"):
        Gaussian.fit(dependent)
    with pytest.raises(ValueError, match="x: expected at least 5 rows .* of 4 columns, got 4"):
        Gaussian.fit(x[:4])
    with pytest.raises(ValueError, match=r"x: expected a batch of shape \(n, m\)"):
        Gaussian.fit(x[0])
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        Gaussian.fit(np.full((9, 2), np.nan))


@pytest.mark.parametrize("mean, covariance, message", [
    ([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]], "columns 0, 1 are linearly dependent"),
    ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "columns 0, 1 are linearly dependent"),
    ([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]], "zero or less at index 1"),
    ([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]], "expected a symmetric matrix"),
    ([0.0, 0.0], np.eye(3), "covariance: expected a batch of shape"),
    ([0.0, 0.0], np.ones((3, 2)), r"expected a symmetric matrix of shape \(2, 2\), got \(3, 2\)"),
    ([0.0, np.nan], np.eye(2), "mean: expected finite"), ([[0.0, 0.0]], np.eye(2), "mean: expected"),
    ([], np.eye(2), "mean: expected at least one coordinate")])
def test_gaussian_refuses(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(mean, covariance)


@pytest.mark.parametrize("name", sorted(set(TOY) - {"checkerboard", "pinwheel"}))
@pytest.mark.parametrize("noise", [0.0, -1.0, np.nan, np.inf, "0.1", None, True, 1e-4, 1e4])
def test_noise_has_a_domain(name, noise):
    with pytest.raises(ValueError, match="^noise: expected a number from 0.001 to 1000, got"):
        TOY[name](noise)


def test_other_arguments_have_a_domain():
    for make in (lambda: Circles(radius=0), lambda: Circles(factor=-1), lambda: EightGaussians(radius=np.nan),
                 lambda: Pinwheel(radial_std=0), lambda: Pinwheel(blades=0), lambda: Pinwheel(blades=2.5),
                 lambda: Pinwheel(twist=np.nan), lambda: Pinwheel(twist=1e300), lambda: Pinwheel(twist="0")):
        with pytest.raises(ValueError, match=": expected a"):
            make()
