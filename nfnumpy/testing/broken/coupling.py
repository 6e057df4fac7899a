"""Bugs of the affine transformer, of coupling layers, and of a planar flow."""
import numpy as np

from nfnumpy.arrays import per_sample
from nfnumpy.flow import Flow
from nfnumpy.flows import Affine, Coupling
from nfnumpy.flows.partitions import Halves
from nfnumpy.nets.made import split_params
from nfnumpy.testing.broken.exhibit import exhibit, twin


def coupling(rng):
    """A coupling layer on four numbers."""
    return Coupling(4, (6,), "tanh", rng=rng)


def with_transformer(cls):
    """The same coupling layer with a broken transformer."""
    def build(correct):
        broken = twin(correct, type(correct))
        broken.transformer = cls(**correct.transformer.config())
        return broken

    return build


class SigmaSquaredAffine(Affine):
    """See `CountsTheVariance`."""

    def forward_vjp(self, x, params):
        (z, log_det), vjp = super().forward_vjp(x, params)
        return (z, 2 * log_det), vjp


@exhibit("affine transformer", coupling, "check_log_det", "All rows are off by the same factor 2",
         broken=with_transformer(SigmaSquaredAffine))
class CountsTheVariance(Flow):
    """- sum log sigma^2, from the logarithm of a Gaussian density, where - sum log sigma is meant."""


class ShiftFirstAffine(Affine):
    """See `ShiftsFirst`."""

    def inverse_vjp(self, z, params):
        (_, log_det), vjp = super().inverse_vjp(z, params)
        mu, log_sigma = self.mu_and_log_sigma(params)
        return ((z + mu) * np.exp(log_sigma), log_det), vjp


@exhibit("affine transformer", coupling, "check_invertible", "The others come back, coordinates 2, 3 not",
         broken=with_transformer(ShiftFirstAffine))
class ShiftsFirst(Flow):
    """x = sigma (z + mu) undoes z = x / sigma - mu, and not z = (x - mu) / sigma."""


class NoLogDetPathAffine(Affine):
    """See `NoLogDetPath`."""

    def forward_vjp(self, x, params):
        outputs, vjp = super().forward_vjp(x, params)
        return outputs, lambda grad_z, grad_log_det: vjp(grad_z, 0 * np.asarray(grad_log_det))


@exhibit("affine transformer", coupling, "check_vjp", "it is zero, is the path through log_det missing?",
         broken=with_transformer(NoLogDetPathAffine))
class NoLogDetPath(Flow):
    """The vjp ignores grad_log_det: training then shrinks sigma^-1 to zero, since every z near 0 is likely."""


class FromTheNumeratorAffine(Affine):
    """See `FromTheNumerator`."""

    def forward_vjp(self, x, params):
        outputs, right = super().forward_vjp(x, params)

        def vjp(grad_z, grad_log_det):
            grad_x, grad_params = right(grad_z, grad_log_det)
            mu, log_sigma = self.mu_and_log_sigma(params)
            pull = -grad_z * (x - mu) - per_sample(grad_log_det, x)                   # should be -grad_z * z
            grad_params[..., 1] = pull * self._bound_slope(log_sigma)
            return grad_x, grad_params

        return outputs, vjp


@exhibit("affine transformer", coupling, "check_vjp", "The gradient is wrong for coordinates 0, 1",
         broken=with_transformer(FromTheNumeratorAffine))
class FromTheNumerator(Flow):
    """dz / dlog_sigma = -z, and not -(x - mu)."""


class SignOfMuAffine(Affine):
    """See `SignOfMu`."""

    def forward_vjp(self, x, params):
        outputs, right = super().forward_vjp(x, params)

        def vjp(grad_z, grad_log_det):
            grad_x, grad_params = right(grad_z, grad_log_det)
            grad_params[..., 0] *= -1
            return grad_x, grad_params

        return outputs, vjp


@exhibit("affine transformer", coupling, "check_vjp", "The gradient is wrong for",
         broken=with_transformer(SignOfMuAffine))
class SignOfMu(Flow):
    """dz / dmu = -1 / sigma; here + 1 / sigma."""


@exhibit("coupling", coupling, "check_log_det", "check_log_det: forward")
class SeesWhatItMoves(Coupling):
    """The network is given x_2, which it transforms, and in the inverse z_2, which is another number."""

    def _couple(self, transform_vjp, x):
        x1, x2 = self.partition.split(x)
        (z, log_det), vjp = super()._couple(transform_vjp, self.partition.join(x2, x2))
        return (self.partition.join(x1, self.partition.split(z)[1]), log_det), vjp


