"""The rows of a training: checked, split into those to train on and those to hold out, a minibatch at a time."""
import math

import numpy as np

from nfnumpy.arrays import as_array, as_batch, as_number


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


def split(x, x_valid, valid_fraction, rng):
    """``x, x_valid``: where there are no held-out rows, a share of x at random, at least one and not all."""
    if x_valid is not None:
        return x, x_valid
    rows = rng.permutation(len(x))
    n_valid = min(max(round(valid_fraction * len(x)), 1), len(x) - 1)
    return x[rows[n_valid:]], x[rows[:n_valid]]


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


def mean_nll(model, x):
    """Mean of -log p over the rows, some rows at a time: memory grows neither with their number nor with their size."""
    chunk = max(min(ROWS, VALUES // math.prod(x.shape[1:])), 1)
    total = math.fsum(float(model.log_prob(x[i:i + chunk]).sum(dtype=np.float64)) for i in range(0, len(x), chunk))
    return -total / len(x)
