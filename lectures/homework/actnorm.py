"""Activation normalization, which takes its first parameters from data.

Lecture 2, slide "Jacobian structure", case 2; Kingma and Dhariwal, Glow, 2018, section 3.1. About 25 minutes.

The last axis of x holds the channels: x is (n, m), m channels, or images (n, height, width, channels). Each channel has
one mu and one log_sigma, at every pixel the same:

    z = (x - mu) / sigma,       sigma = exp(log_sigma)
"""
import numpy as np


def actnorm_initialize(x):
    """The parameters for a first batch: every channel of z has mean 0 and variance 1 over all samples and pixels of x.

    The variance is the mean of the squared distances from the mean. Takes x (n, m) or (n, height, width, channels), of
    which every channel varies. Returns mu and log_sigma, (channels,) each.
    """
    raise NotImplementedError


def actnorm_forward(x, mu, log_sigma):
    """z for any batch and any parameters, and log abs det of its Jacobian.

    Takes x (n, m) or (n, height, width, channels), mu and log_sigma (channels,). Returns z of the shape of x, and
    log_det (n,), in nats: of one sample, with all its pixels.
    """
    raise NotImplementedError
