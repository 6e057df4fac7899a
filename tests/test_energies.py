"""Targets of the reverse KL: scores against differences, integrals against 1 or log_z, samples against densities."""
import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from scipy import stats

from nfnumpy.distributions import Gaussian
from nfnumpy.energies import ENERGIES, U1, U2, U3, U4, Banana, Funnel, GaussianMixture, Ring

SAMPLED = ["mixture", "ring", "banana", "funnel"]
# a box that holds all but 1e-10 of the mass; the funnel's neck and mouth need boxes of their own (below)
BOXES = {"mixture": ((-6, 6), (-5, 5)), "ring": ((-5, 5), (-5, 5)), "banana": ((-11, 11), (-4, 65)),
         "u1": ((-5, 5), (-5, 5)), "u2": ((-7, 7), (-4, 4)), "u3": ((-7, 7), (-7, 4)), "u4": ((-7, 7), (-7, 4))}
# seeds are fixed, so a test either always passes or always fails; the level is the chance that a correct sampler
# would have failed when the seed was chosen
FALSE_ALARM = 1e-3


def targets():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 4, 4))
    for name, energy in ENERGIES.items():
        yield name, energy()
    yield "mixture in 4 dimensions", GaussianMixture(rng.standard_normal((3, 4)), weights=[1, 2, 3],
                                                     covariances=a @ a.transpose(0, 2, 1) + 0.1 * np.eye(4))
    yield "funnel in 5 dimensions", Funnel(5)
    yield "thick ring", Ring(radius=0.5, width=1.0)
    yield "banana, bent down", Banana(curvature=-2.0)


TARGETS = dict(targets())


def points(target, n=60):
    """Points of interest: samples, or, where there are none, the plane that the paper shows and a little more."""
    rng = np.random.default_rng(1)
    return target.sample(n, rng) if target.normalised else rng.uniform(-5, 5, (n, 2))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_score_is_the_gradient_of_log_prob(name, spread):
    target = TARGETS[name]
    x = points(target)
    x = x + spread * np.random.default_rng(3).standard_normal(x.shape)
    if name in ("ring", "thick ring", "u1"):                        # a kink at the origin
        x = x[np.linalg.norm(x, axis=1) > 0.05]
    if name in ("u2", "u3", "u4"):                                  # the second derivative jumps where C begins
        x = x[np.abs(np.abs(x[:, 0]) - 4) > 0.01]
    gradient, h = np.empty_like(x), 1e-3
    for i, step in enumerate(h * np.eye(target.dim)):               # Richardson: 3 levels, error O(h^6)
        table = [(target.log_prob(x + step / k) - target.log_prob(x - step / k)) / (2 * h / k) for k in (1, 2, 4)]
        table = [(4 * table[1] - table[0]) / 3, (4 * table[2] - table[1]) / 3]
        gradient[:, i] = (16 * table[1] - table[0]) / 15
    # rounding: a few eps |log p| / h
    error = np.abs(target.score(x) - gradient) / (1 + np.abs(gradient).max(axis=1, keepdims=True))
    assert (error.max(axis=1) < 1e-7 + 1e-11 * np.abs(target.log_prob(x))).all()


def integral(target, box, cells=42, order=12):
    """Of exp(log_prob) over a box, by Gauss-Legendre quadrature with 12 nodes a side of each cell."""
    nodes, weights = leggauss(order)
    axes = []
    for low, high in box:
        half = (high - low) / cells / 2
        middles = low + half * (2 * np.arange(cells) + 1)
        axes.append(((middles[:, None] + half * nodes).ravel(), np.tile(half * weights, cells)))
    (x1, w1), (x2, w2) = axes
    grid = np.stack(np.meshgrid(x1, x2, indexing="ij"), axis=-1).reshape(-1, 2)
    return w1 @ np.exp(target.log_prob(grid)).reshape(len(x1), len(x2)) @ w2


@pytest.mark.parametrize("name", BOXES)
def test_mass(name):
    """1 for the normalised targets; finite and exp(log_z) for the others."""
    target = ENERGIES[name]()
    # the ring and U1 have a kink at the origin, of height exp(-12.5) times the slope; the others are smooth within the
    # cells: C, whose second derivative jumps at |x1| = 4, does it at an edge
    assert abs(integral(target, BOXES[name]) - math.exp(target.log_z)) < (1e-6 if name in ("ring", "u1") else 1e-9)
    assert target.normalised == (target.log_z == 0)


