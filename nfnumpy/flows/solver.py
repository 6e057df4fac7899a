"""Differential equations of a batch, by SciPy's solver: each row is as accurate as it would be alone."""
import numpy as np

MOST = 10_000                                                    # evaluations, after which an equation counts as stiff
FLOOR = 100 * np.finfo(np.float64).eps                           # SciPy takes no smaller rtol


def integrate(derivative, start, stop, rows, rest, rtol, atol):
    """``rows, rest, evaluations`` at time `stop` of a system that is at `rows`, `rest` at time `start`.

    Parameters
    ----------
    derivative : function
        ``derivative(t, rows) -> d rows / dt, d rest / dt``; the rest does not feed back.
    start, stop : float
        Times; `stop` may be the earlier one.
    rows : array ``(n, k)``
        The equations of n samples, real or complex.
    rest : array ``(r,)``
        Integrals that they have in common; may be empty.
    rtol, atol : float
        Of a step's error in each row; see the notes.

    Raises
    ------
    FloatingPointError
        If values are not finite to begin with, or `stop` is not reached in 10 000 evaluations or for rounding.

    Notes
    -----
    SciPy accepts a step if the root mean square of error / (atol + rtol abs(y)), over *all* of y, is at most 1. In a
    large batch of easy rows that would let a hard row err by the square root of n too much. So the tolerances of a
    block of k numbers among N (a row, or the rest) are multiplied by sqrt(k / N): then each block's own root mean
    square is at most 1, whatever the others are. The method, DOP853, is of order 8, so that this takes n^(1/16) times
    the steps at most: 1.5 for a thousand rows.

    Rows share their steps, so a row's result depends on the others within these tolerances.

    Examples
    --------
    >>> rows, rest, _ = integrate(lambda t, x: (x, x.sum(axis=0)), 0, 1, np.ones((1, 1)), np.zeros(1), 1e-9, 1e-9)
    >>> rows.round(8), rest.round(8)                             # e, and the integral of e^t
    (array([[2.71828183]]), array([1.71828183]))
    """
    from scipy.integrate import solve_ivp                        # here: it loads scipy.optimize

    y = np.concatenate([rows.ravel(), rest])
    if not y.size or start == stop:
        return rows, rest, 0
    if not np.isfinite(y).all():
        raise FloatingPointError("expected finite numbers to start from, got some that are NaN or infinite")
    evaluations = 0

    def flat(t, y):
        nonlocal evaluations
        evaluations += 1
        if evaluations > MOST:
            raise FloatingPointError(f"expected to come from t = {start:g} to {stop:g} in {MOST} evaluations, got as "
                                     f"far as t = {t:.3g}: the velocity changes too fast, are the weights too large?")
        d_rows, d_rest = derivative(t, y[:rows.size].reshape(rows.shape))
        return np.concatenate([d_rows.ravel(), d_rest])

    blocks = np.sqrt(np.repeat([rows.shape[1], len(rest)], [rows.size, len(rest)]) / len(y))
    end = solve_ivp(flat, (start, stop), y, "DOP853", rtol=np.maximum(rtol * blocks, FLOOR), atol=atol * blocks,
                    first_step=abs(stop - start) / 4)            # its own guess is a millionth where nothing moves yet
    if not end.success:
        raise FloatingPointError(f"expected to come from t = {start:g} to {stop:g}, got as far as t = {end.t[-1]:.3g}: "
                                 f"{end.message[0].lower()}{end.message[1:]}")
    y = end.y[:, -1]
    return y[:rows.size].reshape(rows.shape), y[rows.size:], evaluations
