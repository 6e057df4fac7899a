"""The monotone rational-quadratic spline as a transformer: flexible, with a closed-form inverse."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_number, per_sample, sum_event
from nfnumpy.flows.transformers import Transformer


class RationalQuadratic(Transformer):
    """z = S(x), one coordinate at a time: a monotone spline on [-bound, bound], the identity outside.

    Formulas
    --------
    where:         w = 2 * bound * (smallest + (1 - K * smallest) * softmax(a))
                   h = 2 * bound * (smallest + (1 - K * smallest) * softmax(b))
                   d = [1, *(smallest + softplus(c + c_0)), 1]
                   x_knot = [sum(w[:k]) - bound for k in range(K + 1)]
                   z_knot = [sum(h[:k]) - bound for k in range(K + 1)]
                   bin(y, knot) = max(k for k in range(K) if k == 0 or y >= knot[k])
                   by_softmax(a, grad) = softmax(a) * grad - softmax(a) * (softmax(a) @ grad)
    f:             k = bin(x, x_knot)
                   xi = (x - x_knot[k]) / w[k]
                   s, q = h[k] / w[k], xi * (1 - xi)
                   N, D = s * xi ** 2 + d[k] * q, s + (d[k + 1] + d[k] - 2 * s) * q
                   z = z_knot[k] + h[k] * N / D if abs(x) < bound else x
    g:             k = bin(z, z_knot)
                   s, y = h[k] / w[k], z - z_knot[k] if abs(z) < bound else 0
                   e = y * (d[k + 1] + d[k] - 2 * s)
                   A, B = h[k] * (s - d[k]) + e, h[k] * d[k] - e
                   xi = 2 * s * y / (B + (B ** 2 + 4 * A * s * y) ** 0.5)
                   x = x_knot[k] + w[k] * xi if abs(z) < bound else z
    log abs det:   k = bin(x, x_knot)
                   xi = (x - x_knot[k]) / w[k]
                   s, q = h[k] / w[k], xi * (1 - xi)
                   N, D = s * xi ** 2 + d[k] * q, s + (d[k + 1] + d[k] - 2 * s) * q
                   M = d[k + 1] * xi ** 2 + 2 * s * q + d[k] * (1 - xi) ** 2
                   log_det = log(s ** 2 * M / D ** 2) if abs(x) < bound else 0
    adjoint of f:  v, l = (grad_z, grad_log_det) if abs(x) < bound else (0, 0)
                   N_, D_, M_ = v * h[k] / D, -v * h[k] * N / D ** 2 - 2 * l / D, l / M
                   q_ = N_ * d[k] + D_ * (d[k + 1] + d[k] - 2 * s) + 2 * M_ * s
                   xi_ = 2 * N_ * s * xi + 2 * M_ * (d[k + 1] * xi - d[k] * (1 - xi)) + q_ * (1 - 2 * xi)
                   s_ = N_ * xi ** 2 + D_ * (1 - 2 * q) + 2 * M_ * q + 2 * l / s
                   grad_x = xi_ / w[k] if abs(x) < bound else grad_z
                   grad_w = [-(xi_ if i < k else (xi_ * xi + s_ * s) * (i == k)) / w[k] for i in range(K)]
                   grad_h = [v if i < k else (v * N / D + s_ / w[k]) * (i == k) for i in range(K)]
                   left, right = (N_ + D_) * q + M_ * (1 - xi) ** 2, D_ * q + M_ * xi ** 2
                   grad_d = [left * (i == k) + right * (i == k + 1) for i in range(1, K)]
                   grad_a = 2 * bound * (1 - K * smallest) * by_softmax(a, grad_w)
                   grad_b = 2 * bound * (1 - K * smallest) * by_softmax(b, grad_h)
                   grad_c = grad_d / (1 + exp(-c - c_0))
    adjoint of g:  slope = s ** 2 * M / D ** 2
                   bend = (d[k + 1] * xi - d[k] * (1 - xi)) / M
                   turn = (s / M - (d[k + 1] + d[k] - 2 * s) / D) * (1 - 2 * xi)
                   l_x = 2 * (bend + turn) / w[k]
                   grad_z = (grad_x - grad_log_det * l_x) / slope if abs(x) < bound else grad_x
                   v, l = (-grad_z, -grad_log_det) if abs(x) < bound else (0, 0)
                   N_, D_, M_ = v * h[k] / D, -v * h[k] * N / D ** 2 - 2 * l / D, l / M
                   q_ = N_ * d[k] + D_ * (d[k + 1] + d[k] - 2 * s) + 2 * M_ * s
                   xi_ = 2 * N_ * s * xi + 2 * M_ * (d[k + 1] * xi - d[k] * (1 - xi)) + q_ * (1 - 2 * xi)
                   s_ = N_ * xi ** 2 + D_ * (1 - 2 * q) + 2 * M_ * q + 2 * l / s
                   grad_w = [-(xi_ if i < k else (xi_ * xi + s_ * s) * (i == k)) / w[k] for i in range(K)]
                   grad_h = [v if i < k else (v * N / D + s_ / w[k]) * (i == k) for i in range(K)]
                   left, right = (N_ + D_) * q + M_ * (1 - xi) ** 2, D_ * q + M_ * xi ** 2
                   grad_d = [left * (i == k) + right * (i == k + 1) for i in range(1, K)]
                   grad_a = 2 * bound * (1 - K * smallest) * by_softmax(a, grad_w)
                   grad_b = 2 * bound * (1 - K * smallest) * by_softmax(b, grad_h)
                   grad_c = grad_d / (1 + exp(-c - c_0))

    for one coordinate: x and z are numbers. The knots (x_knot[k], z_knot[k]), from (-bound, -bound) to (bound, bound),
    cut both axes into K bins of widths w and heights h; S has the derivative d[k] at knot k, and 1 at both ends. In bin
    k xi goes from 0 to 1; N_ is short for grad_N, and so on. In the code D, M and N have the same names.

    ``params[..., :K]`` give a, ``[K:2K]`` b and ``[2K:]`` c. c_0 makes all parameters zero the identity. No bin is
    narrower than a thousandth of the interval and no derivative smaller than `smallest`, a thousandth, so that
    degenerate bins stay invertible.

    Parameters
    ----------
    bins : int
        K, at least 1.
    bound : float
        Where the tails begin, in units of x; data should be standardised.

    Raises
    ------
    ValueError
        For bins below 1 or above 500, or a bound that is not positive and finite.

    Notes
    -----
    The inverse solves, with y = z - z_k, the quadratic A xi^2 + B xi + C = 0::

        A = h (s - d_k) + y (d_{k+1} + d_k - 2 s),      B = h d_k - y (d_{k+1} + d_k - 2 s),        C = -s y
        xi = 2 C / (-B - sqrt(B^2 - 4 A C))

    the form of the root that stays exact when A is zero. Its adjoint is that of S at x: see `Transformer.inverse_at`.

    References
    ----------
    Durkan, Bekasov, Murray, Papamakarios: Neural Spline Flows, 2019. Gregory, Delbourgo 1982.

    Examples
    --------
    >>> spline = RationalQuadratic(bins=2, bound=1.0)
    >>> params = np.array([[[1.0, -1.0, 0.0, 0.0, 0.5]]])
    >>> (z, log_det), vjp = spline.forward_vjp(np.array([[0.3]]), params)
    >>> (x, _), _ = spline.inverse_vjp(z, params)
    >>> bool(abs(x[0, 0] - 0.3) < 1e-12), spline.n_params
    (True, 5)
    """

    smallest = 1e-3

    def __init__(self, bins=8, bound=4.0):
        self.bins = as_count(bins, "bins", minimum=1)
        if self.bins > 500:
            raise ValueError(f"bins: expected at most 500, got {bins}")
        self.bound = as_number(bound, "bound", "a positive finite number", lambda number: number > 0)
        self.n_params = 3 * self.bins - 1
        self.shift = math.log(math.expm1(1 - self.smallest))     # c_0: softplus(c_0) = 1 - m

    def config(self):
        return {"bins": self.bins, "bound": self.bound}

    def forward_vjp(self, x, params):
        """``(z, log_det), vjp`` with ``vjp(grad_z, grad_log_det) -> grad_x, grad_params``."""
        knots, knots_vjp = self._knots(params)
        inside = abs(x.real) < self.bound
        k = self._bin(x, knots["x"])
        x_k, z_k, w, h, d0, d1 = pick_bin(knots, k)
        xi = np.where(inside, (x - x_k) / w, 0.5)
        s, q = h / w, xi * (1 - xi)
        N, D = s * xi ** 2 + d0 * q, s + (d1 + d0 - 2 * s) * q
        M = d1 * xi ** 2 + 2 * s * q + d0 * (1 - xi) ** 2
        z = np.where(inside, z_k + h * N / D, x)
        log_slope = np.where(inside, 2 * np.log(s) + np.log(M) - 2 * np.log(D), 0)

        def vjp(grad_z, grad_log_det):
            grad = np.where(inside, grad_z, 0)
            grad_slope = inside * per_sample(grad_log_det, x)    # of log slope = 2 log s + log M - 2 log D
            grad_N = grad * h / D                                # dz/dN = h / D, from z = z_k + h N / D
            grad_D = -grad * h * N / D ** 2 - 2 * grad_slope / D  # dz/dD = -h N / D^2, dlog slope/dD = -2 / D
            grad_M = grad_slope / M                              # dlog slope/dM = 1 / M
            # dN/dq = d_k, dD/dq = d_{k+1} + d_k - 2 s, dM/dq = 2 s
            grad_q = grad_N * d0 + grad_D * (d1 + d0 - 2 * s) + grad_M * 2 * s
            # dN/dxi = 2 s xi, dM/dxi = 2 d_{k+1} xi - 2 d_k (1 - xi), dq/dxi = 1 - 2 xi
            grad_xi = grad_N * 2 * s * xi + grad_M * 2 * (d1 * xi - d0 * (1 - xi)) + grad_q * (1 - 2 * xi)
            # dN/ds = xi^2, dD/ds = 1 - 2 q, dM/ds = 2 q, dlog slope/ds = 2 / s
            grad_s = grad_N * xi ** 2 + grad_D * (1 - 2 * q) + grad_M * 2 * q + 2 * grad_slope / s
            # xi = (x - x_k) / w and s = h / w;
            # dN/dd_k = dD/dd_k = dD/dd_{k+1} = q, dM/dd_k = (1 - xi)^2, dM/dd_{k+1} = xi^2
            grad_params = knots_vjp(
                k, x=-grad_xi / w, z=grad, w=-(grad_xi * xi + grad_s * s) / w, h=grad * N / D + grad_s / w,
                d0=(grad_N + grad_D) * q + grad_M * (1 - xi) ** 2, d1=grad_D * q + grad_M * xi ** 2)
            return np.where(inside, grad_xi / w, grad_z), grad_params    # outside z = x

        return (z, sum_event(log_slope)), vjp

    def inverse_vjp(self, z, params):
        """``(x, log_det), vjp`` with ``vjp(grad_x, grad_log_det) -> grad_z, grad_params``: see the class's notes."""
        knots, _ = self._knots(params)
        inside = abs(z.real) < self.bound
        x_k, z_k, w, h, d0, d1 = pick_bin(knots, self._bin(z, knots["z"]))
        s, y = h / w, np.where(inside, z - z_k, 0.5 * h)
        A = h * (s - d0) + y * (d1 + d0 - 2 * s)
        B = h * d0 - y * (d1 + d0 - 2 * s)
        # xi = 2 C / (-B - sqrt(B^2 - 4 A C)) with C = -s y
        xi = 2 * s * y / (B + np.sqrt(B ** 2 + 4 * A * s * y))
        x = np.where(inside, x_k + w * xi, z)
        return self.inverse_at(x, params)

    def _bin(self, values, knots):
        """The bin of each value, 0 .. K - 1; outside the interval the first or the last one."""
        return (values.real[..., None] >= knots.real[..., 1:-1]).sum(axis=-1)

    def _knots(self, params):
        """Knots, widths, heights and derivatives of every coordinate, ``(n, ..., K or K + 1)`` each, and their vjp."""
        K, B = self.bins, self.bound
        scale = 2 * B * (1 - K * self.smallest)
        shares = [softmax(params[..., :K]), softmax(params[..., K:2 * K])]
        w, h = (2 * B * self.smallest + scale * share for share in shares)
        c = params[..., 2 * K:] + self.shift
        d = np.ones((*params.shape[:-1], K + 1), params.dtype)   # slope 1 at both ends, where the tails begin
        d[..., 1:-1] = self.smallest + softplus(c)
        knots = {"x": _cumulated(w, B), "z": _cumulated(h, B), "w": w, "h": h, "d": d}

        def vjp(k, x, z, w, h, d0, d1):
            """From the gradients of what one bin's formula used, to those of params."""
            bins = np.arange(K)
            here, before = bins == k[..., None], bins < k[..., None]   # x_k = -B + the widths of the bins before
            grad_params = np.empty(params.shape, np.result_type(z, params))
            for part, share, grad_knot, grad_bin in ((slice(K), shares[0], x, w), (slice(K, 2 * K), shares[1], z, h)):
                grad_share = scale * (here * grad_bin[..., None] + before * grad_knot[..., None])
                mean = (share * grad_share).sum(axis=-1, keepdims=True)
                grad_params[..., part] = share * (grad_share - mean)   # softmax: dp_i/da_j = p_i (1_{i=j} - p_j)
            inner = bins[1:]
            grad_d = (inner == k[..., None]) * d0[..., None] + (inner == k[..., None] + 1) * d1[..., None]
            grad_params[..., 2 * K:] = grad_d * np.exp(c - softplus(c))   # softplus' is the logistic function
            return grad_params

        return knots, vjp


def softmax(a):
    """exp(a_k) / sum_k exp(a_k) along the last axis.

    >>> softmax(np.array([0.0, np.log(3.0)]))
    array([0.25, 0.75])
    """
    e = np.exp(a - a.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softplus(a):
    """log(1 + exp(a)), without overflow.

    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    positive = np.where(a.real > 0, a, 0)
    return positive + np.log1p(np.exp(a - 2 * positive))


def _cumulated(sizes, bound):
    """Knots from -bound to bound, exactly, from the bins' sizes."""
    knots = np.empty((*sizes.shape[:-1], sizes.shape[-1] + 1), sizes.dtype)
    knots[..., 0], knots[..., -1] = -bound, bound
    knots[..., 1:-1] = np.cumsum(sizes, axis=-1)[..., :-1] - bound
    return knots


def pick_bin(knots, k):
    """What the formula of bin k uses, of every coordinate: x_k, z_k, w, h, d_k, d_{k+1}."""
    def pick(values, index):
        return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]

    return [pick(knots[name], k) for name in "xzwh"] + [pick(knots["d"], k), pick(knots["d"], k + 1)]
