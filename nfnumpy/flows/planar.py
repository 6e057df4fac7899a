"""The planar flow of Rezende and Mohamed: noise is pushed along one direction, by a wall of tanh across another."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.flow import Flow
from nfnumpy.flows.increasing import above_minus_one, increasing_root


class Planar(Flow):
    """x = z + u_hat tanh(w . z + b): sampling in closed form, the density by a root in one dimension.

    Formulas
    --------
    where:         q = 1 - exp(-0.999)
                   c = log(1 - q + q * exp(w @ u))
                   u_hat = u + (c - w @ u) * w / (w @ w)
    f:             s = w @ x + b
                   a = s / (1 + c)
                   for _ in range(100): a = a - (a + c * tanh(a) - s) / (1 + c * (1 - tanh(a) ** 2))
                   z = x - u_hat * tanh(a)
    g:             x = z + u_hat * tanh(w @ z + b)
    log abs det:   D = 1 + c * (1 - tanh(w @ z + b) ** 2)
                   log_det = -log(D)
    adjoint of f:  h = tanh(w @ z + b)
                   grad_a = (1 - h ** 2) * (u_hat @ grad_z - 2 * c * h / D * grad_log_det) / D
                   grad_x = grad_z - grad_a * w
                   grad_b = -grad_a
                   k = (c - w @ u) / (w @ w)
                   grad_k = -h * w @ grad_x
                   grad_c = -grad_log_det * (1 - h ** 2) / D + grad_k / (w @ w)
                   grad_t = grad_c * q * exp(w @ u - c) - grad_k / (w @ w)
                   grad_u = -h * grad_x + grad_t * w
                   grad_w = -grad_a * z - h * k * grad_x + grad_t * u - 2 * grad_k * k / (w @ w) * w
    adjoint of g:  h = tanh(w @ z + b)
                   grad_a = (1 - h ** 2) * (u_hat @ grad_x - 2 * c * h / D * grad_log_det)
                   grad_z = grad_x + grad_a * w
                   grad_b = grad_a
                   k = (c - w @ u) / (w @ w)
                   grad_k = h * w @ grad_x
                   grad_c = grad_log_det * (1 - h ** 2) / D + grad_k / (w @ w)
                   grad_t = grad_c * q * exp(w @ u - c) - grad_k / (w @ w)
                   grad_u = h * grad_x + grad_t * w
                   grad_w = grad_a * z + h * k * grad_x + grad_t * u - 2 * grad_k * k / (w @ w) * w

    where c = w . u_hat is above -1 whatever the parameters are, which is what makes g invertible, and a = w . z + b.
    The paper calls u_hat's coefficient of w / (w . w) m(w . u) - w . u.

    The paper writes the map that makes samples from noise, so it is our g, and `inverse` is the cheap direction, made
    for `reverse_kl`. For fitting data, ``Inverse(Planar(...))`` has the closed formula as its f.

    Parameters
    ----------
    dim : int
        m.
    rng : None, int or Generator
        For w, drawn from N(0, 1 / m). u and b start at zero: a new flow is the identity.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For dim < 1.

    Notes
    -----
    *The condition.* By the matrix determinant lemma det J_g = 1 + c h', with h' = 1 - tanh^2 between 0 and 1. It is
    positive for every z if and only if c > -1. The paper takes m(t) = -1 + log(1 + e^t) for c. Ours is that function
    shifted both ways, so that c > -0.999 and m(0) = 0: then u = 0 is the identity, u_hat stays bounded as w goes
    to 0 (the paper's grows like 0.3 / abs w), and D >= 0.001 bounds what f does to rounding errors.
    At w = 0 (w . w below the smallest normal number) u_hat is u and c is w . u.

    *One dimension.* w . x + b = phi(a) with phi(a) = a + c tanh(a): given s = w . x + b, find a; then
    z = x - u_hat tanh(a).

    *Bracket.* phi(0) = 0, and phi' = 1 + c h' lies between 1 and 1 + c, both positive. By the mean value theorem
    s = phi(a) - phi(0) = phi'(xi) a for some xi, hence a = s / phi'(xi): the root lies between s / (1 + c) and s.
    phi increases, so there is exactly one.

    *Convergence.* Let s > 0; the case s < 0 is its mirror image, as phi is odd. For c >= 0 phi is concave on a > 0 and
    the start s / (1 + c) is left of the root; for c < 0 phi is convex there and the start is right of it. In both cases
    the tangent meets the height s between the iterate and the root: Newton's steps approach it from one side, and in
    the end quadratically. Rounding alone can lead out of the bracket; then `increasing_root` halves it.

    *Complex input*, by which tests differentiate. The root is found for the real parts; then one Newton step is taken
    with the numbers as they came. Its error is quadratic in the distance, and the distance is the imaginary part,
    1e-30: the step gives the derivative to rounding. For real input the same step is one more polish.

    *The adjoint of f* by the implicit function theorem, as in `GaussianAutoregressive`, f and g exchanged: solve
    ``vjp_g(v, w_l) = (grad_z, t)`` for v, with w_l = grad_log_det; then grad_x = v and grad_theta = -t. Here it reads
    v + grad_a w = grad_z with grad_a = h' (u_hat . v - 2 c h / D w_l). Multiplied by u_hat this is
    u_hat . v = u_hat . grad_z - c grad_a, so that grad_a = h' (u_hat . grad_z - 2 c h / D w_l) / (1 + c h').

    References
    ----------
    Rezende, Mohamed: Variational Inference with Normalizing Flows, 2015, equations 10 to 12 and appendix A.1.

    Examples
    --------
    >>> flow = Planar(dim=2, rng=0)
    >>> flow.u, flow.w = [-9.0, 0.0], [1.0, 0.5]
    >>> x, log_det = flow.inverse(np.array([[0.3, -0.2]]))
    >>> z, _ = flow.forward(x)
    >>> bool(abs(z - [[0.3, -0.2]]).max() < 1e-12), bool(flow.w @ flow.u_hat > -1)
    (True, True)
    """

    def __init__(self, dim, rng=None, dtype=np.float64):
        dim = as_count(dim, "dim", minimum=1)
        w = as_rng(rng).standard_normal(dim) / np.sqrt(dim)
        super().__init__((dim,), parameters={"u": np.zeros(dim), "w": w, "b": np.zeros(1)}, dtype=dtype)

    @property
    def u_hat(self):
        """The direction of the push, ``(m,)``: u, moved along w until w . u_hat > -1."""
        return self._push()[0][0]

    def _push(self):
        """``(u_hat, c), vjp`` with ``vjp(grad_u_hat, grad_c) -> grad_u, grad_w``."""
        u, w = self.u, self.w
        t, square = w @ u, w @ w
        if square.real < np.finfo(square.dtype).tiny:            # no direction to move u along, and no need: c = t = 0
            return (u, t), lambda grad_u_hat, grad_c: (grad_u_hat + grad_c * w, grad_c * u)
        c, slope = above_minus_one(t)
        k = (c - t) / square

        def vjp(grad_u_hat, grad_c):
            grad_k = w @ grad_u_hat                              # u_hat = u + k w
            grad_t = grad_c * slope + grad_k * (slope - 1) / square    # c = c(t), k = (c(t) - t) / w . w
            grad_square = -grad_k * k / square
            return grad_u_hat + grad_t * w, k * grad_u_hat + grad_t * u + 2 * grad_square * w

        return (u + k * w, c), vjp

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: a from phi(a) = w . x + b; the class's notes derive the adjoint."""
        x = self.as_x(x)
        (u_hat, c), push_vjp = self._push()
        h = np.tanh(self._root(x @ self.w + self.b, c))
        z, slope = x - h[:, None] * u_hat, 1 - h ** 2
        D = 1 + c * slope

        def vjp(grad_z, grad_log_det, out=None):
            grad_a = slope * (grad_z @ u_hat - 2 * c * h / D * grad_log_det) / D
            v = grad_z - grad_a[:, None] * self.w                # J_g^T v + grad_log_det dlog_det_g/dz = grad_z
            grad_theta = self._pull(z, h, v, grad_a, grad_log_det * slope / D, push_vjp, out)
            return v, np.negative(grad_theta, out=grad_theta)

        return (z, -np.log(D)), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``: the closed formula."""
        z = self.as_z(z)
        (u_hat, c), push_vjp = self._push()
        h = np.tanh(z @ self.w + self.b)
        slope = 1 - h ** 2                                       # tanh' = 1 - tanh^2
        D = 1 + c * slope

        def vjp(grad_x, grad_log_det, out=None):
            grad_a = slope * (grad_x @ u_hat - 2 * c * h / D * grad_log_det)    # dD/dh = -2 c h
            grad_theta = self._pull(z, h, grad_x, grad_a, grad_log_det * slope / D, push_vjp, out)
            return grad_x + grad_a[:, None] * self.w, grad_theta                # da/dz = w

        return (z + h[:, None] * u_hat, np.log(D)), vjp

    def _pull(self, z, h, grad_x, grad_a, grad_c, push_vjp, out):
        """g's grad_theta: from a = w . z + b, x = z + h u_hat and D = 1 + c h', where grad_c has one entry a sample."""
        grad_theta, grad = self.gradient(out)
        grad["b"][...] = grad_a.sum()                            # da/db = 1
        grad["u"][...], grad["w"][...] = push_vjp(h @ grad_x, grad_c.sum())     # dx/du_hat = h
        grad["w"] += grad_a @ z                                  # da/dw = z
        return grad_theta

    def _root(self, s, c):
        """The a with a + c tanh(a) = s, ``(n,)``: see the class's notes."""
        def phi(a, c):
            h = np.tanh(a)
            return a + c * h, 1 + c * (1 - h ** 2), np.abs(a) + np.abs(c * h)

        near, far = s.real / (1 + c.real), s.real
        a = increasing_root(lambda a: phi(a, c.real), far, np.minimum(near, far), np.maximum(near, far), near)
        value, slope, _ = phi(a, c)
        return a - (value - s) / slope

    def config(self):
        return {"dim": len(self.w)}
