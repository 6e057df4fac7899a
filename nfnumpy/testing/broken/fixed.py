"""Bugs of the flows without parameters: permutation, standardization, squeeze, logit."""
import math

import numpy as np

from nfnumpy.arrays import sum_event
from nfnumpy.flows import Logit, Permutation, Squeeze, Standardize
from nfnumpy.testing.broken.exhibit import exhibit


def cycle(rng):
    """A permutation that is not its own inverse."""
    return Permutation([1, 2, 0])


@exhibit("permutation", cycle, "check_invertible", "expected")
class UndoneByItself(Permutation):
    """The inverse applies the permutation again, which is right for the reversal and every other swap, and for those
    only.
    """

    def inverse_vjp(self, z):
        return self._gather(self.as_z(z), self.perm, self.inverse_perm)


@exhibit("permutation", lambda rng: Permutation([1, 0, 2]), "check_log_det", "the logarithm of a negative number")
class LogOfTheSign(Permutation):
    """log det P without the absolute value: det P = -1 for half of all permutations."""

    def forward_vjp(self, x):
        (z, _), vjp = super().forward_vjp(x)
        with np.errstate(invalid="ignore"):
            return (z, np.full(len(z), np.log(np.linalg.det(np.eye(len(self.perm))[self.perm])))), vjp


@exhibit("permutation", cycle, "check_log_det", "expected log_det 0 (numpy.linalg.slogdet), got -1.79176")
class CountsTheOrders(Permutation):
    """log_det = - log m!: there are m! orders, but a given one does not change volume."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det - math.lgamma(len(self.perm) + 1)), vjp


@exhibit("permutation", cycle, "check_vjp", "gradient of its input through output")
class PulledTheSameWay(Permutation):
    """The adjoint of P is P^T; this vjp permutes the gradient as the forward pass permutes x."""

    def _gather(self, values, perm, back):
        return super()._gather(values, perm, back)[0], lambda grad, grad_log_det, out=None: (
            grad[:, perm], self.gradient(out)[0])


def units(rng):
    """Two columns with units of their own."""
    return Standardize([1.0, -2.0], [2.0, 0.5])


@exhibit("standardize", lambda rng: Standardize([1.0, -2.0], [2.0, 3.0]), "check_log_det", "check_log_det: forward")
class ScaleWithoutLog(Standardize):
    """log_det = - sum scale: the logarithm was left out."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, np.full_like(log_det, -self.scale.sum())), vjp


@exhibit("standardize", units, "check_invertible", "inverse(forward(.))")
class AddsBeforeItScales(Standardize):
    """x = (z + mean) scale: the two steps are undone in the order in which they were done."""

    def inverse_vjp(self, z):
        (_, log_det), vjp = super().inverse_vjp(z)
        return ((self.as_z(z) + self.mean) * self.scale, log_det), vjp


@exhibit("standardize", units, "check_batching", "does a row see other rows?")
class MeanOfTheBatch(Standardize):
    """z uses the mean of the batch at hand, not the fixed one: the density of a row depends on its neighbours."""

    def forward_vjp(self, x):
        (_, log_det), vjp = super().forward_vjp(x)
        return ((x - x.mean(axis=0)) / self.scale, log_det), vjp


@exhibit("standardize", units, "check_shapes", "got (5, 1): one column too many, which silently broadcasts")
class OneColumn(Standardize):
    """log_det keeps its axis, (n, 1): base.log_prob(z) + log_det becomes (n, n), and its mean even looks right."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det[:, None]), vjp


@exhibit("standardize", lambda rng: Standardize([1.0, -2.0], [2.0, 0.5], dtype=np.float32), "check_dtype",
         "a NumPy float64 scalar promotes float32 arrays")
class Promotes(Standardize):
    """np.log(2.0) is a NumPy float64 and not a Python float: times it, a float32 array becomes a float64 one, and
    trains slower.
    """

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det * (np.log(2.0) / math.log(2.0)) + np.zeros(1)), vjp


@exhibit("squeeze", lambda rng: Squeeze((2, 4, 2)), "check_invertible", "The others come back, coordinates")
class AnotherOrderBack(Squeeze):
    """The inverse takes the channels in the other of the two usual orders, which agree for one channel only."""

    def _unsqueeze(self, z):
        return Squeeze(self.x_shape, "channel")._unsqueeze(z)


@exhibit("squeeze", lambda rng: Squeeze((2, 4, 1)), "check_vjp", "gradient of its input through output")
class GradientReshaped(Squeeze):
    """The gradient goes back by a reshape: the right shape, the wrong pixels."""

    def forward_vjp(self, x):
        (z, log_det), _ = super().forward_vjp(x)
        return (z, log_det), lambda grad_z, grad_log_det, out=None: (grad_z.reshape(x.shape), self.gradient(out)[0])


@exhibit("squeeze", lambda rng: Squeeze((2, 4, 1)), "check_log_det", "expected log_det 0 (numpy.linalg.slogdet), got -")
class FewerPixels(Squeeze):
    """log_det = - log 4 for every pixel that is gone: their numbers are not gone, they became channels."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det - z[0, ..., 0].size * math.log(4)), vjp


def grey(rng):
    """The logit of grey values 0 .. 3."""
    return Logit((3,), alpha=0.05, grey_levels=4)


def grey_rows(flow, rng):
    """Grey values ``(5, 3)``, away from the ends."""
    return (rng.uniform(0.5, 3.5, (5, 3)),)


@exhibit("logit", grey, "check_extremes", "expected a finite z",
         lambda flow, rng: (*grey_rows(flow, rng), np.array([[0.0, 2.0, 4.0]])))
class InfiniteAtTheEdges(Logit):
    """No alpha: black is minus infinity and white plus infinity (openai/glow issue 40, "Input is not invertible").

    Data in the middle of the range never show it; images have black pixels.
    """

    def forward_vjp(self, x):
        p = self.as_x(x) / self.grey_levels                      # should be alpha + (1 - 2 alpha) x / grey_levels
        with np.errstate(divide="ignore"):
            log_p, log_q = np.log(p), np.log1p(-p)
        return (log_p - log_q, sum_event(-log_p - log_q - math.log(self.grey_levels))), super().forward_vjp(x)[1]

    def inverse_vjp(self, z):
        _, vjp = super().inverse_vjp(z)
        return (self.grey_levels / (1 + np.exp(-z)), -self.forward_vjp(self.grey_levels / (1 + np.exp(-z)))[0][1]), vjp


@exhibit("logit", grey, "check_log_det", "All rows are off by the same amount", grey_rows)
class WithoutTheSlope(Logit):
    """No log((1 - 2 alpha) / K): the scaling in front of the logit changes volume as well."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        return (z, log_det - z[0].size * math.log(self._slope)), vjp


@exhibit("logit", grey, "check_log_det", "check_log_det: forward", grey_rows)
class TakesXForP(Logit):
    """log x + log(1 - x), with the unscaled x, in place of log p + log(1 - p)."""

    def forward_vjp(self, x):
        (z, _), vjp = super().forward_vjp(x)
        u = self.as_x(x) / self.grey_levels
        return (z, sum_event(-np.log(u) - np.log1p(-u) + math.log(self._slope))), vjp
