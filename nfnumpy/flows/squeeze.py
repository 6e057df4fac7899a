"""Squeeze: space into channels, so that channelwise partitions see neighbouring pixels."""
import numpy as np

from nfnumpy.flow import Flow
from nfnumpy.flows.conv1x1 import as_image_shape

ORDERS = ("pixel", "channel")


class Squeeze(Flow):
    """Every 2 x 2 block of pixels becomes one pixel: ``(height, width, c)`` to ``(height / 2, width / 2, 4 c)``.

    Formulas
    --------
    where:         channel = (2 * dy + dx) * c + k if order == "pixel" else 4 * k + 2 * dy + dx
    f:             z[i, j, channel] = x[2 * i + dy, 2 * j + dx, k]
    g:             x[2 * i + dy, 2 * j + dx, k] = z[i, j, channel]
    log abs det:   log_det = 0
    adjoint of f:  grad_x[2 * i + dy, 2 * j + dx, k] = grad_z[i, j, channel]
    adjoint of g:  grad_z[i, j, channel] = grad_x[2 * i + dy, 2 * j + dx, k]

    for all pixels (i, j) of z, channels k < c of x, and dy, dx in {0, 1}. A permutation of the numbers in an image.
    Order "pixel" is a plain reshape of the block, "channel" is PyTorch's pixel_unshuffle. The two differ for c > 1
    only; libraries with channels first use the second one.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``, height and width even.
    order : {"pixel", "channel"}
        Of the new channels.
    dtype : numpy dtype
        Of outputs; in a composition it follows the other flows.

    Raises
    ------
    ValueError
        For an odd height or width, or another order.

    References
    ----------
    Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, section 3.6.

    Examples
    --------
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> z, log_det = Squeeze((4, 4, 1)).forward(x)
    >>> z[0, 0, 1], log_det                                      # the block of rows 0 and 1, columns 2 and 3
    (array([2., 3., 6., 7.]), array([0.]))
    """

    jacobian = "permutation"

    def __init__(self, shape, order="pixel", dtype=np.float64):
        height, width, channels = as_image_shape(shape)
        if height % 2 or width % 2:
            raise ValueError(f"shape: expected an even height and width, to be cut into blocks of 2 x 2, got {tuple(shape)}")
        if order not in ORDERS:
            raise ValueError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
        self.order = order
        super().__init__((height, width, channels), (height // 2, width // 2, 4 * channels), dtype=dtype)

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x = self.as_x(x)

        def vjp(grad_z, grad_log_det, out=None):
            return self._unsqueeze(grad_z), self.gradient(out)[0]  # the adjoint of a permutation is its inverse

        return (self._squeeze(x), np.zeros(len(x), x.dtype)), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z = self.as_z(z)

        def vjp(grad_x, grad_log_det, out=None):
            return self._squeeze(grad_x), self.gradient(out)[0]

        return (self._unsqueeze(z), np.zeros(len(z), z.dtype)), vjp

    def _squeeze(self, x):
        height, width, channels = self.x_shape
        blocks = x.reshape(len(x), height // 2, 2, width // 2, 2, channels)          # i, dy, j, dx, k
        axes = (0, 1, 3, 2, 4, 5) if self.order == "pixel" else (0, 1, 3, 5, 2, 4)   # i, j, then the channel's order
        return blocks.transpose(axes).copy().reshape(len(x), *self.z_shape)

    def _unsqueeze(self, z):
        height, width, channels = self.x_shape
        if self.order == "pixel":
            blocks = z.reshape(len(z), height // 2, width // 2, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
        else:
            blocks = z.reshape(len(z), height // 2, width // 2, channels, 2, 2).transpose(0, 1, 4, 2, 5, 3)
        return blocks.copy().reshape(len(z), *self.x_shape)

    def config(self):
        return {"shape": self.x_shape, "order": self.order}
