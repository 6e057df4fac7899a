"""The change of variables for one number.

Lecture 2, slide "Normalizing flows prerequisites", the box "Change of variable theorem". About 15 minutes.
"""
import numpy as np


def log_density_1d(x, f, df, log_prob_z):
    """log p(x), in nats, where z = f(x) has a density that is known.

        p(x) = p(f(x)) abs f'(x)

    Takes x (n,) and three functions of (n,) arrays that return (n,) arrays: f, invertible, increasing or decreasing;
    df, its derivative, df(x) = f'(x); log_prob_z, log p(z) in nats. Returns log p(x), (n,).
    """
    raise NotImplementedError
