"""A coupling layer on a checkerboard.

Lecture 2, slide "RealNVP", the box "Image partitioning": checkerboard ordering uses masking. About 30 minutes.

Images are (n, height, width, c). A mask is (height, width) and holds 1 where a pixel conditions, 0 where it is
transformed; all channels of a pixel have its role.
"""
import numpy as np


def checkerboard_mask(height, width):
    """The mask of an image of any size, even or odd.

        mask[i, j] = 1 where i + j is even, else 0

    Takes two whole numbers. Returns an array (height, width).
    """
    raise NotImplementedError


def checkerboard_forward(x, mask, network):
    """The normalizing direction z = f(x), and log abs det of its Jacobian.

        z = x                                   where the mask is 1
        z = (x - mu) / sigma                    where it is 0,      sigma = exp(log_sigma)

    Takes x (n, height, width, c), the mask (height, width), which may be another one than that above, and the network:

        mu, log_sigma = network(x_1)            all of them (n, height, width, c)

    where x_1 holds the conditioning pixels of x, and zeros elsewhere. The network gives numbers for all pixels; only
    those of the transformed ones mean something. Returns z, (n, height, width, c), and log_det (n,), in nats.
    """
    raise NotImplementedError


def checkerboard_inverse(z, mask, network):
    """The sampling direction x = g(z), and log abs det of *its* Jacobian.

    Takes z (n, height, width, c), mask and network as above. Returns x (n, height, width, c) and log_det (n,), in nats.
    """
    raise NotImplementedError
