"""Activation normalization: scale and shift of each channel, set once by data and then trained."""
import warnings

import numpy as np

from nfnumpy.arrays import as_batch, as_count, sum_rows
from nfnumpy.flow import Flow
from nfnumpy.flows.linear_map import sum_batch


class ActNorm(Flow):
    """z = (x - mu) / sigma with one mu and one sigma = exp(log_sigma) for each feature, or each channel of an image.

    Formulas
    --------
    where:         sigma = exp(log_sigma)
    f:             z = (x - mu) / sigma
    g:             x = sigma * z + mu
    log abs det:   log_det = -pixels * sum(log_sigma)
    adjoint of f:  grad_x = grad_z / sigma
                   grad_mu = -sum_pixels(grad_x)
                   grad_log_sigma = -sum_pixels(grad_z * z) - pixels * grad_log_det
    adjoint of g:  grad_z = sigma * grad_x
                   grad_mu = sum_pixels(grad_x)
                   grad_log_sigma = sum_pixels(grad_x * sigma * z) + pixels * grad_log_det

    where pixels is height * width for images and 1 for vectors. A new ActNorm is the identity. `initialize` sets mu and
    sigma to the mean and the standard deviation of a batch, explicitly and once; `forward` never does.

    Parameters
    ----------
    shape : tuple of int
        Of one sample: ``(m,)``, or ``(height, width, channels)``.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a shape without axes or with a size below 1.

    Notes
    -----
    With channels last, the adjoints are sums over everything but the last axis::

        dz/dx = 1 / sigma,      dz/dmu = -1 / sigma,    dz/dlog_sigma = -z,         dlog_det/dlog_sigma_c = -pixels
        dx/dz = sigma,          dx/dmu = 1,             dx/dlog_sigma = sigma z,    dlog_det/dlog_sigma_c = +pixels

    Domain: exp(log_sigma) neither overflows nor vanishes (up to about 700 in float64 and 87 in float32).

    References
    ----------
    Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018, section 3.1.

    Examples
    --------
    >>> flow = ActNorm((2,))
    >>> z = flow.initialize(np.array([[1.0, 5.0], [3.0, 9.0]]))
    >>> flow.mu, z
    (array([2., 7.]), array([[-1., -1.], [ 1.,  1.]]))
    """

    jacobian = "diagonal"

    def __init__(self, shape, dtype=np.float64):
        if not isinstance(shape, (tuple, list)) or not shape:
            raise ValueError(f"shape: expected (m,) or (height, width, channels), got {shape!r}")
        shape = tuple(as_count(size, "shape", minimum=1) for size in shape)
        super().__init__(shape, parameters={"mu": np.zeros(shape[-1]), "log_sigma": np.zeros(shape[-1])}, dtype=dtype)
        self.pixels = int(np.prod(shape[:-1], dtype=int))

    def initialize(self, x):
        """``z`` of the batch x, after setting mu and sigma so that every channel of z has mean 0 and variance 1.

        A constant channel has no scale: it keeps log_sigma 0, with a warning. Statistics of a single row would fit that
        row and nothing else: they are a ValueError.
        """
        x = as_batch(x, self.x_shape, self.dtype, finite=True, real=True)
        if len(x) < 2:
            raise ValueError(f"x: expected at least two rows to initialize from, got {len(x)}")
        values = x.reshape(-1, len(self.mu)).astype(np.float64)  # means of many float32 numbers lose digits
        sigma = values.std(axis=0)
        rounding = 8 * np.finfo(self.dtype).eps * np.abs(values).max(axis=0)  # what flows before this one leave
        constant = sigma <= rounding
        if constant.any():
            channels = np.flatnonzero(constant).tolist()
            warnings.warn(f"x: expected channels that vary, got constant ones at index {channels}; their log_sigma is "
                          "set to 0", UserWarning, stacklevel=2)
        self.mu = values.mean(axis=0)
        self.log_sigma = np.log(np.where(constant, 1, sigma))
        return self.forward(x)[0]

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x = self.as_x(x)
        inv_sigma = np.exp(-self.log_sigma)
        z = (x - self.mu) * inv_sigma                            # z = (x - mu) / sigma
        log_det = np.full(len(x), -self.pixels * self.log_sigma.sum(), z.dtype)

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad_x = grad_z * inv_sigma                          # dz/dx = 1 / sigma
            grad["mu"][...] = -sum_rows(grad_x)              # dz/dmu = -1 / sigma
            grad["log_sigma"][...] = -sum_rows(grad_z * z) - self.pixels * sum_batch(grad_log_det, z)
            return grad_x, grad_theta                            # dz/dlog_sigma = -z, dlog_det/dlog_sigma = -pixels

        return (z, log_det), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z = self.as_z(z)
        sigma = np.exp(self.log_sigma)
        noise = sigma * z
        x = noise + self.mu                                      # x = sigma z + mu
        log_det = np.full(len(z), self.pixels * self.log_sigma.sum(), x.dtype)

        def vjp(grad_x, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad["mu"][...] = sum_rows(grad_x)               # dx/dmu = 1
            grad["log_sigma"][...] = sum_rows(grad_x * noise) + self.pixels * sum_batch(grad_log_det, x)
            return grad_x * sigma, grad_theta                    # dx/dlog_sigma = sigma z, dx/dz = sigma

        return (x, log_det), vjp

    def config(self):
        return {"shape": self.x_shape}
