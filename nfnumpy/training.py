"""Fitting a model to data by maximum likelihood: minibatches, a held-out split, early stopping, the best theta kept."""
import dataclasses
import math
import sys
import time

import numpy as np

from nfnumpy.arrays import as_array, as_batch, as_count, as_number, as_rng
from nfnumpy.checkpoints import Checkpoint, describe_run, rng_state
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
        weight_decay=0.0, clip=5.0, patience=20, eval_every=None, initialize=True, callback=None, checkpoint=None,
        progress=None):
    """Fit `model` to the rows of x by maximum likelihood with Adam; the model ends with the best held-out theta.

    However it ends, by itself, by Ctrl-C (which returns the history so far) or by an exception, the model has the theta
    of the best evaluation so far; before the first one, the theta that it came with.

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
    callback : function, optional
        Called as ``callback(model, history)`` after each evaluation, with the theta and the `History` of that moment.
        What it raises ends `fit` and reaches the caller.
    checkpoint : path, optional
        A file that is written, whole or not at all, at each evaluation. If it exists, `fit` goes on from there, to the
        same bits as a run that was never stopped; it must be called as before, with the same model (whose theta does
        not matter), data, settings and seed. A Generator as `rng` is set to the state that it had. A run that is done
        returns at once.
    progress : bool, optional
        Show a progress line on stderr; default only if stderr is a terminal. It counts in nats, and in bits per
        dimension (bits/dim) for a model of whole grey values, one that has `grey_levels`.

    Returns
    -------
    History

    Raises
    ------
    TypeError
        For something else than a model: a flow is one with a base density.
    ValueError
        For arguments or data that make no sense, or the checkpoint of another run, before anything is changed.
    FloatingPointError
        If the loss or its gradient stops being finite. The exception's attribute `history` is the History so far.
    OSError
        If the checkpoint cannot be read or written.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> x = 3 + 2 * np.random.default_rng(0).standard_normal((500, 1))
    >>> model = nf.maf(dim=1, steps=1, rng=0)
    >>> history = nf.fit(model, x, rng=0, max_steps=100, lr=0.05)
    >>> history.valid[-1] < history.valid[0], history.stopped
    (True, 'all steps done')
    """
    if not hasattr(model, "log_prob_vjp"):
        hint = "; a flow has no base density: write nf.NormalizingFlow(flow)" if hasattr(model, "forward_vjp") else ""
        raise TypeError(f"model: expected a model with log_prob_vjp, got a {type(model).__name__}{hint}")
    seed, rng = rng, as_rng(rng)
    x, x_valid = _check_data(x, x_valid, valid_fraction)
    max_steps = as_count(max_steps, "max_steps", minimum=1)
    batch_size = as_count(batch_size, "batch_size", minimum=1)
    eval_every = max(max_steps // 100, 1) if eval_every is None else as_count(eval_every, "eval_every", minimum=1)
    patience = as_count(patience, "patience", minimum=1)
    if callback is not None and not callable(callback):
        raise ValueError(f"callback: expected a function of the model and the history, got {callback!r}")
    adam, clipper = Adam(model.theta, lr=lr, weight_decay=weight_decay), _Clipper(clip)
    rate = adam.lr
    if checkpoint is not None:
        checkpoint = Checkpoint(checkpoint, describe_run(model, x, x_valid, seed, {
            "max_steps": max_steps, "batch_size": batch_size, "lr": rate, "weight_decay": adam.weight_decay,
            "clip": clip and clipper.factor, "patience": patience, "eval_every": eval_every,
            "initialize": bool(initialize), "valid_fraction": None if x_valid is not None else float(valid_fraction)}))
    saved = checkpoint and checkpoint.read()
    if saved:
        values, arrays = saved
        rng.bit_generator.state = values["rng at the start"]     # the same split, the same noise
    rng_at_start = rng_state(rng)

    prepare = getattr(model, "prepare", lambda x, rng: x)        # whole grey values get fresh noise in every minibatch
    x, x_valid = _split(x, x_valid, valid_fraction, rng)
    x_valid = prepare(x_valid, rng)
    batches = _Minibatches(len(x), min(batch_size, len(x)), rng)
    history, best, losses = History(), (0, math.inf, model.theta.copy()), []   # best: step, held-out value, theta
    if saved:
        history = History(**values["history"])
        best = history.best_step, history.best_valid, arrays["best theta"]
        model.theta[...] = arrays["theta"]
        adam.restore(values["adam steps"], arrays)
        clipper.usual, batches.rows, batches.start = values["usual length"], arrays["rows"], values["next row"]
        rng.bit_generator.state = values["rng"]
    start = time.monotonic() - history.seconds
    line = _ProgressLine(sys.stderr.isatty() if progress is None else progress, max_steps, start, model)

    def evaluate(step):
        nonlocal best
        train = float(np.mean(losses)) if losses else _mean_nll(model, prepare(x[:len(x_valid)], rng))
        valid = _mean_nll(model, x_valid)
        if not history.step or valid < best[1] or math.isnan(best[1]) > math.isnan(valid):
            best = step, valid, model.theta.copy()               # in one assignment, which Ctrl-C cannot cut in two
        history.best_step, history.best_valid = best[:2]
        for curve, value in ((history.step, step), (history.train, train), (history.valid, valid)):
            curve.append(value)
        losses.clear()
        history.seconds = time.monotonic() - start
        if checkpoint:
            adam_steps, moments = adam.state()
            checkpoint.write({"rng at the start": rng_at_start, "rng": rng_state(rng), "next row": batches.start,
                              "history": dataclasses.asdict(history), "adam steps": adam_steps,
                              "usual length": clipper.usual},
                             {"theta": model.theta, "best theta": best[2], "rows": batches.rows, **moments})
        if step:
            line.show(step, train, valid, best[1])
        if callback is not None:
            callback(model, history)

    try:
        if not saved:
            if initialize and hasattr(model, "initialize"):
                model.initialize(prepare(x[:1000], rng))
            evaluate(0)
        step, last_loss = history.step[-1], history.train[-1]
        while step < max_steps and _evaluations_since_best(history) < patience:
            step += 1
            adam.lr = rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / max_steps))
            loss, gradient = negative_log_likelihood(model, prepare(x[batches.next()], rng))
            length = _length(gradient)
            if not (math.isfinite(loss) and math.isfinite(length)):
                what = "loss" if not math.isfinite(loss) else "length of the gradient"
                raise FloatingPointError(f"the {what} is {length if math.isfinite(loss) else loss} at step {step}, after "
                                         f"a loss of {last_loss:.3f} nats at step {step - 1}; try a smaller lr than "
                                         f"{rate:g}, or standardise the data")
            history.clipped += clipper(gradient, length)
            adam.step(gradient)
            losses.append(loss)
            last_loss = loss
            if step % eval_every == 0 or step == max_steps:
                evaluate(step)
        if step < max_steps:
            history.stopped = "no improvement"
    except KeyboardInterrupt:
        if not history.step:                                     # not even the theta to start from is known to be good
            raise
        history.stopped = "interrupted"
    except FloatingPointError as error:
        error.history = history
        raise
    finally:
        history.best_step, history.best_valid, model.theta[...] = best
        line.close()
    history.seconds = time.monotonic() - start
    return history


