"""The rows of a training: checked, split into those to train on and those to hold out, a minibatch at a time."""
import math

import numpy as np

from nfnumpy.arrays import as_array, as_batch, as_number
from nfnumpy.flow import Flow
from nfnumpy.flows.conditional import context_rows


def check_rows(x, x_valid, valid_fraction):
    """``x, x_valid`` as arrays of finite numbers, or a ValueError, before anything is changed."""
    x = as_array(x)
    if x.ndim < 2 or len(x) < (2 if x_valid is None else 1):
        hint = "; write x[:, None]" if x.ndim == 1 else ""
        raise ValueError(f"x: expected a batch with several rows, got an array of shape {x.shape}{hint}")
    x = as_batch(x, x.shape[1:], x.dtype, finite=True, real=True)     # all of it, before anything is changed
    if x_valid is not None:
        x_valid = as_batch(x_valid, x.shape[1:], x.dtype, "x_valid", finite=True, real=True)
        if not len(x_valid):
            raise ValueError("x_valid: expected at least one row, got none")
    else:
        as_number(valid_fraction, "valid_fraction", "a number between 0 and 1", lambda number: 0 < number < 1)
    return x, x_valid


def check_contexts(model, context, context_valid, x, x_valid):
    """``context, context_valid``: a row for each of x and of x_valid, or None without a context; or a ValueError."""
    rows = context_rows(model.flow) if isinstance(getattr(model, "flow", None), Flow) else set()
    if any(n > 1 for n in rows):                                 # minibatches would pair rows with other rows' contexts
        raise ValueError("model: expected one that is bound to no context, or to one row for all samples, got one bound "
                         f"to {max(rows)} rows; write fit(model, x, context=c) with the model itself")
    if context is None and (0 in rows or context_valid is not None):
        raise ValueError("context: expected the contexts of x" + (
            " beside those of x_valid" if context_valid is not None else ", since the model takes some") + ", got none")
    if context is not None and (context_valid is None) != (x_valid is None):
        missing, there = ("context_valid", "x_valid") if context_valid is None else ("x_valid", "context_valid")
        raise ValueError(f"{missing}: expected a row for each row of {there}, got none")
    return (_as_contexts(model, context, x, "context", "x"),
            _as_contexts(model, context_valid, x_valid, "context_valid", "x_valid"))


def _as_contexts(model, c, x, name, of):
    if c is None:
        return None
    if not hasattr(model, "given"):
        raise ValueError(f"{name}: expected none for a model without contexts, a {type(model).__name__}, got some")
    c = as_array(c, name)
    if c.ndim == 1:
        raise ValueError(f"{name}: expected contexts of shape ({len(x)}, k), got an array of shape {c.shape}; of labels "
                         "write nf.one_hot(labels, k)")
    c = as_batch(c, c.shape[1:] if c.ndim == 2 else ("k",), np.float64, name, finite=True, real=True)
    if len(c) != len(x):
        raise ValueError(f"{name}: expected a row for each of the {len(x)} rows of {of}, got {len(c)}")
    model.given(c[:1])                                           # refuses what the model was not built for
    return c


def given(model, context, rows):
    """The model of p(x | c) that is bound to these rows of the context; the model itself, where there is no context."""
    return model if context is None else model.given(context[rows])


def split(x, x_valid, valid_fraction, rng, context=None, context_valid=None):
    """``x, x_valid, context, context_valid``: where nothing is held out, a share at random, at least one row, not all."""
    if x_valid is not None:
        return x, x_valid, context, context_valid
    rows = rng.permutation(len(x))
    n_valid = min(max(round(valid_fraction * len(x)), 1), len(x) - 1)
    valid, train = rows[:n_valid], rows[n_valid:]
    return x[train], x[valid], *((None, None) if context is None else (context[train], context[valid]))


class Minibatches:
    """Row numbers, `batch_size` at a time, reshuffled when fewer than that are left.

    >>> batches = Minibatches(5, 2, np.random.default_rng(0))
    >>> sorted([*batches.next(), *batches.next()]) == sorted(batches.rows[:4])   # the fifth waits for the next shuffle
    True
    """

    def __init__(self, n, batch_size, rng):
        self.rows, self.batch_size, self.rng, self.start = np.arange(n), batch_size, rng, n

    def next(self):
        """The next `batch_size` row numbers."""
        if self.start + self.batch_size > len(self.rows):
            self.rows, self.start = self.rng.permutation(len(self.rows)), 0
        self.start += self.batch_size
        return self.rows[self.start - self.batch_size:self.start]


# What goes through the model at a time, at most: 83 images of MNIST, whose 32 channels inside a network are 16 MB.
ROWS, VALUES = 4096, 2 ** 16


def mean_nll(model, x, context=None):
    """Mean of -log p over the rows, some rows at a time: memory grows neither with their number nor with their size."""
    chunk = max(min(ROWS, VALUES // math.prod(x.shape[1:])), 1)
    parts = [slice(start, min(start + chunk, len(x))) for start in range(0, len(x), chunk)]
    log_p = (given(model, context, rows).log_prob(x[rows]) for rows in parts)
    return -math.fsum(float(part.sum(dtype=np.float64)) for part in log_p) / len(x)
