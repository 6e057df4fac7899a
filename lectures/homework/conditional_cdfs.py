"""Any density to noise: one conditional distribution function after another.

Lecture 2, slide "Gaussian autoregressive NF"; the page lectures/lecture02/expressivity.md. About 40 minutes.

One row of x is one sample, x is (n, m), of a smooth and positive density

    p(x) = p(x_1) p(x_2 | x_1) ... p(x_m | x_{1:m-1})

Its conditionals are given, as functions of one column, (n,), and of all the columns before it, (n, j - 1), of which the
first one has none:

    F = cdf(x_j, before)            F(x_j | x_{1:j-1}) = P(X_j <= x_j | x_{1:j-1})
    x_j = quantile(F, before)       the inverse of cdf in its first argument
    log_p = log_prob(x_j, before)   log p(x_j | x_{1:j-1}), in nats

All three return (n,). Try your functions with a density of your own, such as

    from scipy import stats
    def cdf(x_j, before):
        return stats.norm.cdf(x_j - before.sum(axis=1))
"""
import numpy as np


def conditional_cdf_forward(x, cdf, log_prob):
    """Data to uniform noise, and log abs det of the Jacobian.

        u_j = F(x_j | x_{1:j-1})

    Takes x (n, m) and the functions. Returns u (n, m), in (0, 1), and log_det (n,), in nats.
    """
    raise NotImplementedError


def conditional_cdf_inverse(u, quantile, log_prob):
    """Uniform noise to data, and log abs det of *its* Jacobian.

    Takes u (n, m) and the functions. Returns x (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def conditional_cdf_normal(x, cdf, log_prob):
    """Data to standard normal noise, and log abs det of the Jacobian.

        z_j = Phi^-1(F(x_j | x_{1:j-1})),      Phi the distribution function of N(0, 1)

    Takes x (n, m) and the functions. Returns z (n, m) and log_det (n,), in nats. Phi^-1 is scipy.special.ndtri.
    """
    raise NotImplementedError
