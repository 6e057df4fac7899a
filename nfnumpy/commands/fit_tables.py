"""``python -m nfnumpy fit DATA`` for rows of numbers: log-likelihoods beside a Gaussian's, in the units of the data."""
import pathlib

import numpy as np

import nfnumpy as nf
from nfnumpy.arrays import as_rng
from nfnumpy.commands import common, watched
from nfnumpy.flows.triangular import Triangular

FEW_ROWS = 1000                                                  # below, a larger share of rows decides when to stop
MIN_ROWS = 10


def run(args, paths):
    """`fit` for maf, realnvp and iaf; `args` as `fit.settle` leaves them, `paths` of each file to write, checked."""
    rng = as_rng(args.seed)
    table = common.read_data(args.data, rng, args.quiet)
    common.say(args, describe(table))
    notes = list(warnings_about(table, args.dequantize))
    table, noisy = dequantized(table, args.dequantize, rng)
    nf.datasets.check_trainable(table)
    if len(table.x) < MIN_ROWS:
        raise ValueError(f"{table.source}: expected at least {MIN_ROWS} rows, some to learn from and some to hold out, "
                         f"got {len(table.x)}")
    for note in notes:
        common.say(args, f"Note: {note}")

    x = table.x[rng.permutation(len(table.x))]
    n_test = min(max(round(args.test_fraction * len(x)), 2), len(x) - MIN_ROWS // 2)
    train, test = x[n_test:], x[:n_test]
    model, gaussian, words = prepare(args, table, train)
    model.info = {"columns": table.columns, "source": table.source, "standardized": True, "dequantized": noisy,
                  "flow": args.flow, "rows": len(train), "seed": args.seed, "options": args.options}

    few = len(train) < FEW_ROWS
    common.say(args, f"Training {args.flow} with {len(model.theta)} parameters on {len(train)} rows; "
                     f"{n_test} held out for the test. Ctrl-C ends the training and keeps the best model so far.")
    history, problem = watched.fit(args, paths, model, train, rng=rng, valid_fraction=0.2 if few else 0.1)
    best = f"; best on the validation rows at step {history.best_step}" if history.best_step else ""
    common.say(args, f"{history.stopped.capitalize()}: step {history.step[-1]} after {history.seconds:.1f} s{best}"
                     f"{common.shortened(history)}.")

    log_p, reference = common.log_prob(model, test), gaussian.log_prob(test)
    results = compare(log_p, reference, words, args, x.shape[1], history.best_step)
    print("\n".join(results), flush=True)
    model.info["test_log_prob"] = float(log_p.mean())

    from nfnumpy import plot                                     # here, since matplotlib takes long to load
    n_drawn = min(len(x), 2000)
    figure = plot.report(history, model, train[:n_drawn], model.sample(n_drawn, rng), table.columns,
                         title=f"{pathlib.Path(table.source).name}: {results[0]}")
    nf.save(model, paths["out"])
    common.save_figure(figure, paths["report"])
    return watched.finish(args, paths, problem)


def describe(table):
    """What was read: rows, columns, and the range of each column (at most ten of them)."""
    lines = [f"Read {table.source}: {len(table.x)} rows, {len(table.columns)} "
             f"{'column' if len(table.columns) == 1 else 'columns'}"]
    shown = table.columns[:10]
    width = max(map(len, shown))
    for name, low, high, mean in zip(shown, table.x.min(axis=0), table.x.max(axis=0), table.x.mean(axis=0)):
        lines.append(f"  {name:<{width}}  {low:.6g} to {high:.6g}, mean {mean:.4g}")
    if len(table.columns) > len(shown):
        lines.append(f"  ... and {len(table.columns) - len(shown)} more")
    return "\n".join(lines)


def whole_columns(table):
    """Which columns hold whole numbers only, ``(m,)`` booleans."""
    return (np.floor(table.x) == table.x).all(axis=0)


def dequantized(table, wanted, rng):
    """The table with noise on its columns of whole numbers, if wanted, and the names of these columns."""
    if not wanted:
        return table, []
    whole = whole_columns(table)
    if not whole.any():
        raise ValueError(f"{table.source}: --dequantize expected a column of whole numbers, got none")
    x = table.x.copy()
    x[:, whole] = nf.datasets.dequantize(x[:, whole], rng)
    return table._replace(x=x), [name for name, is_whole in zip(table.columns, whole) if is_whole]


def warnings_about(table, dequantize=False):
    """What in the data makes a likelihood hard to trust: whole numbers without noise, and a number for each row.

    >>> list(warnings_about(nf.datasets.Table(np.array([[0, 1.5], [1, 2.5], [2, 1.0]]), ["x1", "a"], "data.csv")))
    ["column 'x1' counts the rows: is it an index? leave it out"]
    """
    counting = np.arange(len(table.x))
    index = [bool((column == counting).all() or (column == counting + 1).all()) for column in table.x.T]
    for name in [name for name, is_index in zip(table.columns, index) if is_index]:
        yield f"column {name!r} counts the rows: is it an index? leave it out"
    whole = np.flatnonzero(whole_columns(table) & ~np.array(index))
    if len(whole) and not dequantize:
        names = ", ".join(common.some(repr(table.columns[j]) for j in whole))
        yield (f"only whole numbers in {names}, where a density can grow narrow peaks without end; --dequantize adds "
               "uniform noise on [0, 1) to them.")


def prepare(args, table, train):
    """The model in the units of the data, the Gaussian to compare it with, and how to call that one."""
    m, dtype = train.shape[1], np.dtype(args.dtype)
    build = {"maf": nf.maf, "realnvp": nf.realnvp, "iaf": nf.iaf}[args.flow]
    try:
        flow = build(m, args.steps, args.hidden, args.activation, rng=args.seed, dtype=dtype,
                     transformer=args.transformer).flow
        if len(train) > m:
            # New layers are the identity, so that training starts at the Gaussian of maximum likelihood, of which the
            # first linear layer is the closed form: what is strongly correlated need not be learnt by networks.
            gaussian = nf.Gaussian.fit(train)
            y, _ = nf.Standardize.of(train).forward(train)
            flow = nf.Composition([Triangular.whitening(y, dtype=dtype), flow])
            return nf.NormalizingFlow(flow).standardized(train), gaussian, "Gaussian"
        # with no more rows than columns the covariance is singular: the columns one by one are all that can be compared
        gaussian = nf.Gaussian(train.mean(axis=0), np.diag(train.var(axis=0)))
        return nf.NormalizingFlow(flow).standardized(train), gaussian, "independent Gaussians"
    except ValueError as error:
        names = ", ".join(common.some((f"{j} {name!r}" for j, name in enumerate(table.columns)), 8))
        raise ValueError(f"{table.source}: no density can be learnt from the training rows: {error} "
                         f"(columns: {names})") from error


def compare(log_p, reference, words, args, m, best_step):
    """The held-out log-likelihoods and their paired difference in words, and what to try if it is no gain.

    Training starts at what it is compared with, so that there is nothing to compare where step 0 was the best.
    """
    mean, error = common.mean_and_error(log_p - reference)
    lines = [f"held-out log-likelihood {log_p.mean():.3f} nats, {words} {reference.mean():.3f}: "
             f"difference {mean:+.3f} +- {error:.3f}"]
    if best_step == 0:
        itself = "the Gaussian itself" if words == "Gaussian" else f"that of {words}"
        lines.append(f"No step was better than the start: the model that is kept is {itself}.")
    elif not mean > 0:                                           # NaN included
        other = "maf" if args.flow == "realnvp" else "realnvp"
        advice = f"try a larger --weight-decay, smaller --hidden, fewer --steps or --flow {other}"
        if m == 1:                                               # where all three flows are one
            advice = ("of one column its layers make a Gaussian and no more; try --transformer spline"
                      if args.transformer in ("affine", "additive") else "try a larger --weight-decay or fewer --steps")
        lines.append(f"The flow is not better than the {words} here (its lowest held-out row has {log_p.min():.3g} "
                     f"nats); {advice}.")
    elif not mean > 3 * error:
        lines.append("The difference is within three standard errors: these rows do not show that the flow is better.")
    return lines
