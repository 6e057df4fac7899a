"""Bugs of continuous-time flows, of their traces and of the adjoint method."""
import numpy as np

from nfnumpy.flows import ContinuousFlow
from nfnumpy.nets.velocity import Velocity
from nfnumpy.testing.broken.exhibit import exhibit, rows, twin


def small(rng):
    """A field of one unit."""
    return ContinuousFlow(1, (1,), rtol=1e-9, atol=1e-9, rng=rng)


def two_rows(flow, rng):
    """A short batch: a check solves the equation a hundred times."""
    return (rows(flow, rng, 2),)


def in_its_network(cls):
    """Builds the flow whose network is the correct one's as an object of the class `cls`."""
    def broken(correct):
        flow = twin(correct, type(correct))
        flow.net.__class__ = cls
        return flow

    return broken


def show(check, says):
    """`exhibit` for a class of flows, or of their networks."""
    def register(cls):
        broken = in_its_network(cls) if issubclass(cls, Velocity) else None
        return exhibit("continuous-time flow", small, check, says, two_rows, broken)(cls)

    return register


@show("check_log_det", "The size is right and the sign is wrong")
class TraceOfTheWayThere(ContinuousFlow):
    """inverse adds the trace up as on the way there: with time running backwards dt is negative."""

    def inverse(self, z):
        x, log_det = super().inverse(z)
        return x, -log_det


@show("check_invertible", "inverse(forward(.))")
class ForgetsTheClock(ContinuousFlow):
    """inverse follows -v(x, t) from t = 0 to 1, as if v did not depend on time: what happened last is undone first."""

    def inverse(self, z):
        backwards = twin(self, ContinuousFlow)
        backwards.net.__class__ = ClockTurned
        return backwards.inverse(z)


class ClockTurned(Velocity):
    """v(x, 1 - t)."""

    def with_trace(self, x, t, directions):
        return super().with_trace(x, 1 - t, directions)


@show("check_log_det", "check_log_det: forward")
class TraceOfTheWeights(Velocity):
    """tr(W_1 W_0): the activation between the two, and its slope, is left out."""

    def with_trace(self, x, t, directions):
        (v, trace), vjp = super().with_trace(x, t, directions)
        return (v, 0 * trace + np.trace(self.W1 @ self.W0[:, :-1])), vjp


@show("check_vjp", "gradient of its input through log_det")
class AdjointWithoutTheTrace(Velocity):
    """da/dt = -J^T a, the equation of an ODE that is no flow: the log-determinant's pull on x is left out of it."""

    def with_trace(self, x, t, directions):
        outputs, vjp = super().with_trace(x, t, directions)
        return outputs, lambda a, w: (vjp(a, 0 * w)[0], vjp(a, w)[1])


@show("check_vjp", "gradient of theta through log_det")
class ThetaMovesTheVelocityOnly(Velocity):
    """grad_theta is the integral of (dv/dtheta)^T a: that theta is in the trace as well is forgotten."""

    def with_trace(self, x, t, directions):
        outputs, vjp = super().with_trace(x, t, directions)
        return outputs, lambda a, w: (vjp(a, w)[0], vjp(a, 0 * w)[1])


@exhibit("continuous-time flow", lambda rng: ContinuousFlow(3, (3,), rng=rng), "check_pure", "or drawn at random?")
class DrawsItsOwnNoise(ContinuousFlow):
    """Hutchinson's estimate with fresh noise in each call: log_prob is no function of x any more."""

    rng = np.random.default_rng(0)

    def _directions(self, x):
        return self.rng.choice([-1.0, 1.0], (len(x), 1, x.shape[1]))
