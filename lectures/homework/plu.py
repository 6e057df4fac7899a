"""A linear flow through its PLU decomposition.

Lecture 2, slide "Linear normalizing flows", LU-decomposition. About 45 minutes.

One row of x is one sample, x is (n, m), and z = W x holds for each of them, with

    W = P L U       P: a permutation matrix, (m, m), fixed
                    L: ones on the diagonal; below it the entries of the array L, (m, m); zeros above
                    U: signs_j exp(log_diagonal_j) on the diagonal; above it the entries of the array U, (m, m); zeros
                       below. The signs, (m,), are -1 or 1 and fixed.

What the arrays L and U hold at other places does not count.
"""
import numpy as np


def plu_forward(x, P, L, U, log_diagonal, signs):
    """z = W x, and log abs det of the Jacobian.

    Takes x (n, m) and what W is made of. Returns z (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def plu_vjp(x, P, L, U, log_diagonal, signs):
    """The same, and how gradients flow back through it.

    Returns (z, log_det), vjp with z (n, m), log_det (n,) and a function

        grad_x, grad_L, grad_U, grad_log_diagonal = vjp(grad_z, grad_log_det)

    which takes the gradients of a scalar loss with respect to z, (n, m), and log_det, (n,), and returns those with
    respect to x, (n, m), the arrays L and U, (m, m) each, and log_diagonal, (m,). Entries of L and U that do not
    count have gradient 0.
    """
    raise NotImplementedError
