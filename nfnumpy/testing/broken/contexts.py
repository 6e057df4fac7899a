"""Bugs of flows that are bound to a context."""
import copy

import numpy as np

from nfnumpy.flows import Coupling, GaussianAutoregressive
from nfnumpy.flows.conditional import as_context
from nfnumpy.nets import MADE
from nfnumpy.testing.broken.autoregressive import with_net
from nfnumpy.testing.broken.exhibit import exhibit, rows
from nfnumpy.testing.zoo import randomize


def bound(cls):
    """A flow on three numbers that is bound to one row of two context values."""
    return lambda rng: cls(3, (8,), "tanh", rng=rng, context=2, c=rng.standard_normal((1, 2)))


def with_contexts(flow, rng):
    """Five samples, and five contexts."""
    return rows(flow, rng), rng.standard_normal((5, 2))


@exhibit("context", bound(Coupling), "check_given", "whose context does it see?", with_contexts)
class FirstRowForAll(Coupling):
    """Every sample gets the context of the first: right as long as a batch holds one class, as when one samples."""

    def given(self, c):
        return super().given(c[:1])


@exhibit("context", bound(GaussianAutoregressive), "check_given", "got one with parameters of its own", with_contexts)
class ACopyOfTheta(GaussianAutoregressive):
    """`given` copies the whole flow: densities are right, and training moves a theta that nobody looks at again."""

    def given(self, c):
        other = copy.deepcopy(self)
        other.c = as_context(c, self.context)
        return other


@exhibit("context", bound(Coupling), "check_given", "does it write into the flow?", with_contexts)
class RemembersTheLast(Coupling):
    """`given` writes c into the flow and returns the flow itself: two bound flows are one, bound to the later context."""

    def given(self, c):
        self.c = as_context(c, self.context)
        return self


@exhibit("context", bound(GaussianAutoregressive), "check_vjp", "gradient of its input")
class GradientOfTheWrongColumns(GaussianAutoregressive):
    """MADE's inputs are [c, x]; of its gradient the first m columns are taken, which begin with those of c."""

    def _forward_vjp(self, x):
        params, net_vjp = self.net.vjp(self.beside_context(x))
        outputs, transformer_vjp = self.transformer.forward_vjp(x, params)

        def vjp(grad_z, grad_log_det, out=None):
            grad_x, grad_params = transformer_vjp(grad_z, grad_log_det)
            grad_through_net, grad_theta = net_vjp(grad_params, out)
            return grad_x + grad_through_net[:, :x.shape[1]], grad_theta

        return outputs, vjp, transformer_vjp


class DegreeOne(MADE):
    """See `ContextFromTheSecondOn`."""

    def spoil(self):
        """The context gets degree 1, as if it came with the first coordinate, where 0 is meant."""
        degrees = np.where(self.degrees == 0, 1, self.degrees)
        self.mask0 = (degrees[None, :] <= self.hidden_degrees[0][:, None]).astype(np.float64)


class ZOfC:
    """z at one x as a function of a batch of contexts."""

    def __init__(self, flow):
        self.flow = flow

    def __call__(self, c):
        return self.flow.given(c).forward(np.ones((len(c), 3)))[0]


@exhibit("context", lambda rng: ZOfC(randomize(bound(GaussianAutoregressive)(rng), rng)), "check_dependence",
         "output 0 is cut off from input 0", lambda function, rng: (np.ones((3, 2), bool), None, rng.standard_normal((8, 2))),
         lambda correct: ZOfC(with_net(DegreeOne)(correct.flow)), moved=False)
class ContextFromTheSecondOn(GaussianAutoregressive):
    """The context has degree 1 in MADE: p(x_1 | c) is p(x_1), the same for every class, and the samples look right."""
