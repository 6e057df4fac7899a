"""Properties that many exercises share, each made from a `Call`: what to call, and what its outputs are named.

They compare, they never trust: outputs are plain arrays that came over a pipe, and every expected value is computed
here.
"""
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from nfnumpy.homework.exercise import Fail, Property
from nfnumpy.testing.causes import cause_of_log_det
from nfnumpy.testing.common import show, some

# Sums in another order, a solve for an inverse, a log-determinant by slogdet: all within a millionth of a good answer.
TOLERANCE = 1e-6
SINGLE = 1e-2                                                    # of float32 answers, which get a note and no failure
# Central differences, extrapolated once: h^4 = 1e-12 of a fifth derivative, and 1e-16 / h = 1e-13 from rounding.
STEP = 1e-3
SUPPORTING = {"alone": False, "share": 0.5}                      # what a map that does nothing has, too


@dataclasses.dataclass
class Call:
    """``call(answers, case, x)`` gives the outputs, named in `outputs`; x is the case's input of the name `argument`.

    `shows` are those of the case's inputs that a student sees who fails there; all, if empty.
    """

    call: Callable
    outputs: Sequence
    argument: str = "x"
    shows: Sequence = ()

    def __call__(self, answers, case, x=None):
        """``{name: array}``, or `Fail` for what is no array of numbers, or not as many as asked for."""
        value = self.call(answers, case, getattr(case, self.argument) if x is None else x)
        values = (value,) if len(self.outputs) == 1 else value
        if not isinstance(values, (tuple, list)) or len(values) != len(self.outputs):
            got = f"{len(values)} of them" if isinstance(values, (tuple, list)) else kind(value)
            raise Fail(f"expected {len(self.outputs)} outputs, {', '.join(self.outputs)}; got {got}")
        arrays = {name: as_array(value, name) for name, value in zip(self.outputs, values)}
        if any(array.dtype == np.float32 for array in arrays.values()) and hasattr(answers, "note"):
            answers.note("The answer is in float32: about seven digits. It is compared with less care; where does the "
                         "precision get lost?")
        return arrays


def as_array(value, name):
    """An array of real numbers of what came, float64 or float32, or `Fail`.

    >>> as_array([1, 2], "z")
    array([1., 2.])
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise Fail(f"expected {name} as an array of numbers, got rows of different lengths") from None
    if value is None:
        raise Fail(f"expected {name}, got None: is a return missing?")
    if array.dtype.kind not in "biuf":
        raise Fail(f"expected {name} as an array of real numbers, got {kind(value)}")
    return array if array.dtype == np.float32 else array.astype(np.float64)


def kind(value):
    """What came, in words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return "None: is a return missing?" if value is None else f"a {type(value).__name__}"


def fitted(got, expected, name):
    """`got` in the shape of `expected`, where only an axis of length 1 is too many; else `Fail`. See `shapes`."""
    if got.shape == expected.shape:
        return got
    if got.shape == (*expected.shape, 1):
        return got[..., 0]
    raise Fail(f"expected {name} of shape {expected.shape}, got {got.shape}", shape_question(got, expected))


def shape_question(got, expected):
    """What the shape of array `got` asks, beside that of `expected`; an empty text where nothing is known."""
    if got.ndim and not expected.ndim:
        return "One number is asked for: of what is it the sum, or the mean?"
    if expected.ndim and not got.ndim:
        return "One number for the whole batch: what belongs to each sample?"
    if got.shape == (*expected.shape, 1):
        return ("A column (n, 1) for (n,): added to something of shape (n,) it silently makes (n, n). Which axis is "
                "too many?")
    if got.ndim == expected.ndim and got.shape == expected.shape[::-1]:
        return "Turned round: are samples rows?"
    return ""


def agree(got, expected, name, suspects=(), tolerance=TOLERANCE):
    """`Fail` unless got equals expected to `tolerance` relative to 1 + size.

    `suspects` are pairs (value, question): the question is asked if `got` is that value.
    """
    got = fitted(got, expected, name)
    tolerance = SINGLE if got.dtype == np.float32 else tolerance

    def is_(other):
        return np.shape(other) == got.shape and bool((np.abs(got - other) <= tolerance * (1 + np.abs(other))).all())

    if is_(expected):
        return
    wrong = ~(np.abs(got - expected) <= tolerance * (1 + np.abs(expected)))
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    at = f"{name}[{', '.join(map(str, where))}]" if where else name
    seen = f"expected {at} = {expected[where]:.6g}, got {got[where]:.6g}"
    if wrong.sum() > 1:
        seen += f" ({wrong.sum()} of {wrong.size} numbers differ)"
    questions = [question for value, question in suspects if is_(np.asarray(value))]
    raise Fail(seen, questions[0] if questions else usual_question(got, expected, is_))


