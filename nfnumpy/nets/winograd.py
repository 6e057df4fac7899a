"""3x3 convolutions with a third of the products left out: Winograd's F(2, 3) down the columns, and its adjoint.

Two rows of outputs y see four rows of inputs d through the three rows of a kernel w, six products::

    y_0 = w_0 d_0 + w_1 d_1 + w_2 d_2
    y_1 = w_0 d_1 + w_1 d_2 + w_2 d_3

The same two rows from four products::

    m_0 = w_0 (d_0 - d_2)                    m_1 = (w_0 + w_1 + w_2)/2 (d_1 + d_2)
    m_3 = w_2 (d_1 - d_3)                    m_2 = (w_0 - w_1 + w_2)/2 (d_2 - d_1)
    y_0 = m_0 + m_1 + m_2                    y_1 = m_1 - m_2 - m_3

or y = A^T m, m_k = u_k v_k, u = G w, v = B^T d with three small matrices of 0, 1, -1 and 1/2. In a network w_i is the
matrix of a kernel's row, from three pixels side by side to c_out channels, and m_k = u_k^T v_k a matrix product at each
pixel: the sums around it are small change. The algorithm is linear in w for fixed d and in d for fixed w, so that its
adjoints are the transposed matrices in the opposite order::

    dL/dm = A dL/dy         dL/du_k = sum over pixels of v_k dL/dm_k^T          dL/dw = G^T dL/du

This is a fast path behind `nfnumpy.nets.convolution`; tests compare it with the plain sum over taps.

References
----------
Winograd: Arithmetic complexity of computations, 1980. Lavin, Gray: Fast algorithms for convolutional neural networks, 2016.
"""
import numpy as np

from nfnumpy.nets.pixels import square_taps
from nfnumpy.workspace import workspace

TAPS = square_taps(3)
# Channels at least, on both sides: with fewer, the sums cost more than the products that they save.
CHANNELS = 8
# Height and width at least: at this size the margins cost half of what is gained.
SIZE = 8
# Rows of a matrix product, so that what it reads and writes stays in the processor's cache.
BLOCK = 64


def applies(h, c_out, taps):
    """Whether this is a 3x3 convolution with enough channels to gain from it, on images that lose little in the margins."""
    _, height, width, c_in = h.shape
    return taps == TAPS and min(c_in, c_out) >= CHANNELS and min(height, width) >= SIZE


def convolve(h, W):
    """The convolution of h ``(n, height, width, c_in)`` with W ``(9, c_in, c_out)``: ``(n, height, width, c_out)``."""
    (n, height, width, _), c_out, pairs = h.shape, W.shape[2], (h.shape[1] + 1) // 2
    u, v = of_kernel(W), of_input(h)
    m = np.empty((4, v.shape[1] - 2, c_out), np.result_type(u, v))
    for first, threes in enumerate(side_by_side(v, 3)):
        np.matmul(in_blocks(threes), u[:, None], out=in_blocks(m[:, first::3]))                  # m_k = u_k^T v_k
    y = np.empty((2, *m.shape[1:]), m.dtype)
    np.add(m[1], m[2], out=y[0])
    np.subtract(m[1], m[2], out=y[1])
    y[0] += m[0]
    y[1] -= m[3]                                                 # y = A^T m
    out = np.empty((height, width, n, c_out), m.dtype).transpose(2, 0, 1, 3)
    rows = images(y, n, pairs, width)
    out[:, 0::2], out[:, 1::2] = rows[0, :, :, :width], rows[1, :, :height // 2, :width]
    return out


def pull_weight(h, grad_out):
    """dL/dW ``(9, c_in, c_out)``, from h and dL/dout, ``(n, height, width, c)`` each."""
    (n, height, width, c_out), pairs = grad_out.shape, (h.shape[1] + 1) // 2
    v = of_input(h)
    grad_m = np.zeros((4, v.shape[1] - 2, c_out), grad_out.dtype)
    rows = images(grad_m, n, pairs, width)
    rows[0, :, :, :width] = grad_out[:, 0::2]                    # dL/dy_0
    rows[3, :, :height // 2, :width] = grad_out[:, 1::2]         # dL/dy_1: its sign is put right below
    np.add(grad_m[0], grad_m[3], out=grad_m[1])
    np.subtract(grad_m[0], grad_m[3], out=grad_m[2])             # dL/dm = A dL/dy
    u_0, u_1, u_2, u_3 = sum((in_blocks(threes).swapaxes(2, 3) @ in_blocks(grad_m[:, first::3])).sum(axis=1)
                             for first, threes in enumerate(side_by_side(v, 3)))
    half = (u_1 + u_2) / 2
    return np.stack([u_0 + half, (u_1 - u_2) / 2, half - u_3]).reshape(9, h.shape[3], c_out)     # G^T dL/du


def of_kernel(W):
    """u = G w: W ``(9, c_in, c_out)`` to ``(4, 3 c_in, c_out)``."""
    w_0, w_1, w_2 = W.reshape(3, 3 * W.shape[1], W.shape[2])
    outer = w_0 + w_2
    return np.stack([w_0, (outer + w_1) / 2, (outer - w_1) / 2, w_2])


def of_input(h):
    """v = B^T d: ``(4, pixels, c)``, until the next call, pixel after pixel of every second row with its margins.

    The pixels are filled up with zeros to a number for `in_blocks`, and two more, so that from each pixel three can be seen.
    """
    n, height, width, channels = h.shape
    pairs = (height + 1) // 2
    rows = np.zeros((2, n, pairs + 1, width + 2, channels), h.dtype)
    rows[0, :, 1:1 + height // 2, 1:-1] = h[:, 1::2]             # the rows -1, 1, 3, ...
    rows[1, :, :pairs, 1:-1] = h[:, 0::2]                        # the rows 0, 2, 4, ...
    (d_0, d_2), (d_1, d_3) = ((plane[:, :-1], plane[:, 1:]) for plane in rows)
    size = n * pairs * (width + 2)
    v = workspace((4, -(-size // (3 * BLOCK)) * 3 * BLOCK + 2, channels), h.dtype)
    v[:, size:] = 0
    v_0, v_1, v_2, v_3 = images(v, n, pairs, width)
    np.subtract(d_0, d_2, out=v_0)
    np.add(d_1, d_2, out=v_1)
    np.subtract(d_2, d_1, out=v_2)
    np.subtract(d_1, d_3, out=v_3)
    return v


def images(values, n, pairs, width):
    """``(k, pixels and more, c)`` as every second row of images with margins, ``(k, n, pairs, width + 2, c)``: a view."""
    return values[:, :n * pairs * (width + 2)].reshape(len(values), n, pairs, width + 2, values.shape[2])


def in_blocks(values):
    """``(4, pixels, c)`` as ``(4, pixels / BLOCK, BLOCK, c)``: a view."""
    return values.reshape(4, values.shape[1] // BLOCK, BLOCK, values.shape[2])


def side_by_side(h, size):
    """Each pixel beside the next ``size - 1``, ``(..., pixels, c)`` to ``(..., about pixels / size, size c)``, as views.

    Neighbours stand in memory one after the other already: for the pixels first, first + size, first + 2 size, ... they are
    there by reshaping alone. This yields that for first = 0 .. size - 1, as far as there are neighbours.

    >>> list(side_by_side(np.array([[1], [2], [3], [4], [5]]), 2))
    [array([[1, 2],
           [3, 4]]), array([[2, 3],
           [4, 5]])]
    """
    for first in range(size):
        count = max(0, h.shape[-2] - first) // size
        yield h[..., first:first + count * size, :].reshape(*h.shape[:-2], count, size * h.shape[-1])
