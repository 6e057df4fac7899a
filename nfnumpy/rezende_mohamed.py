"""The four energies of Rezende and Mohamed: targets known up to a constant, on which normalizing flows were introduced.

log_prob is minus the energy, and `log_z` the log of its integral, by quadrature or in closed form.
"""
import math

import numpy as np
from scipy.special import expit

from nfnumpy.distributions import Target
from nfnumpy.noisy import FAR, log_sum_exp


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


def direction(x):
    """x / |x|, and 0 at the origin: ``(n, 2)``."""
    r = np.hypot(x[:, 0], x[:, 1])
    return x / np.where(r > 0, r, 1.0)[:, None]
