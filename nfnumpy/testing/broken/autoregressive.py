"""Bugs of MADE and of the Gaussian autoregressive flow."""
import numpy as np

from nfnumpy.flows import GaussianAutoregressive
from nfnumpy.nets import MADE
from nfnumpy.nets.made import made_masks
from nfnumpy.testing.broken.exhibit import exhibit, rows, twin
from nfnumpy.testing.dependence import autoregressive_pattern


def flow3(rng):
    """An autoregressive flow on three numbers."""
    return GaussianAutoregressive(3, (8, 8), "tanh", rng=rng)


def in_order(flow, rng):
    """The pattern of dependence that `check_dependence` takes: the flow's order, ``(3, 3)``."""
    return (autoregressive_pattern(flow.order),)


def with_net(cls):
    """The same flow with a broken MADE."""
    def build(correct):
        broken = twin(correct, type(correct))
        broken.net.__class__ = cls
        broken.net.spoil()
        return broken

    return build


class MaskedWrongly(MADE):
    """A MADE whose masks are made again, with one mistake."""

    def spoil(self):
        """Make the masks from the degrees that `wrong_degrees` gives."""
        hidden = [self.wrong_degrees(layer) for layer in self.hidden_degrees]
        self._set_masks(made_masks(self.degrees, hidden, self.outputs))

    def _set_masks(self, masks):
        for k, mask in enumerate(masks):
            setattr(self, f"mask{k}", mask)


class UnluckyDegrees(MaskedWrongly):
    """See `CutOff`."""

    def wrong_degrees(self, layer):
        return np.ones_like(layer)                               # drawn from 1..m-1, and unlucky: always the first


@exhibit("MADE", flow3, "check_dependence", "output 2 is cut off from input 1: which mask has lost the path?", in_order,
         with_net(UnluckyDegrees))
class CutOff(GaussianAutoregressive):
    """Hidden degrees are drawn at random, as in the paper, and no unit got degree 2: x_3 cannot see x_2 (rll/deepul
    issue 4).

    Nothing fails: the flow is invertible, its density right, and there are distributions that it can never learn.
    """


class StrictInside(MaskedWrongly):
    """See `StrictBetweenHiddenLayers`."""

    def spoil(self):
        """`<` where `<=` is meant, between the two hidden layers."""
        first, second = self.hidden_degrees
        self.mask1 = (first[None, :] < second[:, None]).astype(np.float64)


@exhibit("MADE", flow3, "check_dependence", "which mask has lost the path?", in_order, with_net(StrictInside))
class StrictBetweenHiddenLayers(GaussianAutoregressive):
    """The strict comparison belongs to the output; between hidden layers as well, it costs a degree each time."""


class LooseOutput(MaskedWrongly):
    """See `SeesItself`."""

    def spoil(self):
        """`<=` where `<` is meant, at the output."""
        above = np.tile(self.degrees, self.outputs)
        self.mask2 = (self.hidden_degrees[-1][None, :] <= above[:, None]).astype(np.float64)


def mu_before(flow, rng):
    """mu_j may see x_1 .. x_{j-1}: the pattern below the diagonal."""
    return autoregressive_pattern(flow.order) & ~np.eye(3, dtype=bool), None, rows(flow, rng)


@exhibit("MADE", flow3, "check_dependence", "an output sees its own input", mu_before,
         lambda correct: mu_of(with_net(LooseOutput)(correct)))
class SeesItself(GaussianAutoregressive):
    """`<=` at the output: x_j is transformed with a mu_j and a sigma_j that know x_j.

    Training loves it: the loss falls below the entropy of the data, since log_det leaves the new path out.
    """


def mu_of(flow):
    """What MADE computes for mu: a function of a batch."""
    return lambda x: flow.net.vjp(x)[0][..., 0]


@exhibit("MADE", flow3, "check_log_det", "check_log_det: forward", broken=with_net(LooseOutput))
class SeesItselfInTheFlow(GaussianAutoregressive):
    """`SeesItself`, as the log-determinant tells it: J_f has other entries on its diagonal than 1 / sigma_j."""


class MaskedOnceNet(MADE):
    """See `MaskedOnce`."""

    def spoil(self):
        """What training does to weights that nobody masks."""

    def weight(self, k):
        return getattr(self, f"W{k}")


@exhibit("MADE", flow3, "check_dependence", "which comes later in the order", in_order, with_net(MaskedOnceNet))
class MaskedOnce(GaussianAutoregressive):
    """The masks multiply the weights at initialisation, once; the first gradient step moves the zeros."""


