"""Convolutions as layers of networks, on images ``(n, height, width, channels)``."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.nets.convolution import conv2d
from nfnumpy.nets.pixels import margins, square_taps
from nfnumpy.parametrized import Parametrized


class Conv2d(Parametrized):
    """A convolution as a layer: out[i, j] = b + sum_t W_t^T h[i + dy_t, j + dx_t].

    Formulas
    --------
    forward:       for i, j in pixels:
                       out[i, j] = sum(W[t].T @ h[i + dy, j + dx] for t, (dy, dx) in enumerate(taps)) + b
    adjoint:       for i, j in pixels:
                       grad_h[i, j] = sum(W[t] @ grad_out[i - dy, j - dx] for t, (dy, dx) in enumerate(taps))
                   for t, (dy, dx) in enumerate(taps):
                       grad_W[t] = sum(outer(h[i + dy, j + dx], grad_out[i, j]) for i, j in pixels)
                   grad_b = sum(grad_out[i, j] for i, j in pixels)

    Outside the image h and grad_out are 0.

    Parameters
    ----------
    c_in, c_out : int
        Channels below and above.
    taps : int or list of (dy, dx)
        The size of a square kernel, odd, or the offsets at which the kernel looks. A masked convolution is one with
        fewer taps: what the mask would put to zero is not stored.
    gain : float
        W is drawn from N(0, gain / (len(taps) c_in)): 2 keeps the size of what a ReLU passes on, 0 starts at zero.
    rng : None, int or Generator
    dtype : numpy dtype

    Raises
    ------
    ValueError
        For a number of channels below 1, no taps, or an even kernel size.

    Examples
    --------
    >>> conv = Conv2d(2, 5, 3, rng=0)
    >>> out, vjp = conv.vjp(np.ones((4, 8, 6, 2)))
    >>> grad_h, grad_theta = vjp(np.ones_like(out))
    >>> out.shape, grad_h.shape, conv.W.shape
    ((4, 8, 6, 5), (4, 8, 6, 2), (9, 2, 5))
    """

    forgets_output = True                                        # the adjoint does not need it

    def __init__(self, c_in, c_out, taps=3, gain=2.0, rng=None, dtype=np.float64):
        self.taps = [tuple(map(int, tap)) for tap in (taps if np.iterable(taps) else square_taps(taps))]
        if not self.taps:
            raise ValueError("taps: expected at least one offset (dy, dx), got none")
        c_in, c_out = as_count(c_in, "c_in", minimum=1), as_count(c_out, "c_out", minimum=1)
        W = as_rng(rng).standard_normal((len(self.taps), c_in, c_out)) * math.sqrt(gain / (len(self.taps) * c_in))
        super().__init__({"W": W, "b": np.zeros(c_out)}, dtype=dtype)

    def vjp(self, h):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_h, grad_theta``; see `conv2d`."""
        out, conv_vjp = conv2d(h, self.W, self.b, self.taps)

        def vjp(grad_out, out=None):
            grad_theta, grad = self.gradient(out)
            grad_h, grad["W"][...], grad["b"][...] = conv_vjp(grad_out)
            return grad_h, grad_theta

        return out, vjp

    def at(self, padded, i, j):
        """The output at the one pixel (i, j), ``(n, c_out)``, of images that already have their margin (`padding`)."""
        top, left = margins(self.taps)
        seen = [padded[:, top + i + dy, left + j + dx] for dy, dx in self.taps]
        return np.concatenate(seen, axis=1) @ self.W.reshape(-1, len(self.b)) + self.b

    def config(self):
        return {"c_in": self.W.shape[1], "c_out": self.W.shape[2], "taps": self.taps}


def padding(n, height, width, channels, taps, dtype):
    """``padded, inside``: images of zeros with the margin that the taps need, and the view of them without it."""
    top, left = margins(taps)
    padded = np.zeros((n, height + 2 * top, width + 2 * left, channels), dtype)
    return padded, padded[:, top:top + height, left:left + width]
