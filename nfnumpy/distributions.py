"""Base densities and Gaussians: known densities without parameters to learn, each with samples, log p(x) and a score.

The 2-D toy densities, which speak the same way, are in ``targets.py``.
"""
import math

import numpy as np
from scipy.linalg import solve_triangular

from nfnumpy.arrays import as_array, as_batch, as_count, as_rng, sum_event

LOG_2PI = math.log(2 * math.pi)


class Density:
    """What every density here offers; a subclass writes `sample`, `_log_prob` and `_score`.

    ==================  ==========================  ==================================================================
    `shape`, `dim`      tuple, int                  shape and size of one sample
    `sample(n, rng)`    ``(n, *shape)`` float64     independent draws; `rng` is None, an int or a Generator
    `log_prob(x)`       ``(n,)``                    log p(x) in nats
    `score(x)`          like `x`                    d log p(x) / dx, in nats per unit of x
    `config()`          dict                        the constructor's arguments
    ==================  ==========================  ==================================================================

    A float32 `x` gives float32 results (the float64 ones, rounded); every other real `x` gives float64.
    Both methods raise ValueError for an `x` that is not an ``(n, *shape)`` array of finite real numbers.
    """

    arguments = ()                      # names of the constructor's arguments, kept as attributes

    @property
    def dim(self):
        return math.prod(self.shape)

    def log_prob(self, x):
        """log p(x) in nats, ``(n,)``."""
        return self._in_float64(self._log_prob, x)

    def score(self, x):
        """d log p(x) / dx, of the shape of `x`."""
        return self._in_float64(self._score, x)

    def _in_float64(self, function, x):
        x = as_batch(x, self.shape, float_dtype(x), finite=True, real=True)
        with np.errstate(over="ignore", under="ignore"):     # beyond the smallest number, log p rounds to -inf
            return function(x.astype(np.float64)).astype(x.dtype)

    def config(self):
        return {name: getattr(self, name) for name in self.arguments}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class Target(Density):
    """A density pi, or a positive multiple of one. A subclass writes `_log_prob`, `_score`, and `sample` if it can."""

    shape = (2,)
    normalised = True
    log_z = 0.0

    def sample(self, n, rng=None):
        raise NotImplementedError(
            f"{type(self).__name__} has no exact sampler: it is known by log_prob and score only. Fit a flow to it, "
            "nf.reverse_kl(model, target, n, rng), and sample that")


class StandardNormal(Density):
    """The base density of a flow: independent standard normal coordinates, of any shape.

        log p(z) = -1/2 sum_i z_i^2 - m/2 log(2 pi),     score(z) = -z

    Arguments: `shape`, the shape of one sample, an int m or a tuple such as (height, width, channels).

    Unlike its siblings it computes in the dtype it is given, complex included (both formulas are analytic), and lets
    NaN and infinity through: a flow that overflows has log-density -inf or NaN, which is for its caller to notice.

    Raises ValueError for a shape that is not made of positive whole numbers, an `x` of another shape, and a `dtype`
    of `sample` other than float32 and float64.

    >>> base = StandardNormal(2)
    >>> base.log_prob(np.array([[0.0, 0.0], [3.0, 4.0]])).round(4)
    array([ -1.8379, -14.3379])
    >>> base.sample(5, rng=0).shape
    (5, 2)
    """

    arguments = ("shape",)

    def __init__(self, shape):
        sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
        if not sizes:
            raise ValueError("shape: expected a whole number or a non-empty tuple of them, got ()")
        self.shape = tuple(as_count(size, "shape", minimum=1) for size in sizes)

    def sample(self, n, rng=None, dtype=np.float64):
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}")
        return as_rng(rng).standard_normal((as_count(n, "n"), *self.shape), dtype=dtype)

    def log_prob(self, z):
        z = as_batch(z, self.shape, float_dtype(z), name="z")
        with np.errstate(over="ignore"):
            return -0.5 * sum_event(z * z) - 0.5 * self.dim * LOG_2PI

    def score(self, z):
        return -as_batch(z, self.shape, float_dtype(z), name="z")


