"""Increasing functions of one number: a root by Newton's method within a bracket, and numbers that stay above -1."""
import math

import numpy as np

MOST = 200                  # steps; planar flows take about 5, and less than 30 where tanh is within rounding of 1
SMALLEST = 1e-3             # 1 + above_minus_one(t) is larger
Q = -math.expm1(SMALLEST - 1)


def above_minus_one(t):
    """``c, dc/dt`` with c = log(1 - q + q e^t), increasing from -0.999 to infinity: what a flow must not shrink below.

    q = 1 - e^-0.999. c is about t + log q for large t, and c(0) = 0, so that t = 0 makes a flow the identity. It is
    the softplus function, shifted both ways; its slope is q e^(t - c). `t` is one number, which may be complex.

    >>> [round(float(above_minus_one(t)[0]), 4) for t in (-1000.0, 0.0, 1000.0)]
    [-0.999, 0.0, 999.5407]
    """
    if t.real > 0:                                               # neither branch overflows, nor cancels near 0
        c = t + np.log1p((1 - Q) * np.expm1(-t))
    else:
        c = np.log1p(Q * np.expm1(t))
    return c, Q * np.exp(t - c)


def increasing_root(phi, target, low, high, start):
    """The a in [low, high] with phi(a) = target for an increasing phi, row by row: Newton's method, safeguarded.

    Parameters
    ----------
    phi : function
        ``phi(a)`` gives the values and the slopes at `a`, and the sizes of the terms of which the values are sums: they
        say how far a value is known. All of the shape of `target`.
    target, low, high, start : real arrays of one shape
        With phi(low) <= target <= phi(high), and `start` between them.

    Notes
    -----
    Every a that is tried becomes an end of the bracket, the lower one where phi(a) < target, the upper one where it is
    larger: since phi increases, the root stays between the ends. A Newton step that would not end strictly inside is
    replaced by the middle. A row is finished where phi(a) is the target up to rounding of its terms, or where a step is
    below rounding of a; then it is left alone, whatever other rows still need.

    Examples
    --------
    A function so flat at its sides that Newton's method alone leaps ever farther from 4:

    >>> def phi(a):
    ...     return np.arctan(a), 1 / (1 + a ** 2), np.abs(np.arctan(a))
    >>> increasing_root(phi, np.zeros(1), *np.array([[-9.0], [5.0], [4.0]]))
    array([0.])
    """
    a, eps = start, np.finfo(target.dtype).eps
    done = np.zeros(a.shape, bool)
    for _ in range(MOST):
        value, slope, size = phi(a)
        residual = value - target
        low, high = np.where(residual < 0, a, low), np.where(residual > 0, a, high)
        step = a - residual / slope
        step = np.where((low < step) & (step < high), step, low + (high - low) / 2)
        done = done | (np.abs(residual) <= eps * size)
        a, moved = np.where(done, a, step), np.abs(step - a)
        done = done | (moved <= eps * np.abs(a))
        if done.all():
            break
    return a
