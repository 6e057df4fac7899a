"""Bugs between a flow and the number that is minimised: negative log-likelihood and reverse KL, and models."""
import inspect

import numpy as np

import nfnumpy.testing as checks
from nfnumpy.arrays import as_rng
from nfnumpy.composition import Inverse
from nfnumpy.distributions import Gaussian, StandardNormal
from nfnumpy.divergences import negative_log_likelihood, reverse_kl
from nfnumpy.flows import Coupling, GaussianAutoregressive
from nfnumpy.model import NormalizingFlow
from nfnumpy.testing.broken.exhibit import HALL, Exhibit, rows

TARGET = Gaussian([1.0, -1.0], [[1.0, 0.5], [0.5, 2.0]])


def exhibit(layer, says):
    """Put a loss ``loss(model)`` with a wrong gradient into the hall; the class holds the wrong one and the right
    one.
    """
    def register(cls):
        def build(rng):
            make = Coupling if layer == "negative log-likelihood" else lambda *given, rng: Inverse(
                GaussianAutoregressive(*given, rng=rng))
            model = NormalizingFlow(checks.randomize(make(2, (3,), "tanh", rng=rng), rng))
            x = rows(model, rng)
            return Exhibit(layer, lambda model: cls.wrong(model, x), lambda model: cls.right(model, x), "check_loss",
                           (model,), says, inspect.getdoc(cls))

        HALL[cls.__name__] = layer, build
        return cls

    return register


class Likelihood:
    """The right one."""

    right = staticmethod(negative_log_likelihood)


@exhibit("negative log-likelihood", "All of the gradient: it is 5 times what it must be")
class SumForMean(Likelihood):
    """The value is a mean over the batch, its gradient a sum: the learning rate means something else for each n."""

    @staticmethod
    def wrong(model, x):
        loss, gradient = negative_log_likelihood(model, x)
        return loss, len(x) * gradient


@exhibit("negative log-likelihood", "The gradient is wrong for net.W0")
class MinusLogDet(Likelihood):
    """+ on the log-determinant's pull: the loss goes down along the base density, and up along the volume."""

    @staticmethod
    def wrong(model, x):
        (z, log_det), vjp = model.flow.forward_vjp(x)
        n = len(x)
        loss, _ = negative_log_likelihood(model, x)
        return loss, vjp(-model.base.score(z) / n, np.full(n, 1 / n))[1]              # should be np.full(n, -1 / n)


@exhibit("negative log-likelihood", "All of the gradient: the size is right and the sign is wrong")
class Ascends(Likelihood):
    """The gradient of the log-likelihood, handed to something that descends."""

    @staticmethod
    def wrong(model, x):
        loss, gradient = negative_log_likelihood(model, x)
        return loss, -gradient


class ReverseKL:
    """The right one, with the same noise each time."""

    @staticmethod
    def right(model, x):
        return reverse_kl(model, TARGET, 20, rng=0)


def reverse_kl_with(pull, n=20, seed=0):
    """The reverse KL's value, and the gradient for ``pull(score, n) = grad_x, grad_log_det``."""
    def loss(model, x):
        (samples, log_det), vjp = model.flow.inverse_vjp(model.base.sample(n, as_rng(seed)))
        return reverse_kl(model, TARGET, n, rng=0)[0], vjp(*pull(TARGET.score(samples), n))[1]

    return staticmethod(loss)


@exhibit("reverse KL", "The gradient is wrong for flow.net")
class PlusScore(ReverseKL):
    """The pull on x is - score(x) / n; with a plus the samples run away from the target."""

    wrong = reverse_kl_with(lambda score, n: (score / n, np.full(n, -1 / n)))


@exhibit("reverse KL", "The gradient is wrong for flow.net")
class DroppedLogDet(ReverseKL):
    """No pull on log_det: nothing keeps the samples apart, and they collapse onto the mode."""

    wrong = reverse_kl_with(lambda score, n: (-score / n, np.zeros(n)))


@exhibit("reverse KL", "The gradient is wrong for flow.net")
class DetachedSamples(ReverseKL):
    """x is taken as if it were data: no gradient flows through log pi(x)."""

    wrong = reverse_kl_with(lambda score, n: (0 * score, np.full(n, -1 / n)))


@exhibit("reverse KL", "expected a directional derivative")
class FreshNoise(ReverseKL):
    """Value and gradient come from different draws of z: both are right on average, and neither belongs to the
    other.
    """

    wrong = reverse_kl_with(lambda score, n: (-score / n, np.full(n, -1 / n)), seed=1)


def model_exhibit(cls):
    """Put a broken model into the hall, which `check_density` or `check_samples` catches."""
    def build(rng):
        flow = checks.randomize(Coupling(2, (5,), "tanh", rng=rng), rng)
        return Exhibit("model", cls(flow), NormalizingFlow(flow), cls.check, (), cls.says,
                       inspect.getdoc(cls))

    HALL[cls.__name__] = "model", build
    return cls


class WithoutConstant(StandardNormal):
    """A standard normal without its m/2 log(2 pi)."""

    def log_prob(self, z):
        return -0.5 * (z * z).sum(axis=1)


@model_exhibit
class NotADensity(NormalizingFlow):
    """m/2 log(2 pi) is missing: every gradient is right, and no likelihood can be compared with another model's."""

    check, says = "check_density", "is m/2 log(2 pi) missing?"

    def __init__(self, flow):
        super().__init__(flow, WithoutConstant(flow.z_shape))


@model_exhibit
class AddsLogDetOfG(NormalizingFlow):
    """log p(x) = log p(f(x)) - log abs det J_f: the other direction's sign. The round trip is perfect."""

    check, says = "check_density", "is a log-determinant of the wrong sign"

    def log_prob(self, x):
        z, log_det = self.flow.forward(x)
        return self.base.log_prob(z) - log_det


@model_exhibit
class CoolSamples(NormalizingFlow):
    """Samples are drawn at temperature 0.7, for nicer pictures, and called samples of the model."""

    check, says = "check_samples", "Do `sample` and `log_prob` use the same base density"

    def sample(self, n, rng=None, temperature=0.7):
        return super().sample(n, rng, temperature)


@model_exhibit
class SamplesForward(NormalizingFlow):
    """`sample` calls forward in place of inverse: noise in, something out."""

    check, says = "check_samples", "inverse and forward of the same flow?"

    def sample(self, n, rng=None, temperature=1.0):
        return self.flow.forward(self.base.sample(n, as_rng(rng)))[0]