def test_u2_to_u4_have_a_finite_mass_only_because_they_are_confined():
    """The mass within |x1| <= a: without C it would grow like a for ever, with C it stops at Z."""
    for target in (U2(), U3(), U4()):
        within = [integral(target, ((-a, a), (-8, 8)), cells=48) for a in (2.0, 4.0, 8.0, 16.0)]
        across = math.sqrt(2 * math.pi) * sum(target.widths)
        np.testing.assert_allclose(within[:2], [4 * across, 8 * across], rtol=1e-9)     # as in the paper, U alone
        np.testing.assert_allclose(within[2:], math.exp(target.log_z), rtol=1e-9)


@pytest.mark.parametrize("energy", [U2, U3, U4])
@pytest.mark.parametrize("side", [-4.0, 4.0])
def test_the_confining_term_begins_smoothly(energy, side):
    x2 = np.linspace(-5, 3, 50)
    ends = [np.stack([np.full(50, side + d), x2], axis=1) for d in (-1e-9, 1e-9)]
    for method in ("log_prob", "score"):
        before, after = (getattr(energy(), method)(x) for x in ends)
        np.testing.assert_allclose(before, after, atol=1e-5)        # slopes of up to a few hundred, over 2e-9


def test_the_funnel_integrates_to_one():
    """In x2 at fixed v, over 9 standard deviations of N(0, exp(v)); then over v."""
    nodes, weights = leggauss(200)
    v, t = 27 * nodes, 9 * nodes
    scale = np.exp(v / 2)
    grid = np.stack([np.repeat(v, 200), np.outer(scale, t).ravel()], axis=1)
    p = np.exp(Funnel().log_prob(grid)).reshape(200, 200) * scale[:, None]
    assert abs(27 * weights @ p @ (9 * weights) - 1) < 1e-10


def whitened(target, x):
    """Coordinates that are independent and uniform if the samples x follow the target."""
    if isinstance(target, Ring):
        r = np.linspace(0, target.radius + 9 * target.width, 20_001)
        radial = 2 * math.pi * r * np.exp(target.log_prob(np.stack([r, 0 * r], axis=1)))
        cdf = np.concatenate([[0], np.cumsum((radial[1:] + radial[:-1]) / 2 * np.diff(r))])
        return np.stack([np.interp(np.hypot(*x.T), r, cdf), np.arctan2(x[:, 1], x[:, 0]) / (2 * math.pi) + 0.5], axis=1)
    if isinstance(target, Banana):
        z = np.stack([x[:, 0] / target.spread, (x[:, 1] - target.curvature * x[:, 0] ** 2) / target.width], axis=1)
        return stats.norm.cdf(z)
    return stats.norm.cdf(np.concatenate([x[:, :1] / 3, x[:, 1:] * np.exp(-x[:, :1] / 2)], axis=1))        # the funnel


@pytest.mark.parametrize("name", ["ring", "thick ring", "banana", "banana, bent down", "funnel",
                                  "funnel in 5 dimensions"])
