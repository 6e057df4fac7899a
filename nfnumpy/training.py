"""Fitting a model to data by maximum likelihood: minibatches, a held-out split, early stopping, the best theta kept."""
import dataclasses
import math
import sys
import time

import numpy as np

from nfnumpy.arrays import as_batch, as_count, as_rng
from nfnumpy.divergences import negative_log_likelihood
from nfnumpy.optimizers import Adam


@dataclasses.dataclass
class History:
    """What `fit` did: the learning curve, and where and why it stopped.

    Attributes
    ----------
    step : list of int
        Optimisation steps done at each evaluation.
    train, valid : list of float
        Negative log-likelihood in nats: the mean over the minibatches since the last evaluation (measured while theta
        was moving), and over the held-out rows.
    best_step : int
        The step whose theta the model has now: the one with the lowest held-out value. 0 is the initial theta.
    best_valid : float
        That lowest value.
    clipped : int
        Steps whose gradient was shortened.
    stopped : str
        "all steps done", "no improvement" or "interrupted".
    seconds : float
        Wall-clock time.
    """

    step: list = dataclasses.field(default_factory=list)
    train: list = dataclasses.field(default_factory=list)
    valid: list = dataclasses.field(default_factory=list)
    best_step: int = 0
    best_valid: float = math.inf
    clipped: int = 0
    stopped: str = "all steps done"
    seconds: float = 0.0


def fit(model, x, x_valid=None, valid_fraction=0.1, rng=None, *, max_steps=5000, batch_size=256, lr=1e-3,
        weight_decay=0.0, clip=5.0, patience=20, eval_every=None, initialize=True, progress=None):
    """Fit `model` to the rows of x by maximum likelihood with Adam; the model ends with the best held-out theta.

    Parameters
    ----------
    model : NormalizingFlow, or anything with `theta`, `log_prob` and `log_prob_vjp`
    x : array ``(n, *x_shape)``
    x_valid : array, optional
        Held-out rows. Without them a share `valid_fraction` of x, at random, is set aside and not trained on.
    rng : None, int or Generator
        Decides the split and the order of minibatches; the same seed gives the same bits on the same machine.
    max_steps : int
        Number of optimisation steps. The learning rate falls over them from `lr` to 0 along half a cosine.
    batch_size : int
        Rows a step, reshuffled when fewer than that are left.
    weight_decay : float
        Decoupled, see `Adam`.
    clip : float, optional
        A gradient that is `clip` times longer than they have been lately is shortened to that: one batch with a sample
        far in the tail, whose gradient is huge, must not throw theta away. None switches it off; ``History.clipped``
        counts how often it acted.
    patience : int
        Stop after so many evaluations without improvement.
    eval_every : int, optional
        Steps between evaluations on the held-out rows; default a hundredth of `max_steps`.
    initialize : bool
        Call ``model.initialize`` on up to 1,000 training rows before the first step, which sets what a model takes from
        data (`ActNorm`). False goes on from where an earlier `fit` ended.
    progress : bool, optional
        Show a progress line on stderr; default only if stderr is a terminal. It counts in nats, and in bits per
        dimension (bits/dim) for a model of whole grey values, one that has `grey_levels`.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For arguments or data that make no sense, before anything is changed.
    FloatingPointError
        If the loss stops being finite; the best theta so far is in the model.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> x = 3 + 2 * np.random.default_rng(0).standard_normal((500, 1))
    >>> model = nf.maf(dim=1, steps=1, rng=0)
    >>> history = nf.fit(model, x, rng=0, max_steps=100, lr=0.05)
    >>> history.valid[-1] < history.valid[0], history.stopped
    (True, 'all steps done')
    """
    rng, start = as_rng(rng), time.monotonic()
    x, x_valid = _split(x, x_valid, valid_fraction, rng)
    max_steps = as_count(max_steps, "max_steps", minimum=1)
    batch_size = min(as_count(batch_size, "batch_size", minimum=1), len(x))
    eval_every = max(max_steps // 100, 1) if eval_every is None else as_count(eval_every, "eval_every", minimum=1)
    patience = as_count(patience, "patience", minimum=1)
    adam, clipper = Adam(model.theta, lr=lr, weight_decay=weight_decay), _Clipper(clip)
    prepare = getattr(model, "prepare", lambda x, rng: x)        # whole grey values get fresh noise in every minibatch
    x_valid = prepare(x_valid, rng)
    if initialize and hasattr(model, "initialize"):
        model.initialize(prepare(x[:1000], rng))
    line = _ProgressLine(sys.stderr.isatty() if progress is None else progress, max_steps, start, model)

    history = History()
    history.best_valid = _mean_nll(model, x_valid)
    history.step, history.valid = [0], [history.best_valid]
    history.train = [_mean_nll(model, prepare(x[:len(x_valid)], rng))]
    best_theta, losses = model.theta.copy(), []
    try:
        for step, rows in zip(range(1, max_steps + 1), _minibatches(len(x), batch_size, rng)):
            adam.lr = lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / max_steps))
            loss, gradient = negative_log_likelihood(model, prepare(x[rows], rng))
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {step}, after {history.valid[-1]:.3f} nats at step "
                                         f"{history.step[-1]}; try a smaller lr than {lr:g}, or standardise the data")
            history.clipped += clipper(gradient)
            adam.step(gradient)
            losses.append(loss)
            if step % eval_every == 0 or step == max_steps:
                valid = _mean_nll(model, x_valid)
                history.step.append(step)
                history.train.append(float(np.mean(losses)))
                history.valid.append(valid)
                losses.clear()
                if valid < history.best_valid or math.isnan(history.best_valid):
                    history.best_step, history.best_valid = step, valid
                    best_theta[...] = model.theta
                line.show(step, history.train[-1], valid, history.best_valid)
                if sum(s > history.best_step for s in history.step) >= patience and step < max_steps:
                    history.stopped = "no improvement"
                    break
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    finally:
        model.theta[...] = best_theta
        line.close()
    history.seconds = time.monotonic() - start
    return history


