"""Derivatives computed without anyone's backward pass: what the hand-derived ones are tested against.

A complex step is exact to rounding: for analytic f, Im f(x + i h v) / h = f'(x) v + O(h^2), without the cancellation of
a difference, so that h may be 1e-30. It needs a function that takes complex input and treats it analytically: the
absolute value of a complex number, for one, has no complex derivative, and a complex step through ``np.abs`` gives
nonsense. For functions that refuse complex input, and as a second opinion before anyone is told that a derivative is
wrong, there are Richardson's differences. The package proper differentiates by hand only; this module belongs to its
tests.
"""
import warnings

import numpy as np

STEP = 1e-30
# Richardson's first steps. The large ones lose least to rounding, the small ones stay on one side of a nearby kink.
STEPS = (1e-2, 1e-3, 1e-4, 1e-5)


def takes_complex(function, x):
    """Whether `function` answers complex input with complex output: then a complex step can differentiate it."""
    return _at_complex(function, x.astype(np.complex128)) is not None


def _at_complex(function, x):
    """``function(x)`` for a complex x, or None where it refuses, or answers with real numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                      # NumPy warns where an imaginary part is thrown away
            out = function(x)
    except Exception:                                            # a stranger's flow may refuse in any way it likes
        return None
    return out if np.iscomplexobj(out) and out.dtype == np.complex128 else None


def directional_derivative(function, x, v, complex_step=True):
    """d function(x + t v) / dt at t = 0, of the shape of the function's output; x real, float64.

    By a complex step where the function takes one, else, or with ``complex_step=False``, by Richardson's differences
    (good to about 1e-9; at least 1e-5 away from a kink).

    >>> float(np.round(directional_derivative(np.sin, np.array([0.0]), np.array([2.0]))[0], 12))
    2.0
    >>> directional_derivative(np.abs, np.array([-1.0]), np.array([2.0])).round(9)
    array([-2.])
    """
    if complex_step:
        out = _at_complex(function, x + 1j * STEP * v)
        if out is not None:
            return out.imag / STEP
    return richardson(lambda t: function(x + t * v))


def richardson(curve, levels=4):
    """Derivative of curve(t) at 0 by extrapolating central differences: their errors are even powers of the step.

    Each entry of the result comes from the step at which its last two extrapolations agree best.
    """
    best, doubt = None, None
    for step in STEPS:
        table = [(curve(h) - curve(-h)) / (2 * h) for h in step / 2.0 ** np.arange(levels)]
        for power in range(1, levels):
            coarser, table = table, [(4 ** power * fine - coarse) / (4 ** power - 1)
                                     for coarse, fine in zip(table, table[1:])]
        disagreement = np.abs(table[0] - coarser[-1])
        if best is None:
            best, doubt = np.asarray(table[0]), disagreement
        better = disagreement < doubt
        best, doubt = np.where(better, table[0], best), np.where(better, disagreement, doubt)
    return best


def jacobian(function, x, complex_step=True):
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
        column = directional_derivative(function, x, v.reshape(x.shape), complex_step)
        columns.append(column.reshape(n, -1))
    return np.stack(columns, axis=-1)


def theta_derivative(flow, method, x, v, complex_step=True):
    """Derivatives of ``flow.method(x)``, both outputs, with respect to theta in direction v. The flow is not changed.

    By a complex step on a complex copy of the flow where it has one, else by Richardson's differences on the flow
    itself, whose theta is put back.
    """
    theta, shape = np.array(flow.theta, np.float64), getattr(flow, method)(x)[0].shape

    def at(moved):
        if np.iscomplexobj(moved):
            copy = flow.astype(np.complex128)
            copy.theta[...] = moved
            out, log_det = getattr(copy, method)(x)
            return np.append(out, log_det) if np.iscomplexobj(out) and np.iscomplexobj(log_det) else 0.0
        try:
            flow.theta[...] = moved
            return np.append(*getattr(flow, method)(x))
        finally:
            flow.theta[...] = theta

    both = directional_derivative(at, theta, v, complex_step)
    return both[:-len(x)].reshape(shape), both[-len(x):]


def has_kink(curve, step=2e-5):
    """Whether curve(t) has a kink so near to 0 that differences see both sides of it: slopes right and left disagree.

    A smooth curve's second difference shrinks with the square of the step, a kink's with the step.

    >>> has_kink(np.abs), has_kink(np.sin), has_kink(lambda t: np.abs(t - 0.1))
    (True, False, False)
    """
    middle = np.asarray(curve(0.0))
    wide, narrow = (np.abs(curve(h) - 2 * middle + curve(-h)) / h for h in (4 * step, step))
    return bool(((narrow > 0.4 * wide) & (narrow > 1e-6 * (1 + np.abs(middle)))).any())
