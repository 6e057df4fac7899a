"""The invertible 1x1 convolution of Glow: one linear flow for all pixels."""
import numpy as np

from nfnumpy.arrays import as_count
from nfnumpy.flow import Flow
from nfnumpy.flows.linear import ROTATED, linear_flow
from nfnumpy.flows.linear_map import LinearMap


class Conv1x1(Flow):
    """z[i, j] = W x[i, j] + b at every pixel (i, j): the channels of each pixel mixed by the same matrix.

    Formulas
    --------
    f:             for i, j in pixels: z[i, j] = W @ x[i, j] + b
    g:             for i, j in pixels: x[i, j] = solve(W, z[i, j] - b)
    log abs det:   log_det = height * width * log(abs(det(W)))
    adjoint of f:  for i, j in pixels: grad_x[i, j] = W.T @ grad_z[i, j]
                   grad_b = sum(grad_z[i, j] for i, j in pixels)
                   grad_W = sum(outer(grad_z[i, j], x[i, j]) for i, j in pixels)
                   grad_W += height * width * grad_log_det * inv(W).T
    adjoint of g:  for i, j in pixels: grad_z[i, j] = solve(W.T, grad_x[i, j])
                   grad_b = -sum(grad_z[i, j] for i, j in pixels)
                   grad_W = -sum(outer(grad_z[i, j], x[i, j]) for i, j in pixels)
                   grad_W -= height * width * grad_log_det * inv(W).T

    A decomposed W continues with the adjoints of its own linear flow, `PLU` or `QR`.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``; W is channels x channels, the images ``(n, height, width, channels)``.
    kind : {"plu", "qr", "dense"}
        How W is parametrized; it starts at a random rotation.
    rng : None, int or Generator
        For the rotation.
    dtype : numpy dtype
        float64 or float32.
    linear : LinearMap, optional
        Any linear flow on vectors of `channels` numbers, in place of `kind`, `rng` and `dtype`: for example one made from
        a given W. It must not be part of another flow.

    Raises
    ------
    ValueError
        For another shape or kind, or a `linear` for another number of channels.

    Notes
    -----
    Flatten an image to one vector, pixel after pixel. Its Jacobian is block diagonal with the block W once for each
    pixel, so that det J_f = (det W)^(height * width). In code a pixel is a sample of the linear flow on its channels::

        z.reshape(-1, channels), log_det of each pixel = linear.forward(x.reshape(-1, channels))
        log_det of an image = the sum over its pixels:      each of its pixels' log_det has the image's grad_log_det

    so that the adjoints of the linear flow, summed over its samples, are summed over pixels as well as images; that is
    where the factor height * width of the log-determinant's gradient comes from.

    References
    ----------
    Lecture 2, "Linear normalizing flows", Invertible 1x1 conv. Kingma, Dhariwal: Glow, 2018, section 3.2.

    Examples
    --------
    >>> from nfnumpy.flows.dense import Dense
    >>> flow = Conv1x1((4, 5, 2), linear=Dense(2, W=[[0.0, 3.0], [1.0, 0.0]]))
    >>> z, log_det = flow.forward(np.ones((1, 4, 5, 2)))
    >>> z[0, 0, 0], bool(np.isclose(log_det[0], 4 * 5 * np.log(3)))
    (array([3., 1.]), True)
    """

    jacobian = "block diagonal"

    def __init__(self, shape, kind="plu", rng=None, dtype=np.float64, linear=None):
        shape = as_image_shape(shape)
        if linear is None:
            if kind not in ROTATED:
                raise ValueError(f"kind: expected one of {', '.join(ROTATED)}, got {kind!r}")
            linear = linear_flow(shape[2], kind, rng, dtype)
        elif not isinstance(linear, LinearMap) or linear.x_shape != shape[2:]:
            raise ValueError(f"linear: expected a linear flow on {shape[2]} channels, got {linear!r}")
        super().__init__(shape, children={"linear": linear})

    @property
    def W(self):
        """The matrix that mixes the channels, ``(channels, channels)``."""
        return self.linear.W

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        return self._on_pixels(self.linear.forward_vjp, self.as_x(x))

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        return self._on_pixels(self.linear.inverse_vjp, self.as_z(z))

    def _on_pixels(self, transform_vjp, x):
        n, (height, width, channels) = len(x), self.x_shape
        (z, log_det), linear_vjp = transform_vjp(x.reshape(-1, channels))
        log_det = log_det.reshape(n, height * width).sum(axis=1)  # each pixel adds its log abs det W

        def vjp(grad_z, grad_log_det, out=None):
            grad_pixels = np.repeat(np.broadcast_to(grad_log_det, n), height * width)  # each pixel has its image's
            grad_x, grad_theta = linear_vjp(grad_z.reshape(-1, channels), grad_pixels, out)
            return grad_x.reshape(x.shape), grad_theta

        return (z.reshape(x.shape), log_det), vjp

    def config(self):
        return {"shape": self.x_shape, "linear": self.linear}


def as_image_shape(shape, name="shape"):
    """``(height, width, channels)`` as a tuple of whole numbers from 1 up, or a ValueError.

    >>> as_image_shape([8, 8, 1])
    (8, 8, 1)
    """
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise ValueError(f"{name}: expected (height, width, channels), got {shape!r}")
    return tuple(as_count(size, name, minimum=1) for size in shape)
