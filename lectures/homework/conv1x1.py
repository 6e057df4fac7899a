"""The invertible 1x1 convolution.

Lecture 2, slide "Linear normalizing flows", Invertible 1x1 conv. About 35 minutes.

Images are (n, height, width, channels). At every pixel the same matrix W, (channels, channels), mixes the channels:

    z[i, j] = W x[i, j]         a pixel (i, j) of an image is a vector of `channels` numbers

The Jacobian is that of the whole image.
"""
import numpy as np


def conv1x1_forward(x, W):
    """The convolution, and log abs det of its Jacobian.

    Takes x (n, height, width, channels) and W (channels, channels), invertible. Returns z of the shape of x and log_det
    (n,), in nats.
    """
    raise NotImplementedError


def conv1x1_inverse(z, W):
    """The inverse map, and log abs det of *its* Jacobian.

    Takes z (n, height, width, channels) and W (channels, channels). Returns x of the shape of z and log_det (n,).
    """
    raise NotImplementedError


def conv1x1_vjp(x, W):
    """The convolution again, and how gradients flow back through it.

    Returns (z, log_det), vjp with z and log_det as before and a function

        grad_x, grad_W = vjp(grad_z, grad_log_det)

    which takes the gradients of a scalar loss with respect to z, of the shape of z, and log_det, (n,), and returns
    those with respect to x, of the shape of x, and W, (channels, channels).
    """
    raise NotImplementedError
