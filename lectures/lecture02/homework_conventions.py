"""From the course's homework to nfnumpy and back: the affine map's parameters, layouts, the order of a squeeze.

The homework writes a coupling layer z_2 = x_2 exp(scale) + shift on images ``(n, channels, height, width)``; the slides and
nfnumpy write z_2 = (x_2 - mu) / sigma, here on images ``(n, height, width, channels)``. The page `homework_conventions.md`
says what follows from that; every function here has its way back beside it.
"""
import numpy as np

import nfnumpy as nf


def mu_and_log_sigma(scale, shift):
    """The slide's parameters of the homework's map x exp(scale) + shift.

    ::

        x exp(scale) + shift = (x - mu) / sigma   for all x:      log sigma = -scale,    mu = -shift exp(-scale)

    >>> mu_and_log_sigma(np.log([2.0]), np.array([-6.0]))        # z = 2 x - 6 = (x - 3) / 0.5
    (array([3.]), array([-0.69314718]))
    """
    return -shift * np.exp(-scale), -scale


def scale_and_shift(mu, log_sigma):
    """`mu_and_log_sigma` backwards.

    ::

        scale = -log sigma,     shift = -mu exp(-log sigma)

    >>> scale_and_shift(np.array([3.0]), np.log([0.5]))
    (array([0.69314718]), array([-6.]))
    """
    return -log_sigma, -mu * np.exp(-log_sigma)


def affine_params(scale, shift):
    """The parameters ``(..., 2)`` with which `nfnumpy.Affine` is the homework's map: mu, and r before its soft bound.

    log sigma = 5 tanh(r / 5) is never beyond 5, so that a scale of 5 or more has no r: a ValueError.

    >>> (z, log_det), _ = nf.Affine().forward_vjp(np.array([[5.0]]), affine_params(np.log([[2.0]]), np.array([[-6.0]])))
    >>> z.round(12), log_det.round(12)
    (array([[4.]]), array([0.69314718]))
    """
    mu, log_sigma = mu_and_log_sigma(scale, shift)
    bound = nf.Affine.bound
    largest = np.abs(log_sigma).max(initial=0.0)
    if largest >= bound:
        raise ValueError(f"scale: expected absolute values below {bound:g}, the bound of log sigma, got {largest:g}")
    return np.stack([mu, bound * np.arctanh(log_sigma / bound)], axis=-1)


def channels_last(x):
    """``(n, channels, height, width)`` to ``(n, height, width, channels)``: a view.

    >>> channels_last(np.zeros((5, 3, 8, 6))).shape
    (5, 8, 6, 3)
    """
    return np.moveaxis(x, 1, -1)


def channels_first(x):
    """`channels_last` backwards.

    >>> channels_first(np.zeros((5, 8, 6, 3))).shape
    (5, 3, 8, 6)
    """
    return np.moveaxis(x, -1, 1)


def squeezed_channels(channels):
    """Where the channels of a squeezed image come from: ``ours[..., i] = theirs[..., squeezed_channels(channels)[i]]``.

    Ours is the order "pixel" of `Squeeze`, whose channel (2 dy + dx) channels + k is the homework's 4 k + 2 dy + dx. With
    one channel they are the same.

    >>> squeezed_channels(1), squeezed_channels(2)
    (array([0, 1, 2, 3]), array([0, 4, 1, 5, 2, 6, 3, 7]))
    """
    return np.arange(4 * channels).reshape(channels, 4).T.ravel()


def kernel(weight):
    """A convolution's weights ``(c_out, c_in, height, width)`` as the W ``(taps, c_in, c_out)`` of `nfnumpy.nets.cnn.Conv2d`.

    Both are correlations, neither turns the kernel; height and width are odd and equal, as in `square_taps`.

    >>> kernel(np.zeros((7, 2, 3, 3))).shape
    (9, 2, 7)
    """
    c_out, c_in, height, width = weight.shape
    return weight.transpose(2, 3, 1, 0).reshape(height * width, c_in, c_out)
