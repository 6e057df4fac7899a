"""Log-determinants of permutations, of diagonal and of triangular Jacobians.

Lecture 2, slide "Jacobian structure", cases 1 to 3. About 20 minutes.

One row of x is one sample, and each sample has a log_det of its own: the results are (n,), also where all of their
entries are equal. m may be 512; no result is infinite.
"""
import numpy as np


def linear_log_dets_permutation(x, perm):
    """log abs det of the Jacobian of z = f(x), a permutation: z[:, k] = x[:, perm[k]].

    Takes x (n, m) and perm (m,), whole numbers. Returns log_det (n,), in nats.
    """
    raise NotImplementedError


def linear_log_dets_diagonal(slopes):
    """log abs det of the Jacobian of z = f(x), where z_j = f_j(x_j).

    Takes slopes (n, m): slopes[i, j] is the derivative of f_j at x_j of sample i, positive or negative. Returns
    log_det (n,), in nats.
    """
    raise NotImplementedError


def linear_log_dets_triangular(x, W):
    """log abs det of the Jacobian of z = f(x), where z = W x for x (m,), W lower triangular.

    Takes x (n, m) and W (m, m), whose diagonal may be negative and has no zero. Returns log_det (n,), in nats.
    """
    raise NotImplementedError
