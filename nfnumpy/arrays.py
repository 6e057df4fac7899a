"""What every public function does with its arguments first: arrays of the right shape and kind, generators, sums.

A batch has one sample a row: shape ``(n, *shape)`` with ``shape = (m,)`` for vectors and
``(height, width, channels)`` for images.
"""
import functools
import math
import numbers

import numpy as np


def as_rng(rng):
    """A ``numpy.random.Generator`` from None (fresh entropy), a whole number (a seed) or a Generator (itself).

    Raises ValueError for anything else. NumPy's global random state is never touched.

    >>> bool(as_rng(0).integers(10) == as_rng(0).integers(10))
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or (isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and rng >= 0):
        return np.random.default_rng(rng)
    raise ValueError(f"rng: expected None, a whole number from 0 up or a numpy.random.Generator, got {rng!r}")


def as_count(value, name, minimum=0):
    """A Python int of at least `minimum`, and below 2^40, or a ValueError that names the argument.

    >>> as_count(np.int64(3), "n")
    3
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name}: expected a whole number of at least {minimum}, got {value!r}")
    if value >= 2 ** 40:                                         # nothing that fits into a memory is counted so
        raise ValueError(f"{name}: expected a whole number below 2^40, got {value!r}")
    return int(value)


def as_number(value, name, words="a finite number of at least 0", holds=lambda number: number >= 0):
    """A finite Python float for which `holds` is true, or a ValueError: expected `words`.

    >>> as_number(np.float32(0.5), "lr")
    0.5
    """
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:                                        # an int of hundreds of digits
        number = math.inf
    if not (math.isfinite(number) and holds(number)):
        raise ValueError(f"{name}: expected {words}, got {value!r}")
    return number


def as_array(x, name="x", words="real numbers"):
    """`x` as a NumPy array of numbers, the `words` expected, or a ValueError for ragged lists, masked entries and everything else.

    >>> as_array([[1.0, 2.0], [3.0]])
    Traceback (most recent call last):
        ...
    ValueError: x: expected a rectangular array of numbers, got rows of different lengths
    """
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError(f"{name}: expected an array without masked entries, got {np.ma.count_masked(x)} masked ones")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: expected a rectangular array of numbers, got rows of different lengths") from error
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name}: expected {words}, got an array of dtype {array.dtype}")
    return array


def as_batch(x, shape, dtype, name="x", finite=False, real=False):
    """`x` as an array of shape ``(n, *shape)`` and of `dtype`, or a ValueError that names the argument.

    Complex input stays complex (the tests differentiate by complex steps) unless `real` is asked for.
    With `finite`, NaN and infinities are refused, counted, and the first one located.

    >>> as_batch([[1, 2], [3, 4]], (2,), np.float32).dtype
    dtype('float32')
    >>> as_batch([1.0, 2.0], (2,), np.float64)
    Traceback (most recent call last):
        ...
    ValueError: x: expected a batch of shape (n, 2), got a single sample of shape (2,); write x[None, :]
    """
    array = as_array(x, name)
    if real and array.dtype.kind == "c":
        raise ValueError(f"{name}: expected real numbers, got an array of dtype {array.dtype}")
    if array.ndim != 1 + len(shape) or array.shape[1:] != tuple(shape):
        wanted = ", ".join(["n", *map(str, shape)]) + ("," if not shape else "")
        if array.shape == tuple(shape):
            hint = "x[None, :]" if len(shape) == 1 else "x[None]"
            raise ValueError(f"{name}: expected a batch of shape ({wanted}), got a single sample of shape {array.shape}; "
                             f"write {hint.replace('x', name, 1)}")
        raise ValueError(f"{name}: expected a batch of shape ({wanted}), got an array of shape {array.shape}")
    if array.dtype != dtype:
        array = array.astype(np.result_type(array.dtype, dtype) if array.dtype.kind == "c" else dtype)
    if finite and not np.isfinite(array).all():
        bad = ~np.isfinite(array)
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name}: expected finite numbers, got {int(bad.sum())} that are NaN or infinite, "
                         f"the first at index {first}")
    return array


def sum_event(values):
    """Sum over everything but the batch axis: ``(n, ...) -> (n,)``.

    Of floating-point numbers by a product with ones: NumPy's own sum takes one row at a time, up to thirty times as long
    if they are short.

    >>> sum_event(np.ones((2, 3, 4)))
    array([12., 12.])
    """
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    return rows @ _ones(rows.shape[1], rows.dtype) if rows.dtype.kind == "f" else rows.sum(axis=1)


def sum_rows(values):
    """The sum over everything but the last axis: ``(n, ..., channels) -> (channels,)``.

    A product with ones: NumPy's own sum along the first axis takes one short row at a time, ten times as long.

    >>> sum_rows(np.ones((2, 3, 4, 5)))
    array([24., 24., 24., 24., 24.])
    """
    rows = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
    return _ones(len(rows), rows.dtype) @ rows


@functools.lru_cache(4)
def _ones(n, dtype):
    """Ones that nobody writes to: a training step asks for the same ones many times."""
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def per_sample(values, like):
    """``(n,)`` numbers, one a sample, shaped to broadcast against `like` of shape ``(n, ...)``; a scalar stays one.

    >>> per_sample(np.ones(2), np.zeros((2, 3, 4))).shape
    (2, 1, 1)
    """
    values = np.asarray(values, like.dtype)
    return values.reshape(values.shape + (1,) * (like.ndim - 1)) if values.ndim else values