class Gaussian(Density):
    """A Gaussian with a full covariance matrix: the baseline that a flow has to beat, and a target with known answers.

        log p(x) = -1/2 |z|^2 - sum_i log L_ii - m/2 log(2 pi),   z = L^-1 (x - mean),   covariance = L L^T

    which is a linear flow with a lower triangular matrix: z = f(x), and log abs det J_f = -sum_i log L_ii.

    Arguments: `mean` ``(m,)`` and `covariance` ``(m, m)``, symmetric and positive definite.

    Raises ValueError for other shapes, numbers that are not finite, and a covariance matrix that is not symmetric or
    is singular: then the density is infinitely narrow in some direction, log p unbounded, and no flow can help.

    >>> gaussian = Gaussian([0.0, 1.0], [[4.0, 0.0], [0.0, 1.0]])
    >>> gaussian.log_prob([[0.0, 1.0]]).round(4)            # -log(2 pi) - log 2
    array([-2.531])
    >>> gaussian.score([[2.0, 0.0]])
    array([[-0.5,  1. ]])
    """

    arguments = ("mean", "covariance")

    def __init__(self, mean, covariance):
        self.mean = as_batch(mean, (), np.float64, name="mean", finite=True, real=True).copy()
        self.shape = self.mean.shape
        if self.dim == 0:
            raise ValueError("mean: expected at least one coordinate, got none")
        covariance = as_batch(covariance, self.shape, np.float64, name="covariance", finite=True, real=True)
        if len(covariance) != self.dim or not np.allclose(covariance, covariance.T, rtol=1e-8, atol=0):
            raise ValueError(f"covariance: expected a symmetric matrix of shape {self.shape * 2}, "
                             f"got {'an asymmetric one' if len(covariance) == self.dim else covariance.shape}")
        self.covariance = (covariance + covariance.T) / 2
        self.cholesky = cholesky_factor(self.covariance)

    @classmethod
    def fit(cls, x):
        """Maximum likelihood in closed form: the mean of the rows of `x` ``(n, m)`` and their covariance (over n).

        Raises ValueError where the likelihood has no maximum: constant columns, linearly dependent ones, and fewer
        than m + 1 rows, whose differences cannot span m dimensions.

        >>> Gaussian.fit([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]).mean
        array([1., 1.])
        """
        x = as_array(x)
        x = as_batch(x, x.shape[1:] if x.ndim == 2 else ("m",), np.float64, finite=True, real=True)
        n, m = x.shape
        if n <= m:
            raise ValueError(f"x: expected at least {m + 1} rows for the covariance of {m} columns, got {n}")
        constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
        if len(constant):
            raise ValueError(f"x: expected columns that vary, got constant ones at index {list_some(constant)}; the "
                             "likelihood of a Gaussian has no maximum there; drop them, or dequantize whole numbers")
        mean = x.mean(axis=0)
        return cls(mean, (x - mean).T @ (x - mean) / n)

    def sample(self, n, rng=None):
        return self.mean + as_rng(rng).standard_normal((as_count(n, "n"), self.dim)) @ self.cholesky.T

    def _whiten(self, x):
        return solve_triangular(self.cholesky, (x - self.mean).T, lower=True, check_finite=False)      # (m, n)

    def _log_prob(self, x):
        z = self._whiten(x)
        return -0.5 * (z * z).sum(axis=0) - np.log(np.diag(self.cholesky)).sum() - 0.5 * self.dim * LOG_2PI

    def _score(self, x):
        # -covariance^-1 (x - mean) = -L^-T z
        return -solve_triangular(self.cholesky, self._whiten(x), lower=True, trans="T", check_finite=False).T


def float_dtype(x):
    """float32 for float32 arrays, float64 for everything else."""
    return np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64


def list_some(items, most=5):
    """`items` in words, at most five of them.

    >>> list_some(range(7))
    '0, 1, 2, 3, 4 and 2 more'
    """
    items = [str(item) for item in items]
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def cholesky_factor(covariance):
    """L of covariance = L L^T, or a ValueError that says which columns make it singular.

    Singular is judged on the correlation matrix, so that the units of the columns do not matter: to working precision
    its smallest eigenvalue is zero. A Cholesky factorization alone would often succeed, with noise on its diagonal.
    """
    variance = np.diag(covariance)
    if (variance <= 0).any():
        raise ValueError("covariance: expected positive variances, got zero or less at index "
                         f"{list_some(np.flatnonzero(variance <= 0))}: a constant column has no density; drop it, "
                         "or dequantize whole numbers")
    scale = np.sqrt(variance)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    if eigenvalues[0] <= 10 * len(scale) * np.finfo(np.float64).eps * eigenvalues[-1]:
        involved = np.flatnonzero(np.abs(eigenvectors[:, 0]) > 1e-6)
        raise ValueError("covariance: expected a positive definite matrix, got a singular one: columns "
                         f"{list_some(involved)} are linearly dependent; drop one of them, or dequantize whole numbers")
    # the factor of the correlation matrix, scaled back: as well conditioned as the data allow
    return scale[:, None] * np.linalg.cholesky(covariance / np.outer(scale, scale))