class JoinBackwards(Halves):
    """See `JoinsInWrongOrder`."""

    def join(self, x1, x2):
        return np.concatenate([x2, x1], axis=-1)


def joined_backwards(correct):
    """The same layer, whose halves are joined by `JoinBackwards`."""
    broken = twin(correct, type(correct))
    broken.partition.__class__ = JoinBackwards
    return broken


@exhibit("coupling", coupling, "check_invertible", "inverse(forward(.))", broken=joined_backwards)
class JoinsInWrongOrder(Flow):
    """[z_2, z_1] for [z_1, z_2], both ways: the inverse then asks the wrong half for mu and sigma."""


@exhibit("coupling", coupling, "check_vjp", "gradient of its input through output")
class OnlyThroughTheNet(Coupling):
    """The gradient of x_1 comes from the network alone; that z_1 = x_1 as well was forgotten."""

    def forward_vjp(self, x):
        outputs, vjp = super().forward_vjp(x)

        def without(grad_z, grad_log_det, out=None):
            grad_x, grad_theta = vjp(grad_z, grad_log_det, out)
            grad_z1, grad_z2 = self.partition.split(grad_z)
            return grad_x - self.partition.join(grad_z1, 0 * grad_z2), grad_theta

        return outputs, without


@exhibit("coupling", coupling, "check_log_det", "check_log_det: forward")
class SumsOverRows(Coupling):
    """sum(axis=0) for sum(axis=1): with as many rows as coordinates even the shape is right."""

    def forward(self, x):
        z, log_det = super().forward(x)
        x1, _ = self.partition.split(x)
        _, log_sigma = self.transformer.mu_and_log_sigma(split_params(self.net.vjp(x1)[0], 2))
        return z, -np.resize(log_sigma.sum(axis=0), len(x))


@exhibit("coupling", coupling, "check_pure", "expected its input untouched, got it overwritten")
class WritesIntoX(Coupling):
    """z = x; z[:, d:] = ...: z is not a copy, and the training data turn into noise, epoch by epoch."""

    def forward(self, x):
        z, log_det = super().forward(x)
        x[...] = z
        return x.copy(), log_det


class LeakyPlanar(Flow):
    """z = x + u h(w . x + b), h the leaky ReLU: a planar flow with an inverse in closed form, forward and inverse only.

    With a = w . x + b and h'(a) = 1 for a > 0, else 0.1, the matrix determinant lemma gives
    log abs det J_f = log abs(1 + h'(a) u . w). Going back, w . z + b = a + (u . w) h(a), which is invertible piece by
    piece where u . w > -1.
    """

    def __init__(self, u, w, b):
        super().__init__((len(w),), parameters={"u": u, "w": w, "b": [b]})

    def _slope(self, a):
        return np.where(a.real > 0, 1.0, 0.1)

    def _log_det(self, a):
        return np.log(1 + self._slope(a) * (self.u @ self.w))

    def forward(self, x):
        a = self.as_x(x) @ self.w + self.b
        return x + np.outer(self._slope(a) * a, self.u), self._log_det(a)

    def inverse(self, z):
        s = self.as_z(z) @ self.w + self.b                       # a and s have the same sign
        a = s / (1 + self._slope(s) * (self.u @ self.w))
        return z - np.outer(self._slope(a) * a, self.u), -self._log_det(a)


@exhibit("planar flow", lambda rng: LeakyPlanar([1.0, 0.5], [0.5, 1.0], 0.1), "check_log_det", "is a case forgotten",
         lambda flow, rng: (np.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 0.0], [-2.0, 1.0]]),))
class RightForPositiveOnly(LeakyPlanar):
    """log_det with h' = 1 everywhere: right where the pre-activation is positive (danielward27/flowjax issue 169).

    The library's own tests drew positive ones only.
    """

    def _log_det(self, a):
        return np.log(1 + self.u @ self.w) + 0 * a


@exhibit("planar flow", lambda rng: LeakyPlanar([1.0, 0.5], [0.5, 1.0], 0.1), "check_log_det", "check_log_det: forward")
class WithoutTheOne(LeakyPlanar):
    """log abs(h' u . w): the identity in z = x + ... has a derivative, too."""

    def _log_det(self, a):
        return np.log(self._slope(a) * (self.u @ self.w))


@exhibit("planar flow", lambda rng: LeakyPlanar([1.0, 0.5], [0.5, 1.0], 0.1), "check_invertible", "inverse(forward(.))")
class PreactivationOfZ(LeakyPlanar):
    """The inverse uses a = w . z + b as if it were that of x."""

    def inverse(self, z):
        s = self.as_z(z) @ self.w + self.b
        return z - np.outer(self._slope(s) * s, self.u), -self._log_det(s)
