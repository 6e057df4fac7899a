"""The radial flow of Rezende and Mohamed: noise is drawn towards a point, or pushed away from it."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.flow import Flow
from nfnumpy.flows.increasing import above_minus_one


class Radial(Flow):
    """x = z + beta_hat (z - z_0) / (alpha + r), r = abs(z - z_0): both directions in closed form, f by a square root.

    Formulas
    --------
    where:         q = 1 - exp(-0.999)
                   alpha = exp(log_alpha)
                   c = log(1 - q + q * exp(beta))
                   beta_hat = alpha * c
                   m = len(z_0)
    f:             R = sum((x - z_0) ** 2) ** 0.5
                   p = alpha + beta_hat - R
                   r = ((p ** 2 + 4 * alpha * R) ** 0.5 - p) / 2
                   z = z_0 + (x - z_0) / (1 + beta_hat / (alpha + r))
    g:             r = sum((z - z_0) ** 2) ** 0.5
                   x = z + beta_hat * (z - z_0) / (alpha + r)
    log abs det:   rho = alpha / (alpha + r)
                   A = 1 + c * rho
                   B = 1 + c * rho ** 2
                   log_det = -(m - 1) * log(A) - log(B)
    adjoint of f:  n = (z - z_0) / r
                   G = -((m - 1) / A + 2 * rho / B) * c * rho / (alpha + r)
                   e = grad_z - grad_log_det * G * n
                   grad_x = (e - (n @ e) * n) / A + (n @ e) * n / B
                   grad_A = (z - z_0) @ grad_x + (m - 1) / A * grad_log_det
                   grad_B = grad_log_det / B
                   grad_rho = c * grad_A + 2 * c * rho * grad_B
                   grad_z_0 = grad_z - grad_x
                   grad_log_alpha = -grad_rho * rho * (1 - rho)
                   grad_beta = -(rho * grad_A + rho ** 2 * grad_B) * q * exp(beta - c)
    adjoint of g:  n = (z - z_0) / r
                   grad_A = (z - z_0) @ grad_x + (m - 1) / A * grad_log_det
                   grad_B = grad_log_det / B
                   grad_rho = c * grad_A + 2 * c * rho * grad_B
                   grad_z = A * grad_x - grad_rho * rho / (alpha + r) * n
                   grad_z_0 = grad_x - grad_z
                   grad_log_alpha = grad_rho * rho * (1 - rho)
                   grad_beta = (rho * grad_A + rho ** 2 * grad_B) * q * exp(beta - c)

    where n points away from z_0, and c = beta_hat / alpha is above -1 whatever the parameters are.

    The paper writes the map that makes samples from noise, so it is our g. All of x - z_0 is A (z - z_0): J_g has the
    eigenvalue B along n, and A in the m - 1 directions across.

    Parameters
    ----------
    dim : int
        m.
    rng : None, int or Generator
        For z_0, drawn from N(0, I). log_alpha and beta start at zero: a new flow is the identity.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For dim < 1.

    Notes
    -----
    *The condition.* The distance R = abs(x - z_0) = r (1 + beta_hat / (alpha + r)) has dR/dr = B = 1 + c rho^2 with rho
    between 0 and 1: it is positive for every r if and only if c > -1, that is beta_hat > -alpha. The paper takes
    beta_hat = -alpha + log(1 + e^beta); ours is alpha times the same function, shifted as in `Planar`, so that beta = 0
    is the identity and A, B > 0.001.

    *One dimension.* f needs r, given R. R increases with r, R(0) = 0, and dR/dr lies between 1 and 1 + c: by the mean
    value theorem r lies between R / (1 + c) and R. No search is needed: times alpha + r the equation is the quadratic

        r^2 + p r - alpha R = 0,        p = alpha + beta_hat - R

    and -alpha R, the product of its roots, is negative: exactly one of them is positive. The code takes the form of it,
    2 alpha R / (p + sqrt(p^2 + 4 alpha R)) where p > 0, in which nothing cancels.

    *The adjoint of f* by the implicit function theorem, as in `Planar`: v solves J_g^T v + grad_log_det G n = grad_z,
    where G = d log_det_g / dr. J_g = A (I - n n^T) + B n n^T is inverted by dividing by its eigenvalues.

    At z = z_0 log_det has a kink; there n, and with it the gradient through r, counts as 0.

    References
    ----------
    Rezende, Mohamed: Variational Inference with Normalizing Flows, 2015, equation 14 and appendix A.2.

    Examples
    --------
    >>> flow = Radial(dim=2, rng=0)
    >>> flow.z_0, flow.beta = [0.0, 0.0], [3.0]
    >>> x, _ = flow.inverse(np.array([[3.0, 4.0]]))
    >>> x.round(4), flow.forward(x)[0].round(12)
    (array([[4.2847, 5.7129]]), array([[3., 4.]]))
    """

    def __init__(self, dim, rng=None, dtype=np.float64):
        dim = as_count(dim, "dim", minimum=1)
        z_0 = as_rng(rng).standard_normal(dim)
        super().__init__((dim,), dtype=dtype,
                         parameters={"z_0": z_0, "log_alpha": np.zeros(1), "beta": np.zeros(1)})

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: r from the quadratic; the class's notes derive the adjoint."""
        y = self.as_x(x) - self.z_0
        alpha, c = np.exp(self.log_alpha[0]), above_minus_one(self.beta[0])[0]
        R = length(y)
        p = alpha * (1 + c) - R
        root = np.sqrt(p ** 2 + 4 * alpha * R)
        r = np.where(p.real > 0, 2 * alpha * R / (np.where(p.real > 0, p, 0) + root), (root - p) / 2)
        rho, A, B, log_det = self._stretch(r, alpha, c)
        d = y / A[:, None]                                       # x - z_0 = A (z - z_0)

        def vjp(grad_z, grad_log_det, out=None):
            n = unit(d, r)
            G = -((len(self.z_0) - 1) / A + 2 * rho / B) * c * rho / (alpha + r)
            e = grad_z - (grad_log_det * G)[:, None] * n
            along = (n * e).sum(axis=1)[:, None] * n
            v = (e - along) / A[:, None] + along / B[:, None]    # J_g^T v = e
            _, grad_theta = self._pull(d, r, v, grad_log_det, out)
            return v, np.negative(grad_theta, out=grad_theta)

        return (self.z_0 + d, -log_det), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the closed formula."""
        d = self.as_z(z) - self.z_0
        alpha, c = np.exp(self.log_alpha[0]), above_minus_one(self.beta[0])[0]
        r = length(d)
        _, A, _, log_det = self._stretch(r, alpha, c)

        def vjp(grad_x, grad_log_det, out=None):
            return self._pull(d, r, grad_x, grad_log_det, out)

        return (self.z_0 + A[:, None] * d, log_det), vjp

    def _stretch(self, r, alpha, c):
        """``rho, A, B, log_det_g`` at the distance r."""
        rho = alpha / (alpha + r)
        A, B = 1 + c * rho, 1 + c * rho ** 2
        return rho, A, B, (len(self.z_0) - 1) * np.log(A) + np.log(B)

    def _pull(self, d, r, grad_x, grad_log_det, out):
        """g's adjoint: ``grad_z, grad_theta``."""
        grad_theta, grad = self.gradient(out)
        alpha, (c, slope) = np.exp(self.log_alpha[0]), above_minus_one(self.beta[0])
        rho, A, B, _ = self._stretch(r, alpha, c)
        grad_A = (grad_x * d).sum(axis=1) + grad_log_det * (len(self.z_0) - 1) / A    # x = z_0 + A d
        grad_B = grad_log_det / B
        grad_rho = c * grad_A + 2 * c * rho * grad_B             # A = 1 + c rho, B = 1 + c rho^2
        grad_r = -grad_rho * rho / (alpha + r)                   # drho/dr = -rho / (alpha + r)
        grad_z = A[:, None] * grad_x + grad_r[:, None] * unit(d, r)    # d = z - z_0, dr/dd = n
        grad["z_0"][...] = (grad_x - grad_z).sum(axis=0)
        grad["log_alpha"][...] = (grad_rho * rho * (1 - rho)).sum()    # drho/dlog_alpha = rho (1 - rho)
        grad["beta"][...] = (rho * grad_A + rho ** 2 * grad_B).sum() * slope    # dc/dbeta
        return grad_z, grad_theta

    def config(self):
        return {"dim": len(self.z_0)}


def length(d):
    """abs(d) of each row, ``(n,)``, as an analytic function: no complex conjugates."""
    return np.sqrt((d * d).sum(axis=1))


def unit(d, r):
    """d / r of each row, and 0 where r is 0."""
    return d / np.where(r == 0, 1, r)[:, None]
