"""The Kullback-Leibler divergence: in closed form for two Gaussians, and estimated from samples.

Lecture 2, slide "Recap of previous lecture", the boxes "Forward KL" and "Reverse KL". About 30 minutes.

    KL(pi, p) = integral of pi(x) log (pi(x) / p(x)) dx
"""
import numpy as np


def kl_divergence_closed_form(mean_pi, sigma_pi, mean_p, sigma_p):
    """KL(pi, p), in nats, of two Gaussians whose coordinates are independent.

        pi(x) = prod_j N(x_j; mean_pi_j, sigma_pi_j^2),      p(x) = prod_j N(x_j; mean_p_j, sigma_p_j^2)

    Takes four arrays (m,), m from 1 up, the sigmas positive. Returns one number: the integral, solved by hand.
    """
    raise NotImplementedError


def kl_divergence_monte_carlo(x_pi, x_p, log_pi, log_p):
    """Estimates of KL(pi, p) and of KL(p, pi), in nats: each integral is a mean, and the samples are there.

    Takes x_pi (n, m), samples of pi; x_p (k, m), samples of p; and two functions of (any number, m) arrays, log_pi and
    log_p, which return the log-densities, in nats, one a row. Returns two numbers, the estimate of KL(pi, p) first.
    """
    raise NotImplementedError
