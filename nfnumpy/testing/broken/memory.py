"""Bugs that any layer can have: whose memory is it? A diagonal flow lends itself to them."""
import numpy as np

from nfnumpy.flows import Diagonal
from nfnumpy.testing.broken.exhibit import exhibit, twin


def diagonal(rng):
    """A diagonal matrix of both signs."""
    return Diagonal(3, W=np.diag([2.0, -0.5, 3.0]))


@exhibit("any layer", diagonal, "check_pure", "expected its input untouched, got it overwritten")
class MultipliesInPlace(Diagonal):
    """`x *= diagonal` saves an array, the caller's: evaluating a density changes the data."""

    def multiply(self, x):
        kept = x.copy()
        x *= self.diagonal
        return (x + 0.0, self.log_abs_det), super().multiply(kept)[1]


@exhibit("any layer", diagonal, "check_theta", "are the arrays views into theta?")
class CutLoose(Diagonal):
    """`self.log_diagonal = log_diagonal.copy()` at some point: the optimiser moves theta, and the layer keeps its
    own.
    """

    def forward_vjp(self, x):
        if "_own_copy" not in self.__dict__:
            self._own_copy = twin(self, Diagonal)
        return self._own_copy.forward_vjp(x)


@exhibit("any layer", diagonal, "check_theta", "a composition would lose this gradient")
class IgnoresOut(Diagonal):
    """The vjp takes `out` and returns a new vector: alone it works, in a composition its part of the gradient is
    noise.
    """

    def forward_vjp(self, x):
        outputs, vjp = super().forward_vjp(x)
        return outputs, lambda grad_z, grad_log_det, out=None: vjp(grad_z, grad_log_det)


@exhibit("any layer", diagonal, "check_pure", "is something kept in the layer?")
class RemembersX(Diagonal):
    """Backward reads what forward left in the layer, as in most frameworks: the second batch's x, for both batches."""

    def multiply(self, x):
        self._x = x
        return super().multiply(x)[0], lambda grad_y, grad_log_abs_det, grad: (
            super(RemembersX, self).multiply(self._x)[1](grad_y, grad_log_abs_det, grad))
