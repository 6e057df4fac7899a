"""The two sides of the change of variables: f and g undo each other, and log_det is that of the Jacobian."""
import numpy as np

from nfnumpy.testing.causes import cause_of_log_det
from nfnumpy.testing.common import (DIRECTIONS, MOVED, NUDGE, ROUND_TRIP, dtype_of, in_float64, require,
                                    require_small, show, some, start, theta_in_words)
from nfnumpy.testing.derivatives import has_kink, jacobian


def check_invertible(flow, x):
    """inverse(forward(x)) = x and forward(inverse(z)) = z, within 1e-9 (1 + |x|) in float64, 1e-3 in float32."""
    worst = 0.0
    for there, back in DIRECTIONS:
        value = start(flow, there, x)
        kept = np.array(value)                                   # in case the flow overwrites its input
        again = getattr(flow, back)(getattr(flow, there)(value)[0])[0]
        error = np.abs(again - kept) / (1 + np.abs(kept))
        require_small(error, ROUND_TRIP[dtype_of(flow, x)], "check_invertible", lambda i: (
            f"{back}({there}(.)) at row {i}: expected {show(kept[i])}, got {show(again[i])}"
            + _cause_of_round_trip(error, kept, again) + theta_in_words(flow)))
        worst = max(worst, error.max(initial=0.0))
    return float(worst)


def _cause_of_round_trip(error, expected, got):
    """Which coordinates do not come back, where it is not all of them."""
    if not np.isfinite(got).all():
        return ". It is not finite: a division by zero, or a value at the edge of the domain?"
    wrong = (error > 1e-6).reshape(len(error), -1).any(axis=0)
    if 0 < wrong.sum() < len(wrong):
        which = some(np.flatnonzero(wrong), "coordinate")
        return (f". The others come back, {which} not: undone in the right order, with the parameters that belong to "
                "what has come back before?")
    if np.allclose(expected, got, rtol=1e-4, atol=1e-4):
        return ". Small, but above the tolerance: is an iteration stopped too early?"
    return ""


def check_log_det(flow, x):
    """Each direction's log_det is log abs det of its Jacobian, by `numpy.linalg.slogdet`; the two directions agree.

    The tolerance is 1e-6, or 1e-10 times the Jacobian's condition number where that is larger. The Jacobian comes from
    a complex step, and before anyone is told that a log_det is wrong, from Richardson's differences; beside a kink (of
    a ReLU) the batch is moved by a thousandth first.
    """
    flow, x = in_float64(flow, x, "check_log_det")
    errors, tolerances = [], []
    for (method, _), letter in zip(DIRECTIONS, "xz"):
        f = getattr(flow, method)
        value = start(flow, method, x)
        (log_det, J, expected, tolerance, error), where = _compare(f, value), ""
        if (error > tolerance).any() and has_kink(lambda t: f(value + t)[0]):
            value, where = value + NUDGE * np.random.default_rng(0).standard_normal(value.shape), MOVED
            log_det, J, expected, tolerance, error = _compare(f, value)
        require_small(error, tolerance, "check_log_det", lambda i: (
            f"{method} at row {i}, {letter} = {show(value[i])}: expected log_det {expected[i]:.6g} "
            f"(numpy.linalg.slogdet), got {log_det[i]:.6g}." + cause_of_log_det(log_det, expected, J, value)
            + theta_in_words(flow) + where))
        errors.append(error)
        tolerances.append(tolerance)
    z, there = flow.forward(x)
    back = flow.inverse(z)[1]
    require_small(np.abs(there + back), tolerances[0], "check_log_det", lambda i: (
        f"row {i}: expected inverse's log_det at z = f(x) to be {-there[i]:.6g}, minus that of forward, got "
        f"{back[i]:.6g}"))
    return float(np.max(errors, initial=0.0))


def _compare(f, value):
    """What the flow says, and what the Jacobian says: ``log_det, J, expected, tolerance, error``."""
    log_det = np.asarray(f(value)[1])
    require(log_det.shape == (len(value),), "check_log_det",
            f"expected a log_det of shape ({len(value)},), got {log_det.shape}: see check_shapes")
    for complex_step in (True, False):
        J = jacobian(lambda v: f(v)[0], value, complex_step)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.linalg.slogdet(J)[1]
            tolerance = np.fmax(1e-6, 1e-10 * np.linalg.cond(J)) if np.isfinite(J).all() else np.full(len(J), 1e-6)
            error = np.abs(log_det - expected)
        if (error <= tolerance).all():
            break                                                # else: was the complex step misled?
        if complex_step:
            first = log_det, J, expected, tolerance, error
        elif np.allclose(J, first[1], rtol=1e-4, atol=1e-4 * np.abs(J).max(initial=0.0)):
            return first                                         # it was not, and it is the more precise of the two
    return log_det, J, expected, tolerance, error
