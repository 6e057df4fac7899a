"""Partitions of a coupling layer: which coordinates condition, and which are transformed.

A partition has ``x1, x2 = split(x)``, where x1 is what the conditioner sees and x2 what the transformer moves; ``join``
puts them together again; ``restrict(params)`` leaves parameters only where the transformer may move something. All three
are linear, and each is its own adjoint's other half: the gradient of `join` is `split`, that of `split` is `join`, that of
`restrict` is `restrict`.
"""
import numpy as np


class Halves:
    """Splitting along the last axis: the first d = size // 2 entries condition the others, or with `swap` are conditioned.

    On vectors these are the slide's x = [x_{1:d}, x_{d+1:m}], on images ``(n, height, width, channels)`` the channelwise
    partition. With one entry x1 is empty, whichever way: one coordinate has no other half to swap with.

    Parameters
    ----------
    size : int
        Length of the last axis.
    swap : bool

    Examples
    --------
    >>> Halves(3).split(np.array([[1.0, 2.0, 3.0]]))
    (array([[1.]]), array([[2., 3.]]))
    >>> Halves(3, swap=True).split(np.array([[1.0, 2.0, 3.0]]))
    (array([[2., 3.]]), array([[1.]]))
    """

    def __init__(self, size, swap=False):
        self.swap = bool(swap) and size > 1
        first, second = slice(None, size // 2), slice(size // 2, None)
        self._conditioning, self._transformed = (second, first) if self.swap else (first, second)
        self.n_conditioning, self.n_transformed = (size - size // 2, size // 2) if self.swap else (size // 2, size - size // 2)

    def split(self, x):
        """``x1, x2``: views into x."""
        return x[..., self._conditioning], x[..., self._transformed]

    def join(self, x1, x2):
        """`split` backwards."""
        return np.concatenate([x2, x1] if self.swap else [x1, x2], axis=-1)

    def restrict(self, params):
        """All parameters belong to transformed coordinates."""
        return params


class Checkerboard:
    """Masking: the black pixels of a checkerboard condition the white ones, or with `swap` the other way round.

    ::

        black: (i + j) even,        x1 = mask * x,      x2 = (1 - mask) * x,        mask 1 on conditioning pixels

    Both parts have the size of the image, zeros elsewhere, so that convolutions can see x1; parameters are put to zero on
    conditioning pixels, where an affine transformer is then the identity with log-determinant 0. Any size, odd ones
    included.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``.
    swap : bool

    Examples
    --------
    >>> Checkerboard((2, 3, 1)).split(np.ones((1, 2, 3, 1)))[0][0, :, :, 0]
    array([[1., 0., 1.],
           [0., 1., 0.]])
    """

    def __init__(self, shape, swap=False):
        height, width, channels = shape
        self.swap = bool(swap)
        black = (np.arange(height)[:, None] + np.arange(width)) % 2 == 0
        self.mask = (black ^ self.swap)[:, :, None]              # bool: products keep the dtype of what is masked
        self.n_conditioning = self.n_transformed = channels

    def split(self, x):
        """``x1, x2``, both of the shape of x, each zero on the other's pixels."""
        return x * self.mask, x * ~self.mask

    def join(self, x1, x2):
        """x1 on the conditioning pixels, x2 on the others."""
        return np.where(self.mask, x1, x2)

    def restrict(self, params):
        """``(n, height, width, channels, k)`` parameters, zero on conditioning pixels."""
        return params * ~self.mask[..., None]
