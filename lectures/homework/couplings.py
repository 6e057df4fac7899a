"""RealNVP: two affine coupling layers that take turns.

Lecture 2, slide "RealNVP". About 60 minutes.

One row of x is one sample, x is (n, m). Its first d = m // 2 coordinates are x_1, the others x_2; m may be odd.
The first layer moves x_2 as x_1 tells it to. In the second layer they change their roles: what x_2 has become tells x_1
how to move. The networks are given, as functions:

    mu, log_sigma = first(x_1)            takes (n, d), gives two arrays (n, m - d)
    mu, log_sigma = second(h_2)           takes (n, m - d), gives two arrays (n, d)

Try your functions with networks of your own, such as, for m = 2,

    def first(x_1):
        return np.sin(x_1), np.tanh(x_1)
"""
import numpy as np


def couplings_forward(x, first, second):
    """The normalizing direction z = f(x) through both layers, and log abs det of its Jacobian.

        h_1 = x_1                                        h_2 = (x_2 - mu(x_1)) / sigma(x_1)
        z_1 = (h_1 - mu(h_2)) / sigma(h_2)               z_2 = h_2

    with mu and sigma = exp(log_sigma) of `first` in the upper line, of `second` in the lower one. Takes x (n, m) and
    the networks. Returns z (n, m), z_1 and z_2 in the places of x_1 and x_2, and log_det (n,), in nats.
    """
    raise NotImplementedError


def couplings_inverse(z, first, second):
    """The sampling direction x = g(z), and log abs det of *its* Jacobian.

    Each layer has the inverse of the slide, sigma times what it is given, plus mu. Takes z (n, m) and the networks.
    Returns x (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def couplings_vjp(x, first_vjp, second_vjp):
    """The normalizing direction again, and how gradients flow back through it.

    Here each network comes with its own vjp; for the first one, and likewise for the second:

        (mu, log_sigma), pull = first_vjp(x_1)
        grad_x_1, grad_theta = pull(grad_mu, grad_log_sigma)       (n, d) and (n_params,)

    Takes x (n, m) and both. Returns (z, log_det), vjp with z (n, m), log_det (n,) and a function

        grad_x, grad_first, grad_second = vjp(grad_z, grad_log_det)

    which takes the gradients of a scalar loss with respect to z, (n, m), and log_det, (n,), and returns those with
    respect to x, (n, m), and to the parameters of either network, (n_params,) each.
    """
    raise NotImplementedError
