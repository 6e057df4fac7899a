"""Squeeze: space into channels.

Lecture 2, slide "RealNVP", the box "Image partitioning": a channelwise coupling needs channels. About 15 minutes.

Images are (n, height, width, c), height and width even. Every block of 2 x 2 pixels becomes one pixel
with 4 c channels.
"""
import numpy as np


def squeeze_forward(x):
    """Blocks of 2 x 2 pixels into channels, and log abs det of the Jacobian.

        z[i, j, (2 dy + dx) c + k] = x[2 i + dy, 2 j + dx, k]          dy, dx in {0, 1},     k = 0 .. c - 1

    for each image: first the c channels of the block's upper left pixel, then those of its upper right, lower left and
    lower right one. Takes x (n, height, width, c). Returns z (n, height / 2, width / 2, 4 c) and log_det (n,), in nats.
    """
    raise NotImplementedError


def squeeze_inverse(z):
    """The other way, and log abs det of its Jacobian.

    Takes z (n, height / 2, width / 2, 4 c). Returns x (n, height, width, c) and log_det (n,), in nats.
    """
    raise NotImplementedError
