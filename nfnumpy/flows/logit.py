"""Logit: from a bounded interval, where grey values live, to all real numbers, where flows do."""
import math

import numpy as np

from nfnumpy.arrays import as_number, per_sample, sum_event
from nfnumpy.flow import Flow


class Logit(Flow):
    """z = logit(alpha + (1 - 2 alpha) x / grey_levels), elementwise, for x in [0, grey_levels].

    Formulas
    --------
    where:         slope = (1 - 2 * alpha) / grey_levels
    f:             p = alpha + slope * x
                   z = log(p / (1 - p))
    g:             p = 1 / (1 + exp(-z))
                   x = (p - alpha) / slope
    log abs det:   log_det = sum(log(slope) - log(p) - log(1 - p))
    adjoint of f:  grad_x = (grad_z - (1 - 2 * p) * grad_log_det) * slope / (p * (1 - p))
    adjoint of g:  grad_z = grad_x * p * (1 - p) / slope + (1 - 2 * p) * grad_log_det

    p is between alpha and 1 - alpha. alpha keeps p away from 0 and 1, so that z and the log-determinant are finite at
    both ends: abs z is at most log((1 - alpha) / alpha). Beyond that the inverse gives an x outside [0, K], K being
    grey_levels, down to -alpha K / (1 - 2 alpha): a flow puts some of its mass there.

    Parameters
    ----------
    shape : tuple of int
        Of one sample.
    alpha : float
        Between 0 and 1/2, both excluded.
    grey_levels : int or float
        K, the upper end of x. 1 for data on [0, 1]; for dequantized whole numbers 0 .. K - 1 their number.
    dtype : numpy dtype
        Of outputs; in a composition it follows the other flows.

    Raises
    ------
    ValueError
        For alpha or grey_levels outside their ranges; in `forward`, for x outside [0, grey_levels] by more than rounding,
        or, where `inverse` may have led there, outside the open interval on which p is in (0, 1).

    Notes
    -----
    Adjoints. dp/dx is the slope, call it p', and dp/dz = p (1 - p); log_det is that of the direction called::

        dz/dx = p' / (p (1 - p)),   d log_det / dx = -p' (1/p - 1/(1 - p)) = -p' (1 - 2 p) / (p (1 - p))    forward
        dx/dz = p (1 - p) / p',     d log_det / dz = d [log p + log(1 - p)] / dz = 1 - 2 p                  inverse

    References
    ----------
    Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, section 4.1.

    Examples
    --------
    >>> flow = Logit((1,), alpha=0.05, grey_levels=2)
    >>> z, log_det = flow.forward(np.array([[0.0], [1.0], [2.0]]))
    >>> z.ravel().round(4), log_det.round(4)                     # finite at both ends
    (array([-2.9444,  0.    ,  2.9444]), array([2.2485, 0.5878, 2.2485]))
    """

    jacobian = "diagonal"

    def __init__(self, shape, alpha=0.05, grey_levels=1, dtype=np.float64):
        as_number(grey_levels, "grey_levels", "a positive number", lambda number: number > 0)
        self.alpha = as_number(alpha, "alpha", "a number between 0 and 1/2", lambda number: 0 < number < 0.5)
        self.grey_levels = grey_levels.item() if isinstance(grey_levels, np.generic) else grey_levels
        self._slope = (1 - 2 * self.alpha) / self.grey_levels    # dp/dx, a Python number: it keeps float32 as it is
        super().__init__(shape, dtype=dtype)

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x = self.as_x(x)
        p = self.alpha + self._slope * x
        outside = ~((p.real > 0) & (p.real < 1))
        if outside.any():
            first = tuple(int(i) for i in np.argwhere(outside)[0])
            raise ValueError(f"x: expected values from 0 to {self.grey_levels}, got {int(outside.sum())} outside, the first "
                             f"{float(x[first].real)!r} at index {first}")
        log_p, log_q = np.log(p), np.log1p(-p)
        z = log_p - log_q                                        # z = log p - log(1 - p)
        log_det = sum_event(-log_p - log_q + math.log(self._slope))

        def vjp(grad_z, grad_log_det, out=None):
            pq = p * (1 - p)
            pull = grad_z - (1 - 2 * p) * per_sample(grad_log_det, z)  # d log_det / dx = -p' (1 - 2 p) / (p (1 - p))
            return pull * (self._slope / pq), self.gradient(out)[0]  # dz/dx = p' / (p (1 - p))

        return (z, log_det), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z = self.as_z(z)
        log_s, log_t = _log_sigmoid(z), _log_sigmoid(-z)         # s = sigmoid(z), t = 1 - s
        s, t = np.exp(log_s), np.exp(log_t)
        x = (s - self.alpha) / self._slope
        log_det = sum_event(log_s + log_t - math.log(self._slope))

        def vjp(grad_x, grad_log_det, out=None):
            grad_z = grad_x * (s * t / self._slope)              # dx/dz = s (1 - s) / p'
            return grad_z + (t - s) * per_sample(grad_log_det, z), self.gradient(out)[0]  # d log_det / dz = 1 - 2 s

        return (x, log_det), vjp

    def config(self):
        return {"shape": self.x_shape, "alpha": self.alpha, "grey_levels": self.grey_levels}


def _log_sigmoid(z):
    """log(1 / (1 + exp(-z))) without overflow: exp is taken of the number that is not positive."""
    positive = z.real > 0
    rest = np.log1p(np.exp(np.where(positive, -z, z)))
    return np.where(positive, -rest, z - rest)
