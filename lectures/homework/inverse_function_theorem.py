"""The inverse function theorem: the Jacobian of the inverse from that of the function.

Lecture 2, slide "Jacobian determinant", the box "Inverse function theorem". About 15 minutes.

z = f(x) is invertible, and x = g(z) is its inverse; x and z are (n, m), one row a sample. Jacobians are (n, m, m):

    J_f[i, a, b] = dz_a / dx_b of row i
"""
import numpy as np


def inverse_function_theorem_jacobian(z, g, jacobian_f):
    """The Jacobian of g at z.

        J_g[i, a, b] = dx_a / dz_b of row i

    Takes z (n, m) and two functions of (n, m) arrays: g(z), (n, m), and jacobian_f(x), (n, m, m), the Jacobians of f
    at x. Returns J_g at z, (n, m, m).
    """
    raise NotImplementedError


def inverse_function_theorem_log_det(z, g, jacobian_f):
    """log abs det of the Jacobian of g at z.

    Takes z (n, m) and the same two functions. Returns (n,), in nats.
    """
    raise NotImplementedError
