"""The usual causes of a wrong number: sentences that a failing check ends with, where the symptom tells."""
import numpy as np


def cause_of_log_det(got, expected, J, value):
    """What the log-determinants that came, ``(n,)``, are instead of those expected; J ``(n, size, size)``.

    >>> cause_of_log_det(np.array([-1.0, -2.0]), np.array([1.0, 2.0]), np.ones((2, 1, 1)), np.ones((2, 1)))
    ' The size is right and the sign is wrong: is this the direction that was called?'
    """
    def same(other):
        return np.allclose(got, other, rtol=1e-6, atol=1e-6)

    n, size = J.shape[:2]
    if np.isnan(got).any():
        return " It is not a number: the logarithm of a negative number, whose absolute value was not taken?"
    if np.isinf(got).any():
        return " It is infinite: the logarithm of a product that underflows or overflows, where logarithms add up?"
    if same(-expected):
        return " The size is right and the sign is wrong: is this the direction that was called?"
    if n > 1 and same(expected.sum()):
        return " Every row has the sum over the batch: a log_det belongs to one sample."
    if n > 1 and same(expected.mean()):
        return " Every row has the mean over the batch: a log_det belongs to one sample."
    for what, other in _other_numbers(J, expected):
        if same(other):
            return f" It is {what}" + end(what)
    ratio = got / np.where(expected == 0, np.nan, expected)
    if np.isfinite(ratio).all() and np.ptp(ratio) < 1e-6 * np.abs(ratio).max():
        factor = _what_was_not_counted(ratio[0], value.shape[1:])
        return f" All rows are off by the same factor {ratio[0]:.6g}: {factor}"
    right = np.isclose(got, expected, rtol=1e-6, atol=1e-6)
    if right.any():
        return f" {right.sum()} of {n} rows are right: is a case forgotten (another sign, another branch)?"
    if n > 1 and np.ptp(got) == 0:
        return " Every row has the same number, although the Jacobian differs from row to row."
    excess = got - expected
    if np.ptp(excess) < 1e-6 * np.abs(excess).max():
        return f" All rows are off by the same amount, {excess[0]:.6g}: which term is missing, or counted twice?"
    return ""


def end(text):
    """The full stop that a sentence still needs."""
    return "" if text.endswith("?") else "."


def _other_numbers(J, expected):
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        sign, trace = np.linalg.slogdet(J)[0], np.trace(J, axis1=1, axis2=2)
        return (("the determinant itself, whose absolute value wants a logarithm", sign * np.exp(expected)),
                ("the absolute value of the determinant, which wants a logarithm", np.exp(expected)),
                ("the trace of the Jacobian, not its determinant", trace),
                ("the logarithm of the Jacobian's trace, not of its determinant", np.log(np.abs(trace))),
                ("zero, as if the map kept volumes: is the log-determinant computed at all?", 0 * expected))


def _what_was_not_counted(ratio, shape):
    """A name for the factor, from the size of an image."""
    if len(shape) == 3:
        for name, factor in (("height * width", np.prod(shape[:-1])), ("the number of channels", shape[-1])):
            if factor > 1 and np.isclose(ratio, 1 / factor):
                return f"that is 1 / ({name}); does every {'pixel' if 'height' in name else 'channel'} count?"
            if factor > 1 and np.isclose(ratio, factor):
                return f"that is {name}; what was counted more than once?"
    return "what was not counted, or counted twice?"


def cause_of_gradient(got, expected, n=None, through_log_det=False):
    """What the directional derivatives that came, ``(k,)`` of them, are instead of those expected.

    >>> cause_of_gradient(np.array([1.0, -2.0]), np.array([-1.0, 2.0]), 5)
    ': the size is right and the sign is wrong'
    """
    if not np.isfinite(got).all():
        return ": it is not finite"
    if np.allclose(got, 0, atol=1e-12):
        return f": it is zero, is {'the path through log_det' if through_log_det else 'a path'} missing?"
    if np.allclose(expected, 0, atol=1e-12):
        return ": it must be zero here"
    ratio = got / np.where(expected == 0, np.nan, expected)
    if not np.isfinite(ratio).all() or len(ratio) < 2 or np.ptp(ratio) > 1e-5 * np.abs(ratio).max():
        return ""
    if np.isclose(ratio[0], -1, rtol=1e-5):
        return ": the size is right and the sign is wrong"
    if n and n > 1 and np.isclose(ratio[0], 1 / n, rtol=1e-5):
        return f": it is 1/{n} of what it must be, a mean over the batch where a sum is meant?"
    return f": it is {ratio[0]:.6g} times what it must be"