class GradientNotMaskedNet(MADE):
    """See `GradientNotMasked`."""

    def spoil(self):
        """Nothing: the masks are right."""

    def affine(self, k, h):
        a, right = super().affine(k, h)

        def vjp(grad_a, grad):
            grad_h = right(grad_a, grad)
            grad[f"W{k}"][...] = grad_a.T @ h                    # should be multiplied by the mask
            return grad_h

        return a, vjp


@exhibit("MADE", flow3, "check_vjp", "it has no influence, is a mask missing?", broken=with_net(GradientNotMaskedNet))
class GradientNotMasked(GaussianAutoregressive):
    """a = (mask * W) h + b, so that dL/dW has the mask as well: without it weight decay and Adam see moves that do
    nothing.
    """


@exhibit("Gaussian autoregressive flow", flow3, "check_invertible", "undone in the right order")
class OnePass(GaussianAutoregressive):
    """The inverse in one pass: mu and sigma are computed from z, where x_{1:j-1} is meant. The first coordinate is
    right.
    """

    def inverse(self, z):
        params, _ = self.net.vjp(self.as_z(z))
        return self.transformer.inverse_vjp(z, params)[0]


@exhibit("Gaussian autoregressive flow", flow3, "check_invertible", "The others come back, coordinate 2 not")
class OneStepShort(GaussianAutoregressive):
    """The loop over coordinates ends one too early."""

    def inverse(self, z):
        x, log_det = self.inverse_by_passes(z)
        x[:, self.order[-1]] = 0
        return x, log_det


@exhibit("Gaussian autoregressive flow", flow3, "check_log_det", "The size is right and the sign is wrong")
class LogDetOfTheOtherDirection(GaussianAutoregressive):
    """`inverse` returns log abs det J_f (VincentStimper/normalizing-flows issue 27, ikostrikov/pytorch-flows issue 16).

    Training by maximum likelihood never calls it; reverse KL does, and minimises something else.
    """

    def inverse(self, z):
        x, log_det = super().inverse(z)
        return x, -log_det


@exhibit("Gaussian autoregressive flow", flow3, "check_log_det", "Every row has the sum over the batch")
class SummedOverTheBatch(GaussianAutoregressive):
    """log_det.sum() reaches every row (wohlert/semi-supervised-pytorch issue 21).

    The gradient is that of n times too large a log-determinant, which looks like a flow that likes to spread.
    """

    def forward(self, x):
        z, log_det = super().forward(x)
        return z, np.full_like(log_det, log_det.sum())


@exhibit("Gaussian autoregressive flow", flow3, "check_vjp", "gradient of its input through output")
class OnlyDirectly(GaussianAutoregressive):
    """dL/dx through (x_j - mu_j) / sigma_j, but not through the mu and sigma of later coordinates: they are not
    constants.
    """

    def forward_vjp(self, x):
        outputs, vjp, transformer_vjp = self._forward_vjp(self.as_x(x))
        return outputs, lambda grad_z, grad_log_det, out=None: (
            transformer_vjp(grad_z, grad_log_det)[0], vjp(grad_z, grad_log_det, out)[1])


class BySweeps(GaussianAutoregressive):
    """The implicit solve of the class's notes, in plain lines, for the two bugs below."""

    inside = outside = True

    def inverse_vjp(self, z):
        x, log_det = self.inverse_by_passes(z)
        _, forward_vjp, transformer_vjp = self._forward_vjp(x)
        slope, _ = transformer_vjp(np.ones_like(x), 0.0)

        def vjp(grad_x, grad_log_det, out=None):
            v = np.zeros_like(x)
            for _ in self.order:                                 # J^T v + w dL/dx = grad_x
                v = v + (grad_x - forward_vjp(v, grad_log_det * self.inside)[0]) / slope
            _, grad_theta = forward_vjp(v, grad_log_det * self.outside, out)
            return v, np.negative(grad_theta, out=grad_theta)

        return (x, log_det), vjp


@exhibit("Gaussian autoregressive flow", flow3, "check_vjp", "inverse_vjp, gradient of its input through log_det")
class PullForgottenInside(BySweeps):
    """The inverse's log-determinant is -L(x), and x depends on z: its pull on x is missing from the system for v."""

    inside = False


@exhibit("Gaussian autoregressive flow", flow3, "check_vjp", "inverse_vjp, gradient of theta through log_det")
class PullForgottenOutside(BySweeps):
    """L(x; theta) depends on theta directly as well: that pull is missing from grad_theta."""

    outside = False
