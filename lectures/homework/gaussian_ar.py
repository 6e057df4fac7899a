"""The Gaussian autoregressive flow: density, sampling, gradient.

Lecture 2, slides "Gaussian autoregressive model" and "Gaussian autoregressive NF". About 60 minutes.

One row of x is one sample, x is (n, m). The network is given, as a function:

    mu, log_sigma = network(x)          both (n, m); column j depends on the columns before j of x, and on no other

Try your functions with a network of your own, such as

    def network(x):
        before = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)[:, :-1]], axis=1)
        return np.sin(before), np.tanh(before)
"""
import numpy as np


def gaussian_ar_forward(x, network):
    """The normalizing direction z = f(x), and log abs det of its Jacobian.

        z_j = (x_j - mu_j(x_{1:j-1})) / sigma_j(x_{1:j-1}),      sigma = exp(log_sigma)

    Takes x (n, m) and the network. Returns z (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def gaussian_ar_inverse(z, network):
    """The sampling direction x = g(z), and log abs det of *its* Jacobian.

        x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1})

    Takes z (n, m) and the network, which wants x and not z. Returns x (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def gaussian_ar_vjp(x, network_vjp):
    """The normalizing direction again, and how gradients flow back through it.

    Here the network comes with its own vjp:

        (mu, log_sigma), pull = network_vjp(x)
        grad_x, grad_theta = pull(grad_mu, grad_log_sigma)      (n, m) and (n_params,)

    Takes x (n, m) and network_vjp. Returns (z, log_det), vjp with z (n, m), log_det (n,) and a function

        grad_x, grad_theta = vjp(grad_z, grad_log_det)

    which takes the gradients of a scalar loss with respect to z, (n, m), and log_det, (n,), and returns those with
    respect to x, (n, m), along both ways on which x reaches the loss, and to the network's parameters, (n_params,).
    """
    raise NotImplementedError
