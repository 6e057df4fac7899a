"""How images lie in memory while they go through a convolutional network, and how far a kernel sees.

Their axes are ``(n, height, width, channels)`` everywhere. In memory the pixels at one place, of all images, stand next to
each other: to move images by a row or a column is then to move long pieces of memory, and to a matrix product the pixels are
the rows of one long matrix. Many channels stand together, ``(height, width, n, channels)`` in memory; few channels, at the
ends of a network, have an image each, ``(channels, height, width, n)``. Functions here take and give views of either.
"""
import math

import numpy as np

from nfnumpy.arrays import as_count


def pixels(h):
    """Images as a matrix, a pixel a row: ``(n, height, width, c)`` to ``(height width n, c)``; no copy in those orders."""
    return h.transpose(1, 2, 0, 3).reshape(math.prod(h.shape[:3]), h.shape[3])


def as_images(matrix, n, height, width):
    """`pixels` backwards.

    >>> h = np.arange(12).reshape(2, 3, 2, 1)
    >>> bool((as_images(pixels(h), 2, 3, 2) == h).all())
    True
    """
    return matrix.reshape(height, width, n, matrix.shape[1]).transpose(2, 0, 1, 3)


def square_taps(kernel_size):
    """The taps of a square kernel, row after row, ``kernel_size`` odd: the output has the size of the input.

    >>> square_taps(3)
    [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]
    """
    if as_count(kernel_size, "kernel_size", minimum=1) % 2 == 0:
        raise ValueError(f"kernel_size: expected an odd number, got {kernel_size}")
    reach = kernel_size // 2
    return [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]


def margins(taps):
    """How far the taps reach, vertically and horizontally: the rows and columns of zeros to put around an image."""
    return tuple(max(abs(offset) for offset in offsets) for offsets in zip(*taps))
