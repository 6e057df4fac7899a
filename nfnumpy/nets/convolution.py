"""The arithmetic of convolutions and their adjoints, on images ``(n, height, width, channels)``.

A kernel is a list of taps, the offsets (dy, dx) at which it looks. `conv2d` is what the layer `Conv2d` calls.
"""
import math

import numpy as np

from nfnumpy.arrays import sum_rows
from nfnumpy.nets import winograd
from nfnumpy.nets.pixels import as_images, margins, pixels
from nfnumpy.workspace import workspace

# Channels below which an image is better copied channel by channel than pixel by pixel.
FEW = 8
# Pixels at a time, about, so that what is copied for a product stays in the processor's cache.
PIXELS = 1568


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
    As in all deep learning this is a correlation: the kernel is not turned. What sees h through t is seen through -t, so
    that the adjoint is a convolution again, with the turned kernel::

        out      = sum_t W_t^T h[i + dy_t, j + dx_t] + b
        dL/dh    = sum_t W_t dL/dout[i - dy_t, j - dx_t]
        dL/dW_t  = sum over pixels of h[i + dy_t, j + dx_t] dL/dout[i, j]^T

    `convolve` and `pull_weight` are these formulas as matrix products; for 3x3 kernels between many channels,
    `nfnumpy.nets.winograd` has the same with fewer.

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
    out = convolve(h, W, taps)
    add_to_pixels(out, b)

    def vjp(grad_out):
        turned = [(-dy, -dx) for dy, dx in reversed(taps)]       # out[p] sees h[p + tap]: h[p] is seen by out[p - tap]
        grad_h = convolve(grad_out, W[::-1].swapaxes(1, 2), turned)
        return grad_h, pull_weight(h, grad_out, taps), sum_rows(pixels(grad_out))

    return out, vjp


def convolve(h, W, taps):
    """sum_t W_t^T h[i + dy_t, j + dx_t], ``(n, height, width, c_out)``.

    One matrix product, and copies of the side with fewer channels, shifted once a tap. Either *gather*: put next to each
    other what the taps see of h, then multiply; or multiply each pixel by all W_t, then *scatter*: add every product up
    where its tap is seen from.
    """
    size, (n_taps, c_in, c_out) = h.shape[:3], W.shape
    if taps == [(0, 0)]:                                         # a 1x1 convolution: each pixel sees itself
        return as_images(pixels(h) @ W[0], *size)
    if winograd.applies(h, c_out, taps):
        return winograd.convolve(h, W)
    if c_in <= c_out:
        out = np.empty((math.prod(size), c_out), np.result_type(h, W))
        for some, seen in gather(h, taps):
            np.matmul(seen, W.reshape(n_taps * c_in, c_out), out=out[some])
        return as_images(out, *size)
    return scatter(W.swapaxes(1, 2).reshape(n_taps * c_out, c_in) @ pixels(h).T, size, taps)


def pull_weight(h, grad_out, taps):
    """dL/dW_t = sum over pixels of h[i + dy_t, j + dx_t] dL/dout[i, j]^T, ``(len(taps), c_in, c_out)``."""
    c_in, c_out = h.shape[3], grad_out.shape[3]
    if taps == [(0, 0)]:
        return (pixels(h).T @ pixels(grad_out))[None]
    if winograd.applies(h, c_out, taps):
        return winograd.pull_weight(h, grad_out)
    if c_in > c_out:                                             # the same sum, over h[i, j] dL/dout[i - dy_t, j - dx_t]^T
        return pull_weight(grad_out, h, [(-dy, -dx) for dy, dx in taps]).swapaxes(1, 2)
    grad = pixels(grad_out)
    return sum(seen.T @ grad[some] for some, seen in gather(h, taps)).reshape(len(taps), c_in, c_out)


def add_to_pixels(out, b):
    """out += b, for many places at once if channels are next to each other: NumPy is slow in short steps."""
    n, height, width, channels = out.shape
    places = out.transpose(1, 2, 0, 3)
    if places.flags.c_contiguous:
        places, b = places.reshape(height * width, n * channels), np.tile(b, n)
    places += b


def gather(h, taps):
    """What the taps see from every pixel, zeros outside the image: ``some, seen`` for a few rows of the images at a time.

    ``some`` is a slice of pixels and ``seen`` the matrix ``(pixels, len(taps) c)``, valid until the next one.

    >>> [(some, seen)] = gather(np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), [(0, -1), (0, 1)])
    >>> seen
    array([[0., 2.],
           [1., 3.],
           [2., 0.]])
    """
    (n, height, width, channels), (top, left) = h.shape, margins(taps)
    if channels < FEW:                                           # channel by channel: in memory the transposed matrix
        padded = np.zeros((channels, height + 2 * top, width + 2 * left, n), h.dtype)
        padded[:, top:top + height, left:left + width] = h.transpose(3, 1, 2, 0)
        seen = workspace((len(taps), channels, height, width, n), h.dtype)
        for t, (dy, dx) in enumerate(taps):
            seen[t] = padded[:, top + dy:top + dy + height, left + dx:left + dx + width]
        yield slice(None), seen.reshape(len(taps) * channels, height * width * n).T
        return
    padded = np.zeros((height + 2 * top, width + 2 * left, n, channels), h.dtype)
    padded[top:top + height, left:left + width] = h.transpose(1, 2, 0, 3)
    for rows, columns in pieces(n, height, width):
        size = rows.stop - rows.start, columns.stop - columns.start, n
        seen = workspace((*size, len(taps), channels), h.dtype)
        for t, (dy, dx) in enumerate(taps):
            seen[:, :, :, t] = padded[rows.start + top + dy:rows.stop + top + dy,
                                      columns.start + left + dx:columns.stop + left + dx]
        start = (rows.start * width + columns.start) * n
        yield slice(start, start + math.prod(size)), seen.reshape(math.prod(size), len(taps) * channels)


def pieces(n, height, width):
    """Slices of rows and of columns, some rows at a time, or some pixels of a row: about `PIXELS` pixels of n images.

    >>> [(rows.stop, columns.stop) for rows, columns in pieces(PIXELS // 64, 12, 8)]             # 8 rows, then the other 4
    [(8, 8), (12, 8)]
    >>> [(rows.stop, columns.stop) for rows, columns in pieces(PIXELS, 1, 3)]
    [(1, 1), (1, 2), (1, 3)]
    """
    columns = max(1, min(width, PIXELS // max(n, 1)))
    rows = max(1, PIXELS // max(n * width, 1))
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            yield slice(row, min(row + rows, height)), slice(column, min(column + columns, width))


def scatter(values, size, taps):
    """sum_t values[t] at [i + dy_t, j + dx_t]: ``(len(taps) c, height width n)`` to images ``(n, height, width, c)``.

    >>> scatter(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), (1, 1, 3), [(0, -1), (0, 1)]).ravel()
    array([20., 31.,  2.])
    """
    (n, height, width), (top, left) = size, margins(taps)
    values = values.reshape(len(taps), len(values) // len(taps), height, width, n)
    total = np.zeros((values.shape[1], height + 2 * top, width + 2 * left, n), values.dtype)
    for (dy, dx), value in zip(taps, values):
        total[:, top - dy:top - dy + height, left - dx:left - dx + width] += value
    return total[:, top:top + height, left:left + width].copy().transpose(3, 1, 2, 0)