def _split(x, x_valid, valid_fraction, rng):
    x = np.asarray(x)
    if x.ndim < 2 or len(x) < (2 if x_valid is None else 1):
        hint = "; write x[:, None]" if x.ndim == 1 else ""
        raise ValueError(f"x: expected a batch with several rows, got an array of shape {x.shape}{hint}")
    x = as_batch(x, x.shape[1:], x.dtype, finite=True, real=True)     # all of it, before anything is changed
    if x_valid is not None:
        x_valid = as_batch(x_valid, x.shape[1:], x.dtype, "x_valid", finite=True, real=True)
        if not len(x_valid):
            raise ValueError("x_valid: expected at least one row, got none")
        return x, x_valid
    if not 0 < valid_fraction < 1:
        raise ValueError(f"valid_fraction: expected a number between 0 and 1, got {valid_fraction!r}")
    rows = rng.permutation(len(x))
    n_valid = min(max(round(valid_fraction * len(x)), 1), len(x) - 1)
    return x[rows[n_valid:]], x[rows[:n_valid]]


class _Clipper:
    """Shortens, in place, gradients that are `factor` times longer than the running mean of their lengths."""

    def __init__(self, factor):
        if factor is not None and not factor > 0:
            raise ValueError(f"clip: expected a positive number or None, got {factor!r}")
        self.factor, self.usual = math.inf if factor is None else factor, None

    def __call__(self, gradient):
        length = float(np.linalg.norm(gradient.astype(np.float64)))
        self.usual = self.usual or length                        # the first that is not zero
        longest = self.factor * self.usual
        if length > longest:
            gradient *= longest / length
        self.usual += 0.02 * (min(length, longest) - self.usual)  # over the last fifty steps or so
        return length > longest


def _minibatches(n, batch_size, rng):
    while True:
        rows = rng.permutation(n)
        for start in range(0, n - batch_size + 1, batch_size):
            yield rows[start:start + batch_size]


# What goes through the model at a time, at most: 83 images of MNIST, whose 32 channels inside a network are 16 MB.
ROWS, VALUES = 4096, 2 ** 16


def _mean_nll(model, x):
    """Mean of -log p over the rows, some rows at a time: memory grows neither with their number nor with their size."""
    chunk = max(min(ROWS, VALUES // math.prod(x.shape[1:])), 1)
    total = math.fsum(float(model.log_prob(x[i:i + chunk]).sum(dtype=np.float64)) for i in range(0, len(x), chunk))
    return -total / len(x)


class _ProgressLine:
    """One line on stderr, rewritten in place; in nats, or in bits per dimension."""

    def __init__(self, shown, max_steps, start, model):
        self.shown, self.max_steps, self.start = shown, max_steps, start
        grey = hasattr(model, "grey_levels")
        self.unit = "bits/dim" if grey else "nats"
        self.nats = math.prod(model.x_shape) * math.log(2) if grey else 1.0      # in one unit

    def show(self, step, *nats):
        if self.shown:
            train, valid, best = (value / self.nats for value in nats)
            left = (time.monotonic() - self.start) / step * (self.max_steps - step)
            sys.stderr.write(f"\r\x1b[Kstep {step}/{self.max_steps}  training {train:.3f} {self.unit}, held-out "
                             f"{valid:.3f}, best {best:.3f}  {left:.0f} s left")
            sys.stderr.flush()

    def close(self):
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