def _check_data(x, x_valid, valid_fraction):
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


def _split(x, x_valid, valid_fraction, rng):
    if x_valid is not None:
        return x, x_valid
    rows = rng.permutation(len(x))
    n_valid = min(max(round(valid_fraction * len(x)), 1), len(x) - 1)
    return x[rows[n_valid:]], x[rows[:n_valid]]


def _evaluations_since_best(history):
    return len(history.step) - 1 - history.step.index(history.best_step)


def _length(gradient):
    with np.errstate(over="ignore"):                             # beyond float64: infinite, which `fit` refuses
        return float(np.linalg.norm(gradient.astype(np.float64)))


class _Clipper:
    """Shortens, in place, gradients that are `factor` times longer than the running mean of their lengths."""

    def __init__(self, factor):
        self.factor, self.usual = math.inf, None
        if factor is not None:
            self.factor = as_number(factor, "clip", "a positive number or None", lambda number: number > 0)

    def __call__(self, gradient, length):
        self.usual = self.usual or length                        # the first that is not zero
        longest = self.factor * self.usual
        if length > longest:
            gradient *= longest / length
        self.usual += 0.02 * (min(length, longest) - self.usual)  # over the last fifty steps or so
        return length > longest


class _Minibatches:
    """Row numbers, `batch_size` at a time, reshuffled when fewer than that are left."""

    def __init__(self, n, batch_size, rng):
        self.rows, self.batch_size, self.rng, self.start = np.arange(n), batch_size, rng, n

    def next(self):
        if self.start + self.batch_size > len(self.rows):
            self.rows, self.start = self.rng.permutation(len(self.rows)), 0
        self.start += self.batch_size
        return self.rows[self.start - self.batch_size:self.start]


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
