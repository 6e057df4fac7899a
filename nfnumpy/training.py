"""Fitting a model to data by maximum likelihood: minibatches, a held-out split, early stopping, the best theta kept."""
import dataclasses
import math
import sys
import time

import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.callbacks import Callbacks
from nfnumpy.checkpoints import Checkpoint, as_plain, describe_run, rng_state
from nfnumpy.divergences import negative_log_likelihood
from nfnumpy.history import History, TrainingState
from nfnumpy.minibatches import Minibatches, check_contexts, check_rows, given, mean_nll, split
from nfnumpy.optimizers import Adam, Clipper, learning_rate, length_of
from nfnumpy.progress import ProgressLine


def fit(model, x, x_valid=None, valid_fraction=0.1, rng=None, *, max_steps=5000, batch_size=256, lr=1e-3,
        warmup=0, weight_decay=0.0, clip=5.0, patience=20, eval_every=None, initialize=True, callback=None,
        checkpoint=None, progress=None, context=None, context_valid=None):
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
    warmup : int
        Steps over which the learning rate rises linearly to `lr` before it falls. Adam's first steps are as long as
        later ones, however little it knows of the gradients by then.
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
    callback : function or list of functions, optional
        Called as ``callback(state)`` with a `TrainingState` after each evaluation, the one before the first step
        included, or, if it has an attribute `every`, a whole number, before the first step and after every so many
        steps. If it returns True, training ends and the best theta is kept. What it raises ends `fit` and reaches the
        caller. If it has a method ``end(state)``, that is called once, however training ended, when the model has the
        best theta. Watching changes nothing: the same bits with and without. Ready ones are in `nfnumpy.callbacks`.
    checkpoint : path, optional
        A file that is written, whole or not at all, at each evaluation. If it exists, `fit` goes on from there, to the
        same bits as a run that was never stopped; it must be called as before, with the same model (whose theta does
        not matter), data, settings and seed. A Generator as `rng` is set to the state that it had. A run that is done
        returns at once.
    progress : bool, optional
        Show a progress line on stderr; default only if stderr is a terminal. It counts in nats, and in bits per
        dimension (bits/dim) for a model of whole grey values, one that has `grey_levels`.
    context, context_valid : arrays ``(n, k)``, optional
        For a conditional model p(x | c), built with ``context=k``: what each row of x, and of x_valid, is given. Its
        likelihood is that of x given c; without `x_valid` the contexts are split as the rows are.

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

    References
    ----------
    Loshchilov and Hutter: SGDR: stochastic gradient descent with warm restarts, 2017 (the half cosine). Goyal et al.:
    Accurate, large minibatch SGD, 2017 (the warm-up).

    Examples
    --------
    >>> import nfnumpy as nf
    >>> x = 3 + 2 * np.random.default_rng(0).standard_normal((500, 1))
    >>> model = nf.maf(dim=1, steps=1, rng=0)
    >>> history = nf.fit(model, x, rng=0, max_steps=100, lr=0.05)
    >>> history.valid[-1] < history.valid[0], history.stopped
    (True, 'all steps done')
    >>> history = nf.fit(model, x, rng=0, callback=lambda state: state.step >= 100)
    >>> history.step[-1], history.stopped
    (100, 'stopped by a callback')
    """
    if not hasattr(model, "log_prob_vjp"):
        hint = "; a flow has no base density: write nf.NormalizingFlow(flow)" if hasattr(model, "forward_vjp") else ""
        raise TypeError(f"model: expected a model with log_prob_vjp, got a {type(model).__name__}{hint}")
    seed, rng = rng, as_rng(rng)
    x, x_valid = check_rows(x, x_valid, valid_fraction)
    context, context_valid = check_contexts(model, context, context_valid, x, x_valid)
    max_steps = as_count(max_steps, "max_steps", minimum=1)
    batch_size = as_count(batch_size, "batch_size", minimum=1)
    eval_every = max(max_steps // 100, 1) if eval_every is None else as_count(eval_every, "eval_every", minimum=1)
    patience = as_count(patience, "patience", minimum=1)
    warmup = as_count(warmup, "warmup")
    if warmup >= max_steps:
        raise ValueError(f"warmup: expected fewer steps than max_steps = {max_steps}, got {warmup}")
    callbacks = Callbacks(callback, [ProgressLine()] if (sys.stderr.isatty() if progress is None else progress) else [])
    adam, clipper = Adam(model.theta, lr=lr, weight_decay=weight_decay), Clipper(clip)
    rate = adam.lr
    if checkpoint is not None:
        checkpoint = Checkpoint(checkpoint, describe_run(model, x, x_valid, context, context_valid, seed, {
            "max_steps": max_steps, "batch_size": batch_size, "lr": rate, "warmup": warmup,
            "weight_decay": adam.weight_decay, "clip": clip and clipper.factor, "patience": patience,
            "eval_every": eval_every, "initialize": bool(initialize),
            "valid_fraction": None if x_valid is not None else float(valid_fraction)}))
    saved = checkpoint and checkpoint.read()
    if saved:
        values, arrays = saved
        rng.bit_generator.state = values["rng at the start"]     # the same split, the same noise
    rng_at_start = rng_state(rng)

    prepare = getattr(model, "prepare", lambda x, rng: x)        # whole grey values get fresh noise in every minibatch
    x, x_valid, context, context_valid = split(x, x_valid, valid_fraction, rng, context, context_valid)
    state = TrainingState(model, History(), x, x_valid, max_steps, context, context_valid)
    x_valid = prepare(x_valid, rng)
    batches = Minibatches(len(x), min(batch_size, len(x)), rng)
    history, best, losses = state.history, (0, math.inf, model.theta.copy()), []     # best: step, held-out value, theta
    if saved:
        history = state.history = History(**values["history"])
        best = history.best_step, history.best_valid, arrays["best theta"]
        model.theta[...] = arrays["theta"]
        adam.restore(values["adam steps"], arrays)
        clipper.usual, batches.rows, batches.start = values["usual length"], arrays["rows"], values["next row"]
        rng.bit_generator.state = values["rng"]
        state.at(history.step[-1], history.lr[-1], best[2], history.seconds)
    start = time.monotonic() - history.seconds

    def evaluate(step, lr):
        nonlocal best
        train = float(np.mean(losses)) if losses else mean_nll(model, prepare(x[:len(x_valid)], rng), context)
        valid = mean_nll(model, x_valid, context_valid)
        if not history.step or valid < best[1] or math.isnan(best[1]) > math.isnan(valid):
            best = step, valid, model.theta.copy()               # in one assignment, which Ctrl-C cannot cut in two
        history.best_step, history.best_valid = best[:2]
        history.seconds = time.monotonic() - start
        for curve, value in ((history.step, step), (history.train, train), (history.valid, valid), (history.lr, lr),
                             (history.elapsed, history.seconds)):
            curve.append(value)
        losses.clear()
        if checkpoint:
            adam_steps, moments = adam.state()
            checkpoint.write({"rng at the start": rng_at_start, "rng": rng_state(rng), "next row": batches.start,
                              "history": dataclasses.asdict(history), "adam steps": adam_steps,
                              "usual length": clipper.usual, "info": as_plain(getattr(model, "info", {}))},
                             {"theta": model.theta, "best theta": best[2], "rows": batches.rows, **moments})

    def after(step, lr):
        """Evaluate if it is time, and call the callbacks; whether one of them asks to stop."""
        evaluated = step % eval_every == 0 or step == max_steps
        if evaluated:
            evaluate(step, lr)
        state.at(step, lr, best[2], time.monotonic() - start, evaluated)
        return callbacks(state)

    failed = None
    try:
        stop = False
        if not saved:
            if initialize and hasattr(model, "initialize"):
                given(model, context, slice(1000)).initialize(prepare(x[:1000], rng))
            stop = after(0, 0.0)
        step, last_loss = history.step[-1], history.train[-1]
        while not stop and step < max_steps and history.since_best() < patience:
            step += 1
            adam.lr = learning_rate(step, rate, max_steps, warmup)
            rows = batches.next()
            loss, gradient = negative_log_likelihood(given(model, context, rows), prepare(x[rows], rng))
            length = length_of(gradient)
            if not (math.isfinite(loss) and math.isfinite(length)):
                what = "loss" if not math.isfinite(loss) else "length of the gradient"
                raise FloatingPointError(f"the {what} is {length if math.isfinite(loss) else loss} at step {step}, after "
                                         f"a loss of {last_loss:.4g} nats at step {step - 1}; try a smaller lr than "
                                         f"{rate:g}, or standardise the data")
            history.clipped += clipper(gradient, length)
            adam.step(gradient)
            losses.append(loss)
            last_loss = loss
            stop = after(step, adam.lr)
        if step < max_steps:
            history.stopped = "stopped by a callback" if stop else "no improvement"
    except KeyboardInterrupt:
        if not history.step:                                     # not even the theta to start from is known to be good
            raise
        history.stopped = "interrupted"
    except Exception as error:
        history.stopped, failed = "failed", error
        if isinstance(error, FloatingPointError):
            error.history = history
        raise
    finally:
        history.best_step, history.best_valid, model.theta[...] = best
        history.seconds = state.seconds = time.monotonic() - start
        try:
            callbacks.end(state)
        except KeyboardInterrupt:                                # a film may take seconds to write: without it, then
            history.stopped = "interrupted"
        except Exception as error:
            if failed is None:
                raise
            raise failed from error                              # what ended the training counts, not what came after
    return history