def usual_question(got, expected, is_):
    """What the difference looks like, where no suspect explains it."""
    if not np.isfinite(got).all():
        return "It is not finite: the logarithm of something that is not positive, or a division by zero?"
    if is_(-expected):
        return "The size is right and the sign is wrong: which direction is this?"
    n = len(expected) if expected.ndim else 1
    if n > 1 and is_(np.broadcast_to(expected.sum(axis=0), expected.shape)):
        return "Every row has the sum over the batch: what belongs to one sample?"
    if n > 1 and is_(np.broadcast_to(expected.mean(axis=0), expected.shape)):
        return "Every row has the mean over the batch: what belongs to one sample?"
    if n > 1 and (is_(expected / n) or is_(expected * n)):
        return "Off by the number of samples: is it a sum over the batch, or a mean?"
    if is_(np.zeros_like(expected)):
        return "It is zero everywhere: is it computed at all?"
    ratio = got / np.where(np.abs(expected) < 1e-12, np.nan, expected)
    if np.isfinite(ratio).sum() < 2:                             # one number alone is a multiple of any other
        return ""
    if np.nanmax(ratio) - np.nanmin(ratio) < 1e-6 * np.abs(np.nanmax(ratio)):
        return f"All of it is {np.nanmax(ratio):.4g} times what it must be: what was not counted, or counted twice?"
    return ""


def equals(call, output, name=None, suspects=None, **options):
    """Property: `output` has the values that it must have at given inputs: the one that knows which map was asked for.

    ``suspects(case, expected)`` gives pairs (value, question), with `expected` the dict of the reference's outputs.
    """
    def check(answers, case, reference):
        expected = call(reference, case)
        agree(call(answers, case)[output], expected[output], output, suspects(case, expected) if suspects else ())
    return Property(name or f"{output} has the values that it must have", check, **{"shows": call.shows, **options})


def shapes(call, name=None, **options):
    """Property: every output has its shape, strictly, and is finite."""
    def check(answers, case, reference):
        got, expected = call(answers, case), call(reference, case)
        for output in call.outputs:
            if got[output].shape != expected[output].shape:
                raise Fail(f"expected {output} of shape {expected[output].shape}, got {got[output].shape}",
                           shape_question(got[output], expected[output]))
            if not np.isfinite(got[output]).all():
                raise Fail(f"expected finite numbers, got {output} = {show(got[output])}",
                           usual_question(got[output], expected[output], lambda other: False))
    return Property(name or f"{' and '.join(call.outputs)}: right shape, finite", check,
                    **{**SUPPORTING, "shows": call.shows, **options})


def rows_apart(call, name="a row does not see other rows", **options):
    """Property: a row alone gives what it gives in the batch."""
    def check(answers, case, reference):
        x = getattr(case, call.argument)
        together = call(answers, case)
        for i in range(min(len(x), 3)):
            alone = call(answers, case, x[i:i + 1])
            for output in call.outputs:
                whole, single = together[output], alone[output]
                if not whole.ndim or len(whole) != len(x) or not single.ndim or len(single) != 1:
                    raise Fail(f"{output}: expected one entry for each of {len(x)} rows, got shape {whole.shape}, and "
                               f"of one row shape {single.shape}", "What belongs to each sample?")
                tolerance = SINGLE if whole.dtype == np.float32 else TOLERANCE
                size = 1 + np.abs(single[0]).max(initial=0)
                same = np.array_equal(whole[i], single[0], equal_nan=True)       # NaN and infinity are no other row's
                if not same and not np.abs(whole[i] - single[0]).max(initial=0) <= tolerance * size:
                    raise Fail(f"{output} of row {i} is {show(whole[i])} in the batch and {show(single[0])} alone",
                               f"Row {i} changes when other rows do: is there a sum or a mean over the batch?")
    return Property(name, check, **{**SUPPORTING, "shows": call.shows, **options})


