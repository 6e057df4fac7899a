"""Bugs of the flows made from flows: composition and inverse."""
import numpy as np

from nfnumpy.composition import Composition, Inverse
from nfnumpy.flows import Coupling, Permutation, Triangular
from nfnumpy.testing.broken.exhibit import exhibit


def three(rng):
    """Three different flows, one after another."""
    return Composition([Triangular(3), Permutation([1, 2, 0]), Coupling(3, (6,), "tanh", rng=rng)])


def two_couplings(rng):
    """Two coupling layers that alternate."""
    return Composition([Coupling(3, (6,), "tanh", swap=swap, rng=rng) for swap in (False, True)])


@exhibit("composition", three, "check_invertible", "inverse(forward(.))")
class UndoneInOrder(Composition):
    """The inverse applies g_1 first: shirt off before the jacket."""

    def inverse(self, z):
        x, total = self.as_z(z), 0.0
        for flow in self.flows:
            x, log_det = flow.inverse(x)
            total = total + log_det
        return x, total


@exhibit("composition", two_couplings, "check_log_det", "check_log_det: forward")
class LastLogDet(Composition):
    """`total = log_det` for `total += log_det`: one equals sign, and only the last step counts."""

    def forward(self, x):
        z = self.as_x(x)
        for flow in self.flows:
            z, total = flow.forward(z)
        return z, total


@exhibit("composition", two_couplings, "check_log_det", "check_log_det: forward")
class EveryJacobianAtX(Composition):
    """The chain rule takes J_{f_k} at the input of f_k; here all of them are taken at x."""

    def forward(self, x):
        z, _ = super().forward(x)
        return z, sum(flow.forward(x)[1] for flow in self.flows)


@exhibit("composition", two_couplings, "check_vjp", "through log_det")
class LogDetPulledOnce(Composition):
    """The vjps go back in reverse order, but only the last flow is told of grad_log_det; every step's log_det was
    added.
    """

    def _chain(self, steps, value):
        total, vjps = 0.0, []
        for step, name in steps:
            (value, log_det), vjp_k = step(value)
            total = total + log_det
            vjps.append((vjp_k, name))

        def vjp(grad, grad_log_det, out=None):
            grad_theta, parts = self.gradient(out)
            for vjp_k, name in reversed(vjps):
                grad, _ = vjp_k(grad, grad_log_det, out=parts[name])
                grad_log_det = 0 * grad_log_det                  # this line should not be here
            return grad, grad_theta

        return (value, total), vjp


@exhibit("composition", three, "check_pure", "expected the same result from the same call")
class TurnsTheListRound(Composition):
    """`flows.reverse()` turns the flow's own list round, for good: the first inverse is right, the next call is not."""

    @property
    def flows(self):
        if "_list" not in self.__dict__:
            self._list = super().flows
        return self._list

    def inverse(self, z):
        self.flows.reverse()
        x, total = self.as_z(z), 0.0
        for flow in self.flows:
            x, log_det = flow.inverse(x)
            total = total + log_det
        return x, total


def turned(rng):
    """A coupling layer read backwards."""
    return Inverse(Coupling(3, (6,), "tanh", rng=rng))


@exhibit("inverse", turned, "check_log_det", "The size is right and the sign is wrong")
class KeepsTheSign(Inverse):
    """The directions are swapped, and the log-determinants as well, "because it is the inverse": once too often."""

    def forward(self, x):
        z, log_det = super().forward(x)
        return z, -log_det


@exhibit("inverse", turned, "check_vjp", "do the two belong to the same direction?")
class SwappedByHalf(Inverse):
    """`forward` and `inverse` are swapped, their vjps are not: log_prob is right, and training follows another flow."""

    def forward_vjp(self, x):
        return self.flow.forward_vjp(self.as_x(x))


@exhibit("inverse", turned, "check_vjp", "the size is right and the sign is wrong")
class PullsMinusLogDet(Inverse):
    """The inner flow's inverse already returns the log-determinant of its own direction; its pull must not be
    negated.
    """

    def forward_vjp(self, x):
        outputs, vjp = super().forward_vjp(x)
        return outputs, lambda grad_z, grad_log_det, out=None: vjp(grad_z, np.negative(grad_log_det), out)
