"""Densities of a random centre plus Gaussian noise: what most of the toy densities in ``targets.py`` are.

Coordinates beyond 1e150 count as 1e150, so that squares of finite numbers stay finite.
"""
import math
import numbers

import numpy as np
from numpy.polynomial.legendre import leggauss

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.distributions import LOG_2PI, Density

FAR = 1e150


class Noisy(Density):
    """A random centre plus isotropic Gaussian noise: x = c + noise * epsilon. Base class of most toy densities.

        log p(x) = -|x|^2 / (2 noise^2) - log(2 pi noise^2) + log E_c[exp((x . c - |c|^2 / 2) / noise^2)]
        score(x) = (E[c | x] - x) / noise^2                                                  (Tweedie's formula)

    A subclass draws centres by `_draw_centres(n, rng)` and sets `centres` ``(K, 2)`` with `weights` ``(K,)``: either
    all the values that c takes, or the nodes of a quadrature over them.

    Source of the score: B. Efron, "Tweedie's formula and selection bias", JASA 106, 2011.
    """

    shape = (2,)
    arguments = ("noise",)

    def sample(self, n, rng=None):
        n, rng = as_count(n, "n"), as_rng(rng)
        return self._draw_centres(n, rng) + self.noise * rng.standard_normal((n, 2))

    def _log_prob(self, x):
        x = np.clip(x, -FAR, FAR)
        return (self._posterior(x)[0] - 0.5 * (x * x).sum(axis=1) / self.noise ** 2
                - LOG_2PI - 2 * math.log(self.noise))

    def _score(self, x):
        x = np.clip(x, -FAR, FAR)
        return (self._posterior(x)[1] - x) / self.noise ** 2

    def _posterior(self, x):
        """log E_c[exp((x . c - |c|^2 / 2) / noise^2)] ``(n,)`` and E[c | x] ``(n, 2)``."""
        constant = np.log(self.weights) - 0.5 * (self.centres ** 2).sum(axis=1) / self.noise ** 2
        log_sum, mean = np.empty(len(x)), np.empty_like(x)
        rows = max(1, 2 ** 16 // len(constant))                     # (rows, K) matrices of half a megabyte each
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            log_sum[part], weights = log_sum_exp(x[part] @ (self.centres / self.noise ** 2).T + constant)
            mean[part] = weights @ self.centres
        return log_sum, mean


class NoisyCurve(Noisy):
    """Gaussian noise around one or more arcs c(t), 0 <= t <= 1, equally probable.

        p(x) = mean over arcs of  integral_0^1 N(x; c(t), noise^2 I) p(t) dt,      p(t) = power t^(power - 1)

    by Gauss-Legendre quadrature with 32 nodes on pieces of at most 10 noise lengths, at most a sixth of the arc.
    Relative error of p(x) within 6 noise lengths of the curve: at most 1e-10 + 1e-15 / noise^2, the latter from
    rounding. Far away, where the integrand gets ever sharper, log p(x) is finite and has a relative error of at most
    1e-4.

    A subclass writes `arcs(t)`: points ``(number of arcs, len(t), 2)``.
    """

    power = 1
    piece = 10                                                      # longest piece in units of noise, ...
    pieces = 6                                                      # ... and the fewest of them, for the curvature

    def __init__(self, noise):
        self.noise = as_length(noise, "noise")
        t = np.linspace(0, 1, 2001)
        steps = np.linalg.norm(np.diff(self.arcs(t)[0], axis=0), axis=1)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        pieces = max(self.pieces, math.ceil(length[-1] / (self.piece * self.noise)))
        edges = np.interp(np.linspace(0, length[-1], pieces + 1), length, t)         # pieces of equal arc length

        nodes, weights = leggauss(32)                                                # on [-1, 1]
        half = np.diff(edges)[:, None] / 2
        t = (edges[:-1, None] + half * (1 + nodes)).ravel()
        weights = (half * weights).ravel() * self.power * t ** (self.power - 1)
        arcs = self.arcs(t)
        self.centres = arcs.reshape(-1, 2)
        self.weights = np.tile(weights, len(arcs)) / len(arcs)

    def _draw_centres(self, n, rng):
        arcs = self.arcs(rng.random(n) ** (1 / self.power))
        return arcs[rng.integers(len(arcs), size=n), np.arange(n)]


def log_sum_exp(a):
    """log sum_k exp(a_k) along the last axis, and the weights exp(a_k) / sum: both from one exponential."""
    top = a.max(axis=1, keepdims=True)
    exponentials = np.exp(np.maximum(a - top, -600))         # nothing to a sum of at least 1; underflow would be slow
    total = exponentials.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], exponentials / total


def as_length(value, name):
    """A float from 0.001 to 1000, or a ValueError: no quadrature needs too many nodes, no square overflows.

    >>> as_length(0, "noise")
    Traceback (most recent call last):
        ...
    ValueError: noise: expected a number from 0.001 to 1000, got 0
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 1e-3 <= value <= 1e3:
        raise ValueError(f"{name}: expected a number from 0.001 to 1000, got {value!r}")
    return float(value)