def leaves_inputs_alone(call, name="the caller's arrays stay as they were", **options):
    """Property: the arrays and lists that were passed in are not written to, and the second call gives what the first
    did.
    """
    def check(answers, case, reference):
        first = call(answers, case)
        if any(answers.changed()):
            raise Fail(f"argument {1 + list(answers.changed()).index(True)} was changed by the call",
                       "Is something written into an array that belongs to the caller?")
        second = call(answers, case)
        if any(not np.array_equal(first[output], second[output], equal_nan=True) for output in call.outputs):
            raise Fail("the same call gave another result the second time",
                       "What is kept, or drawn, between two calls?")
    return Property(name, check, **{**SUPPORTING, "shows": call.shows, **options})


def log_det_of_jacobian(call, output, log_det="log_det", name=None, **options):
    """Property: `log_det` is log abs det of the Jacobian of `output`, taken from the answer's own values by
    differences.
    """
    def check(answers, case, reference):
        x, value = getattr(case, call.argument), call(answers, case)
        J = jacobian(lambda x: rows_of(call(answers, case, x)[output], x, output), x)
        if not np.isfinite(J).all():
            raise Fail(f"{output} is not finite near {call.argument}")
        expected = np.linalg.slogdet(J)[1]
        got = fitted(value[log_det], expected, log_det)
        tolerance = SINGLE if np.float32 in (got.dtype, value[output].dtype) else TOLERANCE
        wrong = ~(np.abs(got - expected) <= tolerance * (1 + np.abs(expected)))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise Fail(f"at row {row} {log_det} is {got[row]:.6g}, and log abs det of the Jacobian of your own "
                       f"{output} is {expected[row]:.6g}", cause_of_log_det(got, expected, J, x).strip())
    return Property(name or f"{log_det} is that of the Jacobian of {output}", check,
                    **{**SUPPORTING, "shows": call.shows, **options})


def undoes(call, first, output, name, **options):
    """Property: ``call`` at what the reference's `first` gives leads back to where that started.

    Both are Calls; `output` of `call` must equal the input of `first`. The reference is given upstream, so that a
    mistake in one function is not counted twice.
    """
    def check(answers, case, reference):
        start = getattr(case, first.argument)
        image = first(reference, case)[first.outputs[0]]
        agree(call(answers, case, image)[output], start, output)
    return Property(name, check, **{**SUPPORTING, "shows": call.shows, **options})


def sees_only(call, output, pattern, name, **options):
    """Property: output a of a row moves with input b only where ``pattern(case)[a, b]`` is true."""
    def check(answers, case, reference):
        x = getattr(case, call.argument)
        J = jacobian(lambda x: rows_of(call(answers, case, x)[output], x, output), x)
        allowed = pattern(case)
        seen = (np.abs(J) > TOLERANCE).any(axis=0) & ~allowed
        if seen.any():
            a, b = np.argwhere(seen)[0]
            raise Fail(f"{output} {a + 1} moves when {call.argument} {b + 1} does, which it must not see; in all "
                       f"{some(np.flatnonzero(seen.any(axis=1)) + 1, 'output')} see too much",
                       f"Output {a + 1} moves when input {b + 1} moves: what may it depend on?")
    return Property(name, check, **{**SUPPORTING, "shows": call.shows, **options})


def rows_of(value, x, name):
    """An output with a row for each row of x, flattened: ``(n, size)``."""
    if value.ndim < 1 or len(value) != len(x):
        raise Fail(f"expected {name} with a row for each of {len(x)} rows, got shape {value.shape}")
    return value.reshape(len(x), -1)


def jacobian(function, x):
    """``J[i, a, b] = d function(x)_a / d x_b`` of each row, by central differences at two steps, extrapolated."""
    columns = []
    for b in range(x[0].size):
        v = np.zeros((len(x), x[0].size))
        v[:, b] = STEP
        v = v.reshape(x.shape)
        wide = (function(x + v) - function(x - v)) / (2 * STEP)
        narrow = (function(x + v / 2) - function(x - v / 2)) / STEP
        columns.append((4 * narrow - wide) / 3)                  # the error's leading term, h^2, cancels
    return np.stack(columns, axis=-1)
