"""Bugs of the mixture of logistics as a transformer."""
import numpy as np

from nfnumpy.arrays import sum_event
from nfnumpy.flow import Flow
from nfnumpy.flows import Coupling, MixtureOfLogistics
from nfnumpy.flows.mixture import log_logistic, log_sum_exp
from nfnumpy.testing.broken.coupling import with_transformer
from nfnumpy.testing.broken.exhibit import exhibit, rows


def mixing(rng):
    """A coupling layer with mixtures of three components, on four numbers."""
    return Coupling(4, (6,), "tanh", rng=rng, transformer=MixtureOfLogistics(3))


class NoOddsMixture(MixtureOfLogistics):
    """See `StopsAtTheUniform`."""

    def forward_vjp(self, x, params):
        (z, log_det), vjp = super().forward_vjp(x, params)
        return (z, log_det + sum_event(log_logistic(z) + log_logistic(-z))), vjp


@exhibit("mixture of logistics", mixing, "check_log_det", "check_log_det: forward",
         broken=with_transformer(NoOddsMixture))
class StopsAtTheUniform(Flow):
    """dF/dx, the mixture's density, for dz/dx: z is the log odds of F, whose own slope is 1 / (F (1 - F))."""


class MeanQuantileMixture(MixtureOfLogistics):
    """See `AveragesQuantiles`."""

    def _root(self, z, params):
        log_pi, mu, log_s, _ = self._components(params)
        return (np.exp(log_pi) * (mu + np.exp(log_s) * z[..., None])).sum(axis=-1)


@exhibit("mixture of logistics", mixing, "check_invertible", "inverse(forward(.))",
         broken=with_transformer(MeanQuantileMixture))
class AveragesQuantiles(Flow):
    """The inverse averages the components' quantiles, where the mixture averages their distribution functions."""


class PriorMixture(MixtureOfLogistics):
    """See `PriorForPosterior`."""

    def forward_vjp(self, x, params):
        outputs, vjp = super().forward_vjp(x, params)

        def broken_vjp(grad_z, grad_log_det):
            grad_x, grad_params = vjp(grad_z, grad_log_det)
            log_pi = log_sum_exp(params[..., :self.components])[1]
            grad_a = grad_params[..., :self.components]
            grad_a[...] = np.exp(log_pi) * grad_a.sum(axis=-1, keepdims=True)
            return grad_x, grad_params

        return outputs, broken_vjp


@exhibit("mixture of logistics", mixing, "check_vjp", "The gradient is wrong for",
         broken=with_transformer(PriorMixture))
class PriorForPosterior(Flow):
    """A component's share of the gradient is its posterior probability given x, and not its weight."""


class ClippedMixture(MixtureOfLogistics):
    """See `ClipsTheTails`."""

    def forward_vjp(self, x, params):
        (z, log_det), vjp = super().forward_vjp(x, params)
        F = np.clip(np.exp(log_logistic(z.real)), 1e-6, 1 - 1e-6)
        return (np.log(F) - np.log(1 - F), log_det), vjp


@exhibit("mixture of logistics", mixing, "check_invertible", "inverse(forward(.))",
         broken=with_transformer(ClippedMixture), arguments=lambda flow, rng: (rows(flow, rng) * 20,))
class ClipsTheTails(Flow):
    """F is kept off 0 and 1, so that its log odds stay finite: all that lies further out is thrown together."""
