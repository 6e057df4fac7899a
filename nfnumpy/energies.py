"""Targets for the reverse KL: densities known by log pi(x), perhaps only up to a constant, and by their score.

Each class says whether it is `normalised`. `log_z` is the log of the integral of exp(log_prob), in nats: 0 for the
normalised ones; ``reverse_kl`` gives KL(p, pi) - log Z. Coordinates beyond 1e150 count as 1e150, as in ``targets.py``.
"""
import math

import numpy as np
from scipy.special import expit, ndtr

from nfnumpy.arrays import as_batch, as_count, as_rng
from nfnumpy.distributions import LOG_2PI, Density, Gaussian
from nfnumpy.targets import FAR, as_length, log_sum_exp


class Target(Density):
    """A density pi, or a positive multiple of one. A subclass writes `_log_prob`, `_score`, and `sample` if it can."""

    shape = (2,)
    normalised = True
    log_z = 0.0

    def sample(self, n, rng=None):
        raise NotImplementedError(
            f"{type(self).__name__} has no exact sampler: it is known by log_prob and score only. Fit a flow to it, "
            "nf.reverse_kl(model, target, n, rng), and sample that")


class GaussianMixture(Target):
    """A weighted sum of Gaussians, in any dimension. Normalised.

        pi(x) = sum_k w_k N(x; mean_k, covariance_k)
        score(x) = sum_k P(k | x) score_k(x),       P(k | x) = w_k N_k(x) / pi(x),     score_k that of N_k

    Arguments: `means` ``(K, m)``; `scales`, standard deviations that all directions share, one number or ``(K,)``, each
    from 0.001 to 1000; or instead `covariances` ``(K, m, m)``; `weights` ``(K,)``, positive, by default all equal.
    They are divided by their sum. The default has two modes, at (-2, 0) and (2, 0), four scales from the middle.

    Raises ValueError for other shapes, weights that are not positive, and covariances that `Gaussian` refuses.

    >>> mixture = GaussianMixture([[-2.0], [2.0]], scales=1.0, weights=[3, 1])
    >>> mixture.log_prob([[-2.0], [2.0]]).round(3)                               # nats: log 3 apart, nearly
    array([-1.207, -2.304])
    >>> GaussianMixture().sample(3, rng=0).shape
    (3, 2)
    """

    arguments = ("means", "covariances", "weights")

    def __init__(self, means=((-2.0, 0.0), (2.0, 0.0)), scales=0.5, weights=None, covariances=None):
        means = np.asarray(means)
        self.means = as_batch(means, means.shape[1:] if means.ndim == 2 else ("m",), np.float64, "means", True, True)
        K, m = self.means.shape
        if K == 0:
            raise ValueError("means: expected at least one mean, got none")
        if covariances is None:
            scales = as_positive([scales] * K if np.ndim(scales) == 0 else scales, K, "scales")
            covariances = np.stack([as_length(float(scale), "scales") ** 2 * np.eye(m) for scale in scales])
        self.covariances = as_batch(covariances, (m, m), np.float64, "covariances", True, True)
        if len(self.covariances) != K:
            raise ValueError(f"covariances: expected one for each of the {K} means, got {len(self.covariances)}")
        self.weights = as_positive(np.ones(K) if weights is None else weights, K, "weights")
        self.weights = self.weights / self.weights.sum()
        self.shape = (m,)
        self.parts = [Gaussian(mean, covariance) for mean, covariance in zip(self.means, self.covariances)]

    def sample(self, n, rng=None):
        n, rng = as_count(n, "n"), as_rng(rng)
        k, noise = rng.choice(len(self.parts), size=n, p=self.weights), rng.standard_normal((n, self.dim))
        factors = np.stack([part.cholesky for part in self.parts])
        return self.means[k] + (factors[k] @ noise[:, :, None])[:, :, 0]         # mean_k + L_k noise

    def _joint(self, x):
        """log w_k N_k(x) for each part, ``(n, K)``."""
        return np.stack([part._log_prob(x) for part in self.parts], axis=1) + np.log(self.weights)

    def _log_prob(self, x):
        return log_sum_exp(self._joint(np.clip(x, -FAR, FAR)))[0]

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        posterior = log_sum_exp(self._joint(x))[1]
        # d log sum_k exp(a_k) / dx = sum_k P(k | x) da_k / dx
        return sum(posterior[:, [k]] * part._score(x) for k, part in enumerate(self.parts))


