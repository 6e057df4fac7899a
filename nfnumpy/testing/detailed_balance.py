"""Samples of whole grey values against their probabilities, in any number of pixels, by detailed balance.

Let x be a sample of p, and x' the same image with one pixel at another grey value, both drawn at random: as likely a
proposal from x as from x'. With Barker's acceptance a = p(x') / (p(x) + p(x'))::

    p(x) a(x, x') = p(x) p(x') / (p(x) + p(x')) = p(x') a(x', x)

so that x and x' are exchangeable under the weights a, and a (h(x') - h(x)) is as often t as -t, for every function h. A
sum of N such terms over the root of the sum of their squares exceeds t with probability at most 2 exp(-t^2 / 2)
(Hoeffding's inequality for random signs): no overlap with another distribution is needed, and no large N. The sum of
all probabilities cancels: a log_prob that is off by a constant is not noticed.
"""
import math

import numpy as np
from scipy.special import expit

from nfnumpy.testing.common import require

DIRECTIONS = 8


def balance(model, n, rng, false_alarm):
    """The largest of the ratios above over some functions h; an AssertionError where it is too large to be chance."""
    x = np.asarray(model.sample(n, rng))
    K, name = model.grey_levels, "check_samples"
    require(np.array_equal(x, np.floor(x)) and x.min() >= 0 and x.max() < K, name,
            f"expected samples of whole grey values 0 to {K - 1}, got others")
    moved, rows, m = x.reshape(n, -1).astype(np.int64), np.arange(n), x[0].size
    x = moved.copy()
    pixel = rng.integers(m, size=n)
    moved[rows, pixel] = (x[rows, pixel] + rng.integers(1, K, size=n)) % K
    log_p, log_p_moved = (np.asarray(model.log_prob(y.reshape(n, *model.x_shape)), np.float64) for y in (x, moved))
    names, h = _statistics(m, K, rng)
    differences = np.concatenate([(log_p_moved - log_p)[:, None], h(moved) - h(x)], axis=1)
    terms = expit(log_p_moved - log_p)[:, None] * differences
    ratio = np.abs(terms.sum(axis=0)) / np.sqrt((terms ** 2).sum(axis=0) + 1e-300)
    limit, k = math.sqrt(2 * math.log(2 * len(names) / false_alarm)), int(ratio.argmax())
    require(ratio[k] <= limit, name,
            f"{names[k]}: expected detailed balance between samples and samples with one pixel changed, got a "
            f"difference of {ratio[k]:.1f} standard errors ({limit:.1f} are allowed). Do `sample` and `log_prob` use "
            "the same conditionals, in the same order?")
    return float(ratio[k])


def _statistics(m, K, rng):
    """``names, h``: h(x) is ``(n, k - 1)`` of whole images ``(n, m)``, whose grey values become -1 .. 1; the first name
    is that of log_prob, which is a function of x as well.
    """
    directions = rng.standard_normal((m, DIRECTIONS)) / math.sqrt(m)
    waves = 2 * math.pi * rng.standard_normal((m, DIRECTIONS))
    names = ["mean log_prob", "mean grey value", "mean squared grey value"]
    names += [f"{what} along direction {k}" for what in ("mean", "cos", "sin") for k in range(DIRECTIONS)]

    def h(x):
        u = x * (2 / (K - 1)) - 1
        return np.concatenate([u.mean(axis=1, keepdims=True), (u * u).mean(axis=1, keepdims=True), u @ directions,
                               np.cos(u @ waves), np.sin(u @ waves)], axis=1)

    return names, h
