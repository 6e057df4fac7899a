"""Bugs of the additive transformer and of the rational-quadratic spline."""
import numpy as np

from nfnumpy.flow import Flow
from nfnumpy.flows import Additive, Coupling, RationalQuadratic
from nfnumpy.flows.spline import pick_bin
from nfnumpy.testing.broken.coupling import with_transformer
from nfnumpy.testing.broken.exhibit import exhibit


def shifting(rng):
    """A coupling layer of NICE on four numbers."""
    return Coupling(4, (6,), "tanh", rng=rng, transformer="additive")


def bending(rng):
    """A coupling layer with splines on four numbers, all bins in reach of a standard-normal batch."""
    return Coupling(4, (6,), "tanh", rng=rng, transformer=RationalQuadratic(bins=3, bound=2.5))


class SameSignAdditive(Additive):
    """See `ShiftsTwice`."""

    def inverse_vjp(self, z, params):
        return self.forward_vjp(z, params)


@exhibit("other transformers", shifting, "check_invertible", "inverse(forward(.))",
         broken=with_transformer(SameSignAdditive))
class ShiftsTwice(Flow):
    """Volume is kept in both directions, but the shift must be taken back, not taken again."""


class NoWidthSpline(RationalQuadratic):
    """See `SlopeInUnitsOfBins`."""

    def forward_vjp(self, x, params):
        (z, log_det), vjp = super().forward_vjp(x, params)
        knots, _ = self._knots(params)
        _, _, w, h, _, _ = pick_bin(knots, self._bin(x, knots["x"]))
        inside = abs(x.real) < self.bound
        return (z, log_det - np.where(inside, np.log(h / w), 0).sum(axis=-1)), vjp


@exhibit("other transformers", bending, "check_log_det", "check_log_det: forward",
         broken=with_transformer(NoWidthSpline))
class SlopeInUnitsOfBins(Flow):
    """d(z / h) / d(x / w), the slope in units of the bin, for dz/dx: log(h / w) is missing."""


class StraightSpline(RationalQuadratic):
    """See `InvertsStraightLines`."""

    def inverse_vjp(self, z, params):
        (x, log_det), vjp = super().inverse_vjp(z, params)
        knots, _ = self._knots(params)
        x_k, z_k, w, h, _, _ = pick_bin(knots, self._bin(z, knots["z"]))
        return (np.where(abs(z.real) < self.bound, x_k + w * (z - z_k) / h, x), log_det), vjp


@exhibit("other transformers", bending, "check_invertible", "inverse(forward(.))",
         broken=with_transformer(StraightSpline))
class InvertsStraightLines(Flow):
    """The inverse interpolates linearly between the knots, where the forward direction bends."""


class OwnBinSpline(RationalQuadratic):
    """See `ForgetsEarlierBins`."""

    def _knots(self, params):
        knots, knots_vjp = super()._knots(params)
        return knots, lambda k, x, z, **others: knots_vjp(k, 0 * x, 0 * z, **others)


@exhibit("other transformers", bending, "check_vjp", "The gradient is wrong for", broken=with_transformer(OwnBinSpline))
class ForgetsEarlierBins(Flow):
    """A knot stands where the bins before it end: their widths and heights move it, and the loss with it."""
