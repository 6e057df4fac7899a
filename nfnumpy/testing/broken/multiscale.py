"""Bugs of the multi-scale architecture: parts of an image leave on the way, and must be met again."""
import numpy as np

from nfnumpy.composition import Composition
from nfnumpy.flows import ActNorm, ImageCoupling, Squeeze
from nfnumpy.flows.multiscale import MultiScale
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing.broken.exhibit import exhibit


def two_levels(rng):
    """A level with a squeeze and a coupling, and one that works on what stays."""
    coupling = ImageCoupling((1, 2, 4), lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng), "channel")
    return MultiScale([Composition([Squeeze((2, 4, 1)), coupling]), ActNorm((1, 2, 2))])


@exhibit("multi-scale", two_levels, "check_invertible", "inverse(forward(.))")
class JoinsInTheWrongOrder(MultiScale):
    """On the way back the channels that left come first, and those that stayed behind them: the level's inverse is
    right, and gets them shuffled.
    """

    def _inverse(self, steps, z):
        total, vjps = 0.0, []
        *leaving, h = self.pieces(z)
        for k, step in reversed(list(enumerate(steps))):
            if k < len(leaving):
                h = np.concatenate([leaving[k], h], axis=-1)     # should be [h, leaving[k]]
            h, log_det, *vjp = step(h)
            total, vjps = total + log_det, vjp + vjps
        return (h, total), vjps


@exhibit("multi-scale", two_levels, "check_log_det", "check_log_det: forward")
class LastLevelOnly(MultiScale):
    """`total = log_det` for `total += log_det`: what leaves early is taken for noise as it came."""

    def _forward(self, steps, h):
        pieces, vjps = [], []
        for k, step in enumerate(steps):
            h, total, *vjp = step(h)
            vjps += vjp
            if k < len(steps) - 1:
                h, piece = self._divide(h)
                pieces.append(piece)
        return (self.join([*pieces, h]), total), vjps


@exhibit("multi-scale", two_levels, "check_vjp", "gradient of its input through output")
class ForgetsWhatLeft(MultiScale):
    """The gradient of the piece that left is zero on the way back: half of the first level never learns."""

    def forward_vjp(self, x):
        outputs, right = super().forward_vjp(x)

        def vjp(grad_z, grad_log_det, out=None):
            *leaving, last = self.pieces(grad_z)
            return right(self.join([*map(np.zeros_like, leaving), last]), grad_log_det, out)

        return outputs, vjp


@exhibit("multi-scale", two_levels, "check_vjp", "through log_det")
class LogDetIsAddedOnly(MultiScale):
    """log_det is summed over the levels on the way there, and none of them is told of grad_log_det on the way back."""

    def forward_vjp(self, x):
        outputs, right = super().forward_vjp(x)
        return outputs, lambda grad_z, grad_log_det, out=None: right(grad_z, np.zeros_like(grad_log_det), out)