class Ring(Target):
    """A ring around the origin: no direction preferred, Gaussian across. Normalised. With r = |x|,

        log pi(x) = -(r - radius)^2 / (2 width^2) - log C
        C = 2 pi (width^2 exp(-radius^2 / (2 width^2)) + radius width sqrt(2 pi) Phi(radius / width))
        score(x) = -(r - radius) / width^2  x / r

    C is the integral of r exp(-(r - radius)^2 / (2 width^2)) over r > 0, times 2 pi. At the origin the density has a
    kink, and `score` is 0 there. `sample` draws r by inverting its distribution function, by bisection to rounding.

    Arguments: `radius` and `width` (each from 0.001 to 1000, ValueError otherwise).

    >>> ring = Ring(radius=2.0, width=0.4)
    >>> ring.log_prob([[2.0, 0.0], [0.0, -2.0]]).round(3)                        # nats
    array([-2.534, -2.534])
    >>> ring.score([[0.0, 2.4]])
    array([[-0. , -2.5]])
    """

    arguments = ("radius", "width")

    def __init__(self, radius=2.0, width=0.4):
        self.radius, self.width = as_length(radius, "radius"), as_length(width, "width")
        self._log_c = math.log(2 * math.pi * self._radial_mass(np.inf))

    def _radial_mass(self, r):
        """Integral from 0 to r of t exp(-(t - radius)^2 / (2 width^2)) dt: t = radius + (t - radius), term by term."""
        low, high = -self.radius / self.width, (r - self.radius) / self.width
        return (self.width ** 2 * (math.exp(-low ** 2 / 2) - np.exp(-high ** 2 / 2))
                + self.radius * self.width * math.sqrt(2 * math.pi) * (ndtr(high) - ndtr(low)))

    def sample(self, n, rng=None):
        n, rng = as_count(n, "n"), as_rng(rng)
        angle, mass = 2 * math.pi * rng.random(n), rng.random(n) * self._radial_mass(np.inf)
        low, high = np.zeros(n), np.full(n, self.radius + 40 * self.width)       # beyond, exp(-40^2 / 2) is nothing
        for _ in range(60):
            middle = (low + high) / 2
            below = self._radial_mass(middle) < mass
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return ((low + high) / 2)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def _log_prob(self, x):
        x = np.clip(x, -FAR, FAR)
        return -0.5 * ((np.hypot(x[:, 0], x[:, 1]) - self.radius) / self.width) ** 2 - self._log_c

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        return (self.radius - np.hypot(x[:, 0], x[:, 1]))[:, None] / self.width ** 2 * direction(x)     # dr/dx = x / r