def test_samples_follow_the_density(name):
    target = TARGETS[name]
    u = whitened(target, target.sample(20_000, rng=0))
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > FALSE_ALARM
    counts, _, _ = np.histogram2d(u[:, 0], u[:, 1], bins=10, range=((0, 1), (0, 1)))      # and independence
    assert counts.sum() == len(u) and stats.chisquare(counts.ravel()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", ["mixture", "mixture in 4 dimensions"])
def test_mixture_samples_follow_the_density(name):
    """Along any direction the mixture is a one-dimensional mixture, whose distribution function is known."""
    target = TARGETS[name]
    x = target.sample(20_000, rng=0)
    for direction in np.random.default_rng(1).standard_normal((4, target.dim)):
        means, scales = target.means @ direction, np.sqrt(target.covariances @ direction @ direction)
        u = stats.norm.cdf((x @ direction)[:, None], means, scales) @ target.weights
        assert stats.kstest(u, "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.normalised])
def test_steins_identity(name):
    """E[score] = 0 and E[x_i score_i] = -1: score and samples belong together; 4.5 standard errors."""
    target = TARGETS[name]
    x = target.sample(20_000, rng=4)
    if "funnel" in name:                                            # exp(-v) varies hugely: the others times sigma
        score = np.concatenate([target.score(x)[:, :1], target.score(x)[:, 1:] * np.exp(x[:, :1] / 2)], axis=1)
        statistics = [(score, 0)]
    else:
        score = target.score(x)
        statistics = [(score, 0), (x * score, -1)]
    for statistic, value in statistics:
        assert (np.abs(statistic.mean(axis=0) - value) < 4.5 * statistic.std(axis=0) / math.sqrt(len(x))).all()


@given(K=st.integers(1, 4), m=st.integers(1, 5), seed=st.integers(0, 2 ** 32 - 1))
def test_mixture_against_its_parts(K, m, seed):
    rng = np.random.default_rng(seed)
    means, weights, a = rng.standard_normal((K, m)), rng.uniform(0.1, 1, K), rng.standard_normal((K, m, m))
    covariances = a @ a.transpose(0, 2, 1) + 0.1 * np.eye(m)
    mixture = GaussianMixture(means, covariances=covariances, weights=weights)
    x = rng.standard_normal((6, m))
    p = sum(w * np.exp(Gaussian(mean, cov).log_prob(x)) for w, mean, cov in zip(weights, means, covariances))
    np.testing.assert_allclose(mixture.log_prob(x), np.log(p / weights.sum()), rtol=1e-10, atol=1e-10)
    if K == 1:
        np.testing.assert_allclose(mixture.score(x), Gaussian(means[0], covariances[0]).score(x), rtol=1e-9, atol=1e-9)
    scales = rng.uniform(0.5, 2, K)
    np.testing.assert_allclose(GaussianMixture(means, scales).log_prob(x),
                               GaussianMixture(means, covariances=[s * s * np.eye(m) for s in scales]).log_prob(x))


@pytest.mark.parametrize("name", TARGETS)
def test_contract(name):
    target = TARGETS[name]
    x = points(target, 7)
    for dtype in (np.float32, np.float64):
        for method, shape in (("log_prob", (7,)), ("score", x.shape)):
            out = getattr(target, method)(x.astype(dtype))
            assert out.dtype == dtype and out.shape == shape
            assert getattr(target, method)(x[:0]).shape == (0, *shape[1:])
            with pytest.raises(ValueError, match=r"single sample of shape .*; write x\[None"):
                getattr(target, method)(x[0])
            with pytest.raises(ValueError, match="x: expected finite numbers"):
                getattr(target, method)(np.full_like(x, np.nan))
    for twin in (type(target)(**target.config()), copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert np.array_equal(twin.log_prob(x), target.log_prob(x)) and repr(twin) == repr(target)
    assert isinstance(target.normalised, bool) and "ormalised" in type(target).__doc__


@pytest.mark.parametrize("name", TARGETS)
def test_far_away_is_no_nan(name):
    target = TARGETS[name]
    ends = np.array([0.0, 50.0, -50.0, 1e6, -1e15, 1e150, -1e300])
    far = np.stack([np.random.default_rng(0).permutation(ends) for _ in range(target.dim)], axis=1)
    far = np.concatenate([far, 0 * far[:1], np.broadcast_to(ends[:, None], (7, target.dim))])
    with np.errstate(divide="raise", invalid="raise"):
        assert not np.isnan(target.log_prob(far)).any() and not np.isnan(target.score(far)).any()
    assert (target.log_prob(far)[(np.abs(far) > 1e5).any(axis=1)] < -100).all()


@pytest.mark.parametrize("name", SAMPLED)
def test_seeds(name):
    target = ENERGIES[name]()
    assert np.array_equal(target.sample(50, rng=3), target.sample(50, np.random.default_rng(3)))
    assert not np.array_equal(target.sample(50, rng=3), target.sample(50, rng=4))
    assert target.sample(0, rng=3).shape == (0, 2)


@pytest.mark.parametrize("name", ["u1", "u2", "u3", "u4"])
def test_without_a_sampler_the_error_says_what_to_do(name):
    with pytest.raises(NotImplementedError, match=f"{name.upper()} has no exact sampler.*reverse_kl"):
        ENERGIES[name]().sample(3, rng=0)


@pytest.mark.parametrize("make, message", [
    (lambda: Ring(radius=0), "radius: expected a number from 0.001"), (lambda: Ring(width=-1), "width: expected"),
    (lambda: Banana(curvature=np.inf), "curvature: expected"), (lambda: Banana(width="0.1"), "width: expected"),
    (lambda: Funnel(1), "dim: expected a whole number of at least 2"),
    (lambda: GaussianMixture([1.0, 2.0]), "means: expected a batch"),
    (lambda: GaussianMixture(scales=0.0), "scales: expected positive numbers"),
    (lambda: GaussianMixture(scales=[1.0, 2.0, 3.0]), "scales: expected one number for each of the 2 means"),
    (lambda: GaussianMixture(weights=[1.0, -1.0]), "weights: expected positive numbers"),
    (lambda: GaussianMixture(covariances=np.eye(2)[None]), "covariances: expected one for each of the 2 means"),
    (lambda: GaussianMixture(covariances=np.ones((2, 2, 2))), "linearly dependent"),
    (lambda: GaussianMixture(np.zeros((0, 2))), "at least one mean")])
def test_arguments_have_a_domain(make, message):
    with pytest.raises(ValueError, match=message):
        make()
