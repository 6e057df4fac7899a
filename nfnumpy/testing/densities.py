"""A model's density against itself: does it integrate to one, and do its samples follow it?

The Monte-Carlo part rests on one identity. Let p be the model's density and r any density that one can sample and
evaluate. For every function h::

    E_p[h r / (p + r)] = integral of h p r / (p + r) = E_r[h p / (p + r)]

The left side is a mean over the model's samples, the right side one over r's, and p enters by its log_prob. The weights
are those of importance sampling, r / p and p / r, tamed: they lie between 0 and 1, so that both means have honest
standard errors whatever the tails of p, which E_p[r / p] = 1 has not (a funnel of an autoregressive flow, sampled 2000
times, gives 0.3 give or take 0.05). If log_prob is off by a log-determinant, or samples come from elsewhere, the two
sides differ.
"""
import math

import numpy as np
from scipy.special import expit, logsumexp, ndtri

from nfnumpy.arrays import as_rng
from nfnumpy.distributions import LOG_2PI
from nfnumpy.testing.common import NotApplicable, require
from nfnumpy.testing.detailed_balance import balance

GRID = {1: 4001, 2: 201}    # points along an axis
CLIP = 4.0                  # coordinates, in units of their spread, are clipped here before they are averaged
OVERLAP = 1e-3              # of p and q, below which their comparison means nothing
PILOT = 200                 # samples around which the proposals lie


def check_density(model, n=4000, rng=0, false_alarm=1e-6):
    """exp(log_prob) integrates to one, and it is the density of the model's own samples.

    In one and two dimensions by quadrature: the trapezoidal rule on a box around the samples, within 0.02 (a shape too
    sharp for the grid is left to what follows). In any dimension by the identity above with h = 1 and r = q, a Gaussian
    fit to the samples, narrower than they are. A wrong log-determinant changes p and not the samples, which a round
    trip does not see.

    Parameters
    ----------
    model : NormalizingFlow, or anything with `log_prob(x)` and `sample(n, rng)`
    n : int
        Number of samples, half of which choose q: of several fits (to all of the samples or to the neighbours of one,
        of several widths) the one that overlaps most with p.
    rng : None, int or Generator
    false_alarm : float
        The probability that a right model fails.

    Returns
    -------
    float
        The largest difference to 1 of the integral and of the ratio of the identity's two sides.

    Raises
    ------
    AssertionError
        If the integral is off by more than 0.02, or the two sides by more than their standard errors explain.
    NotApplicable
        For a model of whole grey values, and where no Gaussian overlaps with the density.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> check_density(nf.NormalizingFlow(nf.testing.zoo(rng=0)["maf"][0])) < 0.1
    True
    """
    rng = as_rng(rng)
    if hasattr(model, "grey_levels"):
        raise NotApplicable("check_density: samples are images of whole grey values, which have no density")
    samples = _flat_samples(model, n, rng, "check_density")
    log_p, half, m = _log_prob(model, samples), n // 2, samples.shape[1]
    integral = _integral(model, samples) if m in GRID else 1.0
    require(abs(integral - 1) <= 0.02, "check_density",
            f"expected the density to integrate to 1, got {integral:.6g} by quadrature."
            + _cause_of_integral(integral, m))
    q = max(_narrow_gaussians(samples[:half], rng),
            key=lambda q: expit(_log_q(q, samples[:half]) - log_p[:half]).mean())
    x, y = samples[half:], q[0] + rng.standard_normal((n - half, m)) @ q[1].T
    left = expit(_log_q(q, x) - log_p[half:])                    # q / (p + q) over samples of p
    right = expit(_log_prob(model, y) - _log_q(q, y))            # p / (p + q) over samples of q
    if max(left.mean(), right.mean()) < OVERLAP:
        raise NotApplicable(f"check_density: no Gaussian overlaps with the density in its {m} dimensions")
    error = math.hypot(left.std(), right.std()) / math.sqrt(n - half)
    difference = right.mean() - left.mean()
    ratio = right.mean() / left.mean() if left.mean() > 0 else math.inf
    require(abs(difference) <= -ndtri(false_alarm / 2) * error + 1e-9, "check_density",
            f"expected E_q[p / (p + q)] = E_model[q / (p + q)] for a Gaussian q, got {right.mean():.6g} and "
            f"{left.mean():.6g}, {abs(difference) / (error + 1e-300):.1f} standard errors "
            f"apart.{_cause_of_integral(ratio, m)}")
    return float(max(abs(integral - 1), abs(ratio - 1)))