class Banana(Target):
    """A Gaussian bent along a parabola, the curved valley of Rosenbrock's function. Normalised.

        x1 = spread z1,     x2 = curvature x1^2 + width z2,     z standard normal,  log abs det J_g = log(spread width)
        log pi(x) = -z1^2 / 2 - z2^2 / 2 - log(2 pi spread width),      z1 = x1 / spread,
                                                                        z2 = (x2 - curvature x1^2) / width
        score = (-z1 / spread + 2 curvature x1 z2 / width,  -z2 / width)

    It is a Gaussian autoregressive model itself, if x1 comes first. Rosenbrock's 100 (x2 - x1^2)^2 + (1 - x1)^2 has its
    valley as deep as this with curvature 1, and its middle at x1 = 1 instead of 0.

    Arguments: `spread` along x1, `width` across (each from 0.001 to 1000), `curvature` (from -1000 to 1000; ValueError
    otherwise).

    >>> banana = Banana(spread=1.0, width=0.5, curvature=1.0)
    >>> banana.log_prob([[0.0, 0.0], [1.0, 1.0]]).round(3)                       # nats: the valley, half a nat apart
    array([-1.145, -1.645])
    >>> banana.score([[1.0, 1.5]])
    array([[ 3., -2.]])
    """

    arguments = ("spread", "width", "curvature")

    def __init__(self, spread=1.5, width=0.4, curvature=0.5):
        self.spread, self.width = as_length(spread, "spread"), as_length(width, "width")
        self.curvature = math.copysign(as_length(abs(curvature), "curvature") if curvature else 0.0, curvature)

    def sample(self, n, rng=None):
        z = as_rng(rng).standard_normal((as_count(n, "n"), 2))
        x1 = self.spread * z[:, 0]
        return np.stack([x1, self.curvature * x1 ** 2 + self.width * z[:, 1]], axis=1)

    def _noise(self, x):
        """x1 / spread and z2; squares of them stay finite."""
        z2 = (x[:, 1] - self.curvature * x[:, 0] ** 2) / self.width
        return x[:, 0] / self.spread, np.clip(z2, -FAR, FAR)

    def _log_prob(self, x):
        z1, z2 = self._noise(np.clip(x, -FAR, FAR))
        return -0.5 * (z1 ** 2 + z2 ** 2) - LOG_2PI - math.log(self.spread * self.width)

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        z1, z2 = self._noise(x)
        # dz2/dx1 = -2 curvature x1 / width, dz2/dx2 = 1 / width
        score_2 = -z2 / self.width
        return np.stack([-z1 / self.spread - score_2 * (2 * self.curvature * x[:, 0]), score_2], axis=1)


class Funnel(Target):
    """Neal's funnel: the first coordinate is the log-variance of all the others. Normalised.

        v = x_1 ~ N(0, 3^2),     x_j given v ~ N(0, exp(v)),  j = 2..m
        log pi(x) = -v^2 / 18 - log 3 - (m - 1) v / 2 - exp(-v) sum_j x_j^2 / 2 - m/2 log(2 pi)
        score_1 = -v / 9 - (m - 1) / 2 + exp(-v) sum_j x_j^2 / 2,       score_j = -exp(-v) x_j

    Arguments: `dim`, m, at least 2 (ValueError otherwise).

    Source: R. M. Neal, "Slice sampling", Annals of Statistics 31, 2003, section 8.

    >>> funnel = Funnel(dim=3)
    >>> funnel.log_prob([[0.0, 0.0, 0.0]]).round(3)                              # -3/2 log(2 pi) - log 3 nats
    array([-3.855])
    >>> funnel.score([[0.0, 1.0, 2.0]])
    array([[ 1.5, -1. , -2. ]])
    """

    arguments = ("dim",)

    def __init__(self, dim=2):
        self.shape = (as_count(dim, "dim", minimum=2),)

    def sample(self, n, rng=None):
        x = as_rng(rng).standard_normal((as_count(n, "n"), self.dim))
        x[:, 0] *= 3
        x[:, 1:] *= np.exp(x[:, :1] / 2)
        return x

    def _precision(self, x):
        """exp(-v), ``(n, 1)``; the exponent is held at 700, where float64 ends."""
        return np.exp(np.minimum(-x[:, :1], 700))

    def _log_prob(self, x):
        x = np.clip(x, -FAR, FAR)
        v, square = x[:, 0], (self._precision(x) * x[:, 1:] ** 2).sum(axis=1)
        return -v ** 2 / 18 - math.log(3) - (self.dim - 1) * v / 2 - square / 2 - self.dim / 2 * LOG_2PI

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        pull = -self._precision(x) * x[:, 1:]                       # d(-exp(-v) x_j^2 / 2)/dx_j
        score_v = -x[:, 0] / 9 - (self.dim - 1) / 2 - (pull * x[:, 1:]).sum(axis=1) / 2
        return np.concatenate([score_v[:, None], pull], axis=1)


