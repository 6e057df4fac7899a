"""From whole grey values to a density, and to bits.

Lecture 2, slides "Normalizing flows (NF)", the note on continuous variables, and "Glow samples". About 25 minutes.

Images hold whole grey values 0 .. K - 1, such as K = 256. A flow needs real numbers: noise makes them real, the logit
brings them from an interval to all of R. `images` and `x` are (n, height, width, c); D = height width c.
"""
import numpy as np


def grey_dequantize(images, noise, K):
    """Real numbers in [0, 1) from whole grey values, each grey value an interval of its own.

        x = (grey value + noise) / K

    Takes images of whole numbers 0 .. K - 1, noise of the same shape, uniform on [0, 1), and K. Returns x, of that
    shape.
    """
    raise NotImplementedError


def grey_logit(x, alpha):
    """The logit flow, elementwise, and log abs det of its Jacobian.

        p = alpha + (1 - 2 alpha) x
        z = log p - log(1 - p)

    Takes x (n, height, width, c) in [0, 1], and alpha between 0 and 1/2, which keeps z finite. Returns z of x's shape
    and log_det (n,), in nats.
    """
    raise NotImplementedError


def grey_bits_per_dim(log_p, shape, K):
    """Bits per dimension: how long a code for the images of whole grey values is, at most, for each of their numbers.

    For a density p of grey values with noise, log p is on average at most the log-probability of the image without it
    (Jensen's inequality), which bounds the code's length. Here p is that of x in [0, 1]: dividing D numbers by K
    changes a density, and nats are no bits.

    Takes log_p, log p(x) in nats, (n,); shape, (height, width, c) of an image; and K. Returns bits per dimension, (n,).
    """
    raise NotImplementedError
