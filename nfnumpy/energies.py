"""Targets for the reverse KL: densities known by log pi(x), perhaps only up to a constant, and by their score.

Each class says whether it is `normalised`. `log_z` is the log of the integral of exp(log_prob), in nats: 0 for the
normalised ones; ``reverse_kl`` gives KL(p, pi) - log Z. Coordinates beyond 1e150 count as 1e150, as in ``noisy.py``.
"""
import math

import numpy as np
from scipy.special import ndtr

from nfnumpy.arrays import as_batch, as_count, as_rng
from nfnumpy.distributions import LOG_2PI, Gaussian, Target
from nfnumpy.noisy import FAR, as_length, log_sum_exp
from nfnumpy.rezende_mohamed import U1, U2, U3, U4, direction


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
