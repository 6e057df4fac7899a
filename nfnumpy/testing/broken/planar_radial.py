"""Bugs of the planar and radial flows of Rezende and Mohamed."""
import numpy as np

from nfnumpy.flows import Planar, Radial
from nfnumpy.flows.increasing import above_minus_one
from nfnumpy.flows.radial import length
from nfnumpy.testing.broken.exhibit import exhibit


def planar(rng):
    """A planar flow with w . u near 3: c is near 2.6, and the fixed-point iteration below swings for ever."""
    flow = Planar(3, rng)
    flow.u, flow.w = [2.0, 1.0, 0.5], [1.0, 0.5, 1.0]
    return flow


def radial(rng):
    """A radial flow that pushes away from its centre."""
    flow = Radial(3, rng)
    flow.beta = [2.0]
    return flow


@exhibit("planar flow", planar, "check_log_det", "check_log_det: forward")
class VolumeOfU(Planar):
    """log abs(1 + h' u . w) with the free u, while the map itself moves along u_hat."""

    def forward_vjp(self, x):
        (z, log_det), vjp = super().forward_vjp(x)
        slope = 1 - np.tanh(z @ self.w + self.b) ** 2
        return (z, -np.log(1 + slope * (self.u @ self.w))), vjp


@exhibit("planar flow", planar, "check_invertible", "inverse(forward(.))")
class FixedPoint(Planar):
    """a <- s - c tanh(a), thirty times: it contracts for c between -1 and 1, and c has no bound above."""

    def _root(self, s, c):
        a = s
        for _ in range(30):
            a = s - c * np.tanh(a)
        return a


@exhibit("planar flow", planar, "check_vjp", "The gradient is wrong for")
class StopsAtUHat(Planar):
    """The gradient of u_hat is handed to u as it is: the reparametrization is forgotten on the way back."""

    def _push(self):
        outputs, _ = super()._push()
        return outputs, lambda grad_u_hat, grad_c: (grad_u_hat + grad_c * self.w, grad_c * self.u)


@exhibit("radial flow", radial, "check_log_det", "check_log_det: forward")
class OneDirectionAcross(Radial):
    """log A + log B: right in two dimensions, where all figures are drawn. There are m - 1 directions across."""

    def _stretch(self, r, alpha, c):
        rho, A, B, _ = super()._stretch(r, alpha, c)
        return rho, A, B, np.log(A) + np.log(B)


@exhibit("radial flow", radial, "check_log_det", "check_log_det: forward")
class DistanceHeldFixed(Radial):
    """m log A: that the factor 1 / (alpha + r) changes with r was forgotten."""

    def _stretch(self, r, alpha, c):
        rho, A, B, _ = super()._stretch(r, alpha, c)
        return rho, A, B, len(self.z_0) * np.log(A)


@exhibit("radial flow", radial, "check_invertible", "inverse(forward(.))")
class DistanceOfX(Radial):
    """f divides by the factor at abs(x - z_0), which is g's at another point: the factor belongs to abs(z - z_0)."""

    def forward(self, x):
        z, log_det = super().forward(x)
        y = self.as_x(x) - self.z_0
        _, A, _, _ = self._stretch(length(y), np.exp(self.log_alpha[0]), above_minus_one(self.beta[0])[0])
        return self.z_0 + y / A[:, None], log_det


@exhibit("radial flow", radial, "check_vjp", "The gradient is wrong for")
class CentreHeldFixed(Radial):
    """The gradient of z_0 counts the first z_0 of z_0 + A (z - z_0), and none of the others."""

    def _pull(self, d, r, grad_x, grad_log_det, out):
        grad_z, grad_theta = super()._pull(d, r, grad_x, grad_log_det, out)
        self.parts(grad_theta)["z_0"][...] = grad_x.sum(axis=0)
        return grad_z, grad_theta