def _cause_of_integral(integral, m):
    """Names for a density that is off."""
    if math.isclose(integral, (2 * math.pi) ** (m / 2), rel_tol=0.005):
        return " That is (2 pi)^(m/2): is m/2 log(2 pi) missing?"
    return (f" log_prob is too {'large' if integral > 1 else 'small'} for the samples: is a log-determinant of the "
            "wrong sign, counted once for many pixels, or left out?")


def _flat_samples(model, n, rng, check):
    samples = np.asarray(model.sample(n, rng), np.float64)
    require(np.isfinite(samples).all(), check, "expected finite samples, got some that are not")
    return samples.reshape(n, -1)


def _log_prob(model, flat):
    """log p of flattened samples, in parts that fit into memory."""
    shape = tuple(getattr(model, "x_shape", flat.shape[1:]))
    return np.concatenate([np.asarray(model.log_prob(flat[i:i + 4096].reshape(-1, *shape)), np.float64)
                           for i in range(0, len(flat), 4096)])


def _integral(model, samples):
    """By the trapezoidal rule on a box that reaches beyond the samples by half of its width; 1 where the grid is too
    coarse.
    """
    m = samples.shape[1]
    low, high = samples.min(axis=0), samples.max(axis=0)
    axes = [np.linspace(a - (b - a) / 2, b + (b - a) / 2, GRID[m]) for a, b in zip(low, high)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = np.exp(_log_prob(model, grid.reshape(-1, m))).reshape(grid.shape[:-1])
    cell = math.prod(axis[1] - axis[0] for axis in axes)
    every_other = density[(slice(None, None, 2),) * m]
    fine, coarse = density.sum() * cell, every_other.sum() * cell * 2 ** m
    return float(fine) if abs(fine - coarse) <= 0.005 * abs(fine) else 1.0


def _narrow_gaussians(samples, rng):
    """Candidates for q: ``mean, L`` of Gaussians with covariance L L^T, over all samples and around single ones."""
    n, m = samples.shape
    scale = samples.std(axis=0) + 1e-300
    groups = [samples]
    for centre in samples[rng.integers(n, size=8)]:
        distance = (((samples - centre) / scale) ** 2).sum(axis=1)
        groups.append(samples[np.argsort(distance)[:max(n // 10, 4 * m + 10)]])
    for group in groups:
        covariance = np.cov(group.T, bias=True).reshape(m, m) + 1e-10 * np.diag(scale ** 2)
        for width in (0.8, 0.3):
            yield group.mean(axis=0), np.linalg.cholesky(width * covariance)


def _log_q(q, x):
    mean, L = q
    y = np.linalg.solve(L, (x - mean).T)
    return -0.5 * (y * y).sum(axis=0) - np.log(np.diagonal(L)).sum() - 0.5 * len(L) * LOG_2PI


def check_samples(model, mean=None, covariance=None, n=4000, rng=0, false_alarm=1e-4):
    """Samples follow the density: mean, covariance and random waves, beside exact values or importance weights.

    Without exact values each statistic h is held to the identity above, where r is a mixture of Student densities
    around a first batch of samples. The h are 1, the coordinates and their products (in units of their spread, clipped
    at 4), and cos and sin along random directions, whose means tell any two densities apart.

    A model of probabilities, `AutoregressiveMLP` for one, is held to detailed balance: see
    `nfnumpy.testing.detailed_balance`.

    Parameters
    ----------
    model : NormalizingFlow, or anything with `log_prob(x)` and `sample(n, rng)`
    mean : array ``(m,)``, covariance : array ``(m, m)``, optional
        Exact values, where they are known: the samples are compared with these, and not with the density.
    n : int
        Number of samples, and of samples of r.
    rng : None, int or Generator
    false_alarm : float
        The probability that a right model fails, over all statistics together (Bonferroni).

    Returns
    -------
    float
        The largest difference, in standard errors.

    Raises
    ------
    AssertionError
        If a statistic is further off than `false_alarm` allows.
    NotApplicable
        For a `GreyImageFlow`, whose samples are rounded down and whose density is that of real values; and where the
        mixture does not overlap with the density.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.NormalizingFlow(nf.Standardize(mean=[1.0], scale=[2.0]))
    >>> check_samples(model, mean=[1.0], covariance=[[4.0]]) < 5, check_samples(model) < 5
    (True, True)
    """
    rng = as_rng(rng)
    if hasattr(model, "grey_levels"):
        if hasattr(model, "prepare"):
            raise NotApplicable("check_samples: samples are images of whole grey values, and log_prob is the density "
                                "of real ones, before they are rounded down")
        return balance(model, n, rng, false_alarm)
    pilot, x = _flat_samples(model, PILOT, rng, "check_samples"), _flat_samples(model, n, rng, "check_samples")
    if mean is not None or covariance is not None:
        names, got, expected = _moments(x, mean, covariance)
        expected, source = np.broadcast_to(expected, (1, len(names))), "exact values"
    else:
        names, h = _statistics(pilot, rng)
        y, log_r = _proposals(pilot, n, rng)
        got = h(x) * expit(_log_r(pilot, x) - _log_prob(model, x))[:, None]
        expected, source = h(y) * expit(_log_prob(model, y) - log_r)[:, None], "density"
        if max(got[:, 0].mean(), expected[:, 0].mean()) < OVERLAP:
            raise NotApplicable(f"check_samples: no mixture overlaps with the density in its {x.shape[1]} dimensions")
    error = np.hypot(got.std(axis=0) / math.sqrt(len(got)), expected.std(axis=0) / math.sqrt(len(expected)))
    got, expected = got.mean(axis=0), expected.mean(axis=0)
    z = np.abs(got - expected) / (error + 1e-9)
    limit, k = -ndtri(false_alarm / (2 * len(z))), int(z.argmax())
    require(z[k] <= limit, "check_samples",
            f"{names[k]}: expected {expected[k]:.6g} from the {source}, got {got[k]:.6g} from the samples, {z[k]:.1f} "
            f"standard errors away ({limit:.1f} are allowed). Do `sample` and `log_prob` use the same base density, "
            "and inverse and forward of the same flow?")
    return float(z[k])


def _moments(x, mean, covariance):
    """``names, values (n, k), exact (k,)`` of the moments whose exact values are given."""
    names, values, exact = [], [], []
    centre = x.mean(axis=0) if mean is None else np.asarray(mean, np.float64)
    for i in range(x.shape[1]):
        if mean is not None:
            names, values, exact = [*names, f"mean of coordinate {i}"], [*values, x[:, i]], [*exact, centre[i]]
        if covariance is not None:
            names += [f"covariance of coordinates {i} and {j}" for j in range(i + 1)]
            values += [(x[:, i] - centre[i]) * (x[:, j] - centre[j]) for j in range(i + 1)]
            exact += [np.asarray(covariance)[i, j] for j in range(i + 1)]
    return names, np.stack(values, axis=1), np.array(exact, np.float64)


def _statistics(pilot, rng):
    """``names, h``: h(x) is ``(n, k)``, one column a statistic, of x in units of the pilot's mean and spread."""
    m, centre, spread = pilot.shape[1], pilot.mean(axis=0), pilot.std(axis=0) + 1e-300
    pairs, waves = np.triu_indices(m), rng.standard_normal((m, 8)) / math.sqrt(m)
    names = ["weight", *(f"weighted mean of coordinate {i}" for i in range(m))]
    names += [f"weighted mean product of coordinates {i} and {j}" for i, j in zip(*pairs)]
    names += [f"weighted mean {wave} along direction {k}" for wave in ("cos", "sin") for k in range(8)]

    def h(x):
        u = np.clip((x - centre) / spread, -CLIP, CLIP)
        return np.concatenate([np.ones((len(x), 1)), u, u[:, pairs[0]] * u[:, pairs[1]], np.cos(u @ waves),
                               np.sin(u @ waves)], axis=1)

    return names, h


def _kernel(pilot):
    """The Cholesky factor of the scale of each Student density: the pilot's covariance, narrowed by Silverman's
    rule.
    """
    k, m = pilot.shape
    width = (4 / (m + 2)) ** (1 / (m + 4)) * k ** (-1 / (m + 4))
    covariance = np.cov(pilot.T, bias=True).reshape(m, m)
    return width * np.linalg.cholesky(covariance + 1e-10 * np.diag(np.diagonal(covariance)))


def _proposals(pilot, n, rng, freedom=5):
    """``y, log r(y)``, n draws of r."""
    heavy = np.sqrt(rng.chisquare(freedom, (n, 1)) / freedom)
    y = pilot[rng.integers(len(pilot), size=n)] + rng.standard_normal((n, pilot.shape[1])) @ _kernel(pilot).T / heavy
    return y, _log_r(pilot, y, freedom)


def _log_r(pilot, x, freedom=5):
    """The log-density of the mixture of Student densities around the pilot's samples."""
    L, (k, m) = _kernel(pilot), pilot.shape
    white, centres = np.linalg.solve(L, x.T), np.linalg.solve(L, pilot.T)
    squared = (white ** 2).sum(axis=0)[:, None] - 2 * white.T @ centres + (centres ** 2).sum(axis=0)
    log_t = (math.lgamma((freedom + m) / 2) - math.lgamma(freedom / 2) - 0.5 * m * math.log(freedom * math.pi)
             - np.log(np.diagonal(L)).sum() - 0.5 * (freedom + m) * np.log1p(np.maximum(squared, 0) / freedom))
    return logsumexp(log_t, axis=1) - math.log(k)