class U1(Target):
    """A ring with weight at its left and right only. Not normalised: log_prob = -U1, log_z from quadrature.

        U1(x) = ((|x| - 2) / 0.4)^2 / 2 - log(exp(-((x1 - 2) / 0.6)^2 / 2) + exp(-((x1 + 2) / 0.6)^2 / 2))
        score = -(|x| - 2) / 0.4^2  x / |x| + sum_{c = -2, 2} P(c | x1) (c - x1) / 0.6^2  (1, 0)

    with P(c | x1) the shares of the two exponentials. At the origin, a kink, the first term of `score` counts as 0.

    Source: D. Rezende, S. Mohamed, "Variational inference with normalizing flows", ICML 2015, Table 1.

    >>> U1().log_prob([[2.0, 0.0], [0.0, 2.0]]).round(3)                         # nats, up to log_z
    array([ 0.   , -4.862])
    """

    normalised = False
    log_z = 1.8775016261097077                                      # two-dimensional quadrature; no closed form

    def _sides(self, x):
        distance = (np.array([-2.0, 2.0]) - x[:, :1]) / 0.6
        return (*log_sum_exp(-0.5 * distance ** 2), distance / 0.6)

    def _log_prob(self, x):
        x = np.clip(x, -FAR, FAR)
        return self._sides(x)[0] - 0.5 * ((np.hypot(x[:, 0], x[:, 1]) - 2) / 0.4) ** 2

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        _, shares, slopes = self._sides(x)
        score = (2 - np.hypot(x[:, 0], x[:, 1]))[:, None] / 0.4 ** 2 * direction(x)                     # dr/dx = x / r
        score[:, 0] += (shares * slopes).sum(axis=1)                # d log sum_c exp(a_c) = sum_c P(c | x1) da_c
        return score


class Ridges(Target):
    """Ridges along x1 with Gaussian cross-sections, kept from running to infinity. Base class of U2 to U4.

        log pi(x) = log sum_k exp(-t_k^2 / 2) - C(x1),      t_k = (x2 - c_k(x1)) / width_k
        C(x1) = (max(|x1| - 4, 0) / 0.4)^2 / 2
        score = (sum_k P(k | x) t_k c_k'(x1) / width_k - C'(x1),  -sum_k P(k | x) t_k / width_k)
        log_z = log(sqrt(2 pi) sum_k width_k) + log(8 + 0.4 sqrt(2 pi))

    C is ours: in the paper the ridges go on for ever along x1, and the mass is infinite. C adds half-Gaussian ends
    beyond |x1| = 4, the border of the paper's pictures, and nothing within; log pi and its score stay continuous.
    Without C the integral over x2 is the same for each x1, which gives Z: not normalised, but known.

    A subclass has `widths` and `ridges(x1)`: c_k and c_k', each ``(n, K)``. The paper's (z1, z2) are our (x1, x2), and

        w1(x1) = sin(2 pi x1 / 4),      w2(x1) = 3 exp(-((x1 - 1) / 0.6)^2 / 2),    w3(x1) = 3 sigmoid((x1 - 1) / 0.3)

    Source: D. Rezende, S. Mohamed, "Variational inference with normalizing flows", ICML 2015, Table 1.
    """

    normalised = False

    @property
    def log_z(self):
        return math.log(math.sqrt(2 * math.pi) * sum(self.widths)) + math.log(8 + 0.4 * math.sqrt(2 * math.pi))

    def _across(self, x):
        centres, slopes = self.ridges(x[:, 0])
        t = (x[:, 1:] - centres) / self.widths
        return (*log_sum_exp(-0.5 * t ** 2), t / self.widths, slopes)

    def _log_prob(self, x):
        x = np.clip(x, -FAR, FAR)
        return self._across(x)[0] - 0.5 * (np.maximum(np.abs(x[:, 0]) - 4, 0) / 0.4) ** 2

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        _, shares, pulls, slopes = self._across(x)
        confined = np.sign(x[:, 0]) * np.maximum(np.abs(x[:, 0]) - 4, 0) / 0.4 ** 2                     # C'(x1)
        # d(-t_k^2 / 2)/dx1 = t_k c_k' / width_k, d(-t_k^2 / 2)/dx2 = -t_k / width_k
        return np.stack([(shares * pulls * slopes).sum(axis=1) - confined, -(shares * pulls).sum(axis=1)], axis=1)

    @staticmethod
    def _w1(x1):
        return np.sin(math.pi / 2 * x1), math.pi / 2 * np.cos(math.pi / 2 * x1)                         # w1, w1'


