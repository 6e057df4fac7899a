"""Convolutions with their hand-written adjoints, on images ``(n, height, width, channels)``.

`conv2d` is the one place that does the arithmetic; a kernel is a list of taps, the offsets (dy, dx) at which it looks.
"""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.parametrized import Parametrized
from nfnumpy.workspace import workspace


def square_taps(kernel_size):
    """The taps of a square kernel, row after row, ``kernel_size`` odd: the output has the size of the input.

    >>> square_taps(3)
    [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]
    """
    if as_count(kernel_size, "kernel_size", minimum=1) % 2 == 0:
        raise ValueError(f"kernel_size: expected an odd number, got {kernel_size}")
    reach = kernel_size // 2
    return [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]


def conv2d(h, W, b, taps):
    """out[i, j] = b + sum_t W_t^T h[i + dy_t, j + dx_t], with zeros outside the image: ``out, vjp``.

    Parameters
    ----------
    h : array ``(n, height, width, c_in)``
    W : array ``(len(taps), c_in, c_out)``
        For `square_taps`, ``W.reshape(kernel_size, kernel_size, c_in, c_out)`` is the kernel as a picture.
    b : array ``(c_out,)``
    taps : list of (dy, dx)

    Returns
    -------
    out : array ``(n, height, width, c_out)``
    vjp : function
        ``vjp(grad_out) -> grad_h, grad_W, grad_b``

    Notes
    -----
    As in all deep learning this is a correlation: the kernel is not turned. Its cost is one matrix product, and copies of
    one side, shifted once a tap; the side with fewer channels is the cheaper one to copy. Either *gather*: put on top of
    each other what the taps see of h, then multiply; or multiply each pixel by all W_t, then *scatter*: add every product
    up where its tap is seen from. Each is the other's adjoint, and what sees through t is seen through -t::

        out    = W^T gather(h, taps)            or    scatter(W^T h, taps)
        dL/dh  = W gather(dL/dout, -taps)       or    scatter(W dL/dout, -taps)
        dL/dW  = gather(h, taps) dL/dout^T      or    h gather(dL/dout, -taps)^T

    In memory the channels come first and the images last, ``(channels, height, width, n)``, whatever the order of the
    axes that the caller sees: a shifted copy then runs along whole rows of all images, and a 1x1 convolution is a matrix
    product, a pixel a column.

    Examples
    --------
    >>> h = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1)
    >>> out, vjp = conv2d(h, np.array([2.0, 3.0]).reshape(2, 1, 1), np.zeros(1), [(0, -1), (0, 0)])
    >>> out.ravel()                                              # 2 times the left neighbour, 3 times the pixel itself
    array([  3.,  32., 320.])
    >>> grad_h, grad_W, grad_b = vjp(np.ones_like(out))
    >>> grad_h.ravel(), grad_W.ravel(), grad_b
    (array([5., 5., 3.]), array([ 11., 111.]), array([3.]))
    """
    n_taps, c_in, c_out = W.shape
    h = channels_first(h)
    pixels, shape = h.reshape(c_in, math.prod(h.shape[1:])), h.shape[1:]           # a pixel a column
    opposite = [(-dy, -dx) for dy, dx in taps]                   # out[p] sees h[p + tap]: h[p] is seen by out[p - tap]
    if c_in <= c_out:
        out = W.reshape(n_taps * c_in, c_out).T @ gather(h, taps)
    else:
        out = scatter(W.swapaxes(1, 2).reshape(n_taps * c_out, c_in) @ pixels, shape, taps)
    out += b[:, None]

    def vjp(grad_out):
        grad_out = channels_first(grad_out)
        grad = grad_out.reshape(c_out, pixels.shape[1])
        if c_out <= c_in:
            seen = gather(grad_out, opposite)                    # dL/dout[p - t], all t on top of each other
            grad_h = W.swapaxes(0, 1).reshape(c_in, n_taps * c_out) @ seen
            grad_W = (seen @ pixels.T).reshape(n_taps, c_out, c_in).swapaxes(1, 2)
        else:
            grad_h = scatter(W.reshape(n_taps * c_in, c_out) @ grad, shape, opposite)
            grad_W = (gather(h, taps) @ grad.T).reshape(W.shape)
        return channels_last(grad_h.reshape(h.shape)), grad_W, grad.sum(axis=1)

    return channels_last(out.reshape(c_out, *shape)), vjp


def channels_first(h):
    """``(n, height, width, c)`` as ``(c, height, width, n)``, and so in memory: a copy unless it is so already."""
    return np.ascontiguousarray(h.transpose(3, 1, 2, 0))


def channels_last(h):
    """``(c, height, width, n)`` as ``(n, height, width, c)``: a view, without a copy."""
    return h.transpose(3, 1, 2, 0)


def gather(h, taps):
    """What the taps see from every pixel, zeros outside the image: ``(len(taps) c, height width n)``, until the next call.

    >>> gather(np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), [(0, -1), (0, 1)])
    array([[0., 1., 2.],
           [2., 3., 0.]])
    """
    channels, height, width, n = h.shape
    if list(taps) == [(0, 0)]:
        return h.reshape(channels, height * width * n)           # a 1x1 convolution sees the pixel itself: no copies
    top, left = margins(taps)
    padded = np.zeros((channels, height + 2 * top, width + 2 * left, n), h.dtype)
    padded[:, top:top + height, left:left + width] = h
    seen = workspace((len(taps), channels, height, width, n), h.dtype)
    for t, (dy, dx) in enumerate(taps):
        seen[t] = padded[:, top + dy:top + dy + height, left + dx:left + dx + width]
    return seen.reshape(len(taps) * channels, height * width * n)


def scatter(values, shape, taps):
    """sum_t values[t][:, i + dy_t, j + dx_t]: ``(len(taps) c, height width n)`` to ``(c, height width n)``.

    >>> scatter(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), (1, 3, 1), [(0, -1), (0, 1)])
    array([[20., 31.,  2.]])
    """
    height, width, n = shape
    if list(taps) == [(0, 0)]:
        return values
    values = values.reshape(len(taps), len(values) // len(taps), height, width, n)
    top, left = margins(taps)
    total = np.zeros((values.shape[1], height + 2 * top, width + 2 * left, n), values.dtype)
    for (dy, dx), value in zip(taps, values):
        total[:, top - dy:top - dy + height, left - dx:left - dx + width] += value
    return total[:, top:top + height, left:left + width].reshape(len(total), height * width * n)


def margins(taps):
    """How far the taps reach, vertically and horizontally: the rows and columns of zeros to put around an image."""
    return tuple(max(abs(offset) for offset in offsets) for offsets in zip(*taps))


def padding(n, height, width, channels, taps, dtype):
    """``padded, inside``: images of zeros with the margin that the taps need, and the view of them without it."""
    top, left = margins(taps)
    padded = np.zeros((n, height + 2 * top, width + 2 * left, channels), dtype)
    return padded, padded[:, top:top + height, left:left + width]


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
