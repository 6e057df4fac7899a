"""Derivatives computed without anyone's backward pass: what the hand-derived ones are tested against.

A complex step is exact to rounding: for analytic f, Im f(x + i h v) / h = f'(x) v + O(h^2), without the cancellation of
a difference, so that h may be 1e-30. It needs a function that takes complex input; for others there are Richardson's
differences. The package proper differentiates by hand only; this module belongs to its tests.
"""
import copy

import numpy as np

STEP = 1e-30


def takes_complex(function, x):
    """Whether `function` answers complex input with complex output: then a complex step can differentiate it."""
    try:
        out = function(x.astype(np.complex128))
    except Exception:                                            # a stranger's flow may refuse in any way it likes
        return False
    return np.iscomplexobj(out) and out.dtype == np.complex128


def directional_derivative(function, x, v):
    """d function(x + t v) / dt at t = 0, of the shape of the function's output; x real, float64.

    By a complex step where the function takes one, else by Richardson's differences (good to about 1e-9).

    >>> float(np.round(directional_derivative(np.sin, np.array([0.0]), np.array([2.0]))[0], 12))
    2.0
    """
    if takes_complex(function, x):
        return function(x + 1j * STEP * v).imag / STEP
    return _richardson(lambda t: function(x + t * v))


def _richardson(curve, step=1e-2, levels=4):
    """Derivative at 0 by extrapolating central differences: their errors are even powers of the step."""
    table = [(curve(h) - curve(-h)) / (2 * h) for h in step / 2.0 ** np.arange(levels)]
    for power in range(1, levels):
        table = [(4 ** power * fine - coarse) / (4 ** power - 1) for coarse, fine in zip(table, table[1:])]
    return table[0]


def jacobian(function, x):
    """``J[i, a, b] = d function(x)_a / d x_b`` of every row i, samples flattened: ``(n, size, size)``.

    Row i of the output must depend on row i of x only: all rows take the step in direction b at once.

    >>> jacobian(lambda x: x @ np.array([[1.0, 2.0], [3.0, 4.0]]).T, np.zeros((1, 2)))[0]
    array([[1., 2.],
           [3., 4.]])
    """
    n, size = len(x), x[0].size
    columns = []
    for b in range(size):
        v = np.zeros((n, size))
        v[:, b] = 1
        columns.append(directional_derivative(function, x, v.reshape(x.shape)).reshape(n, -1))
    return np.stack(columns, axis=-1)


def theta_derivative(flow, method, x, v):
    """Derivatives of ``flow.method(x)``, both outputs, with respect to theta in direction v. The flow is not changed.

    By a complex step on a complex copy of the flow where it has one, else by Richardson's differences on a copy.
    """
    theta = np.array(flow.theta, np.float64)
    try:
        moved = flow.astype(np.complex128)
        moved.theta[...] = theta + 1j * STEP * v
        outputs = getattr(moved, method)(x)
        if all(np.iscomplexobj(out) for out in outputs):
            return tuple(out.imag / STEP for out in outputs)
    except Exception:                                            # no astype, or no complex arithmetic: a stranger's flow
        pass
    moved = copy.deepcopy(flow)

    def curve(t, k):
        moved.theta[...] = theta + t * v
        return np.array(getattr(moved, method)(x)[k])

    return tuple(_richardson(lambda t, k=k: curve(t, k)) for k in range(2))