class U2(Ridges):
    """A sine wave. Not normalised: log_prob = -U2 - C, with the confining term C(x1) of `Ridges`.

        U2(x) = ((x2 - w1(x1)) / 0.4)^2 / 2,        w1(x1) = sin(2 pi x1 / 4)

    >>> U2().log_prob([[1.0, 1.4], [4.4, 0.0]]).round(3)                         # nats, up to log_z
    array([-0.5 , -1.58])
    """

    widths = (0.4,)

    def ridges(self, x1):
        w1, slope1 = self._w1(x1)
        return w1[:, None], slope1[:, None]


class U3(Ridges):
    """A sine wave that splits in two and joins again. Not normalised: log_prob = -U3 - C, with the C(x1) of `Ridges`.

        U3(x) = -log(exp(-((x2 - w1) / 0.35)^2 / 2) + exp(-((x2 - w1 + w2) / 0.35)^2 / 2))
        w1 = sin(2 pi x1 / 4),      w2 = 3 exp(-((x1 - 1) / 0.6)^2 / 2),       w2' = -w2 (x1 - 1) / 0.6^2

    >>> U3().log_prob([[1.0, 1.0], [1.0, -2.0], [1.0, -0.5]]).round(3)           # nats: two ridges, and between them
    array([ 0.   ,  0.   , -8.491])
    """

    widths = (0.35, 0.35)

    def ridges(self, x1):
        w1, slope1 = self._w1(x1)
        w2 = 3 * np.exp(-0.5 * ((x1 - 1) / 0.6) ** 2)
        return np.stack([w1, w1 - w2], axis=1), np.stack([slope1, slope1 + w2 * (x1 - 1) / 0.6 ** 2], axis=1)


class U4(Ridges):
    """A sine wave that splits in two for good. Not normalised: log_prob = -U4 - C, with the C(x1) of `Ridges`.

        U4(x) = -log(exp(-((x2 - w1) / 0.4)^2 / 2) + exp(-((x2 - w1 + w3) / 0.35)^2 / 2))
        w1 = sin(2 pi x1 / 4),      w3 = 3 sigmoid((x1 - 1) / 0.3),        w3' = w3 (1 - w3 / 3) / 0.3

    >>> U4().log_prob([[2.0, 0.4], [2.0, -2.5], [-3.0, 1.0]]).round(3)           # nats: near either ridge, on both
    array([-0.5  , -0.642,  0.693])
    """

    widths = (0.4, 0.35)

    def ridges(self, x1):
        w1, slope1 = self._w1(x1)
        w3 = 3 * expit((x1 - 1) / 0.3)
        return np.stack([w1, w1 - w3], axis=1), np.stack([slope1, slope1 - w3 * (1 - w3 / 3) / 0.3], axis=1)


ENERGIES = {"mixture": GaussianMixture, "ring": Ring, "banana": Banana, "funnel": Funnel, "u1": U1, "u2": U2, "u3": U3,
            "u4": U4}


def as_positive(values, K, name):
    """K positive numbers, or a ValueError.

    >>> as_positive([1, 0], 2, "weights")
    Traceback (most recent call last):
        ...
    ValueError: weights: expected positive numbers, got [1. 0.]
    """
    values = as_batch(values, (), np.float64, name, finite=True, real=True)
    if len(values) != K:
        raise ValueError(f"{name}: expected one number for each of the {K} means, got {len(values)}")
    if not (values > 0).all():
        raise ValueError(f"{name}: expected positive numbers, got {values}")
    return values


def direction(x):
    """x / |x|, and 0 at the origin: ``(n, 2)``."""
    r = np.hypot(x[:, 0], x[:, 1])
    return x / np.where(r > 0, r, 1.0)[:, None]
