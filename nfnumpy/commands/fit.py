"""``python -m nfnumpy fit DATA``: learn the density of a table of numbers or of images, and say how good it is."""
import pathlib

import numpy as np

import nfnumpy as nf
from nfnumpy.arrays import as_rng
from nfnumpy.commands import common, fit_images, images, watched
from nfnumpy.flows.triangular import Triangular

EXAMPLE = """examples: a data set of the package, a file of your own, and images (a minute or two)

  python -m nfnumpy fit faithful --animate training.gif
  python -m nfnumpy fit data.csv --flow realnvp --hidden 32,32 --out model.npz --report report.png
  python -m nfnumpy fit digits --flow glow --out digits.npz
  python -m nfnumpy fit train-images-idx3-ubyte.gz --flow realnvp-image

maf, realnvp and iaf learn rows of numbers: a .csv, .tsv or .npy file. An iaf is fast to sample and slow to score:
training by maximum likelihood takes its sequential direction, a step a column.

glow, realnvp-image, ar-mlp and ar-cnn learn images of whole grey values: MNIST's IDX files (.idx, -ubyte, .gz) or a
.npy array (n, height, width[, channels]). The first two are flows: images get uniform noise, and the bits per dimension
that are printed are an upper bound. The other two are the autoregressive models of the recap: theirs are exact. The
defaults suit 8 x 8 pixels; with 28 x 28, a step of realnvp-image takes 3 GB, or less with a smaller --batch-size.

--animate shows data, density and samples while they are learnt, of more than two columns pairs, of images samples.
--history has a row for each evaluation, step,train,valid,lr,seconds, in nats, each there as soon as it is measured.
--checkpoint keeps where the training stands: the same command again goes on from there, after Ctrl-C or a crash.

DATA without a suffix is the name of a data set; write moons.csv or ./moons.npy for a file. Named data sets:
""" + f"  {', '.join(nf.datasets.NAMES)}\n  (digits are images, and to maf, realnvp and iaf rows of 64 numbers)"
STATUS = """exit status: 0 done, also when Ctrl-C ended the training: its best model is kept; 2 not usable, or training
failed: one sentence on stderr says why, and no file is changed but those of --history, --checkpoint and --animate; 130
interrupted elsewhere"""

FEW_ROWS = 1000                                                  # below, a larger share of rows decides when to stop
MIN_ROWS = 10

TABLES = {"hidden": (64, 64), "activation": "tanh", "max_steps": 3000, "batch_size": 256, "lr": 1e-3,
          "warmup": 0, "weight_decay": 1.0, "patience": 20, "dtype": "float64", "dequantize": False}
IMAGES = {"batch_size": 128, "warmup": 0, "patience": 30, "dtype": "float32", "grey_levels": None}
# flow: the options that it has, with their defaults; those of images were tuned on the digits
OPTIONS = {"maf": {**TABLES, "steps": 5}, "realnvp": {**TABLES, "steps": 8}, "iaf": {**TABLES, "steps": 5},
           "glow": {**IMAGES, "levels": 2, "steps": 8, "width": 32, "activation": "tanh", "max_steps": 2000, "lr": 4e-3,
                    "weight_decay": 0.5},
           "realnvp-image": {**IMAGES, "couplings": 4, "blocks": 1, "width": 32, "activation": "tanh",
                             "max_steps": 1000, "lr": 1e-3, "weight_decay": 1.0},
           "ar-mlp": {**IMAGES, "hidden": (256,), "activation": "relu", "max_steps": 1200, "lr": 2e-3,
                      "weight_decay": 0.6},
           "ar-cnn": {**IMAGES, "width": 32, "depth": 4, "activation": "relu", "max_steps": 1500, "batch_size": 64,
                      "lr": 1e-2, "weight_decay": 1.0}}


def add_arguments(parser):
    """Declare what `fit` takes."""
    def add(name, words, **how):
        parser.add_argument(f"--{name}", help=f"{words} ({defaults(name.replace('-', '_'))})", default=None, **how)

    parser.add_argument("data", metavar="DATA", help="a file of rows or of images, the name of a data set, or - for "
                                                     "rows as CSV or TSV on the standard input")
    parser.add_argument("--flow", choices=tuple(OPTIONS), default="maf", help="(default %(default)s)")
    add("steps", "layers, of glow in each level", type=common.count(1), metavar="K")
    add("levels", "levels of the multi-scale architecture", type=common.count(1), metavar="L")
    add("couplings", "coupling layers of each partition", type=common.count(1), metavar="K")
    add("hidden", "widths of each network's hidden layers", type=widths, metavar="W,W")
    add("width", "channels of each network", type=common.count(1), metavar="W")
    add("blocks", "residual blocks of each network", type=common.count(1), metavar="B")
    add("depth", "causal convolutions", type=common.count(1), metavar="D")
    add("activation", "of the networks; relu is faster, and of flows goes astray far from the data",
        choices=("tanh", "relu"))
    parser.add_argument("--out", default="model.npz", metavar="FILE",
                        help="the model, a .npz file (default %(default)s)")
    parser.add_argument("--report", default="report.png", metavar="FILE",
                        help="the picture, a .png, .pdf or .svg file (default %(default)s)")
    parser.add_argument("--animate", metavar="FILE", help="also a film of the training, a .gif file")
    parser.add_argument("--history", metavar="FILE", help="also the learning curve while it grows, a .csv file")
    parser.add_argument("--checkpoint", metavar="FILE", help="keep the state of the training in a .npz file, and go on "
                                                             "from there if it exists")
    common.add_seed(parser)
    parser.add_argument("--test-fraction", type=common.number(0, 1, open_end=True), default=0.2, metavar="F",
                        help="share of the data held out for the final comparison (default %(default)g)")
    add("max-steps", "optimisation steps; training ends earlier when nothing improves", type=common.count(1),
        metavar="N")
    add("batch-size", "rows or images a step", type=common.count(1), metavar="N")
    add("lr", "learning rate", type=common.number(0, open_end=True), metavar="LR")
    add("warmup", "steps over which the learning rate rises to LR", type=common.count(0), metavar="N")
    add("weight-decay", "larger is smoother", type=common.number(0), metavar="WD")
    add("patience", "evaluations without improvement before training ends", type=common.count(1), metavar="N")
    parser.add_argument("--dequantize", action="store_true", default=None,
                        help="add uniform noise on [0, 1) to the columns of whole numbers; `sample` takes it off again")
    parser.add_argument("--grey-levels", type=common.count(2), metavar="K",
                        help="images hold 0 .. K - 1 (default: the smallest of 2, 17 and 256 that covers them)")
    add("dtype", "of the arithmetic", choices=("float64", "float32"))
    common.add_quiet(parser)


def defaults(option):
    """An option's defaults in words: which flows have which.

    >>> defaults("width"), defaults("warmup")
    ('default 32: glow, realnvp-image, ar-cnn', 'default 0')
    """
    flows = {}
    for flow, options in OPTIONS.items():
        if option in options:
            value = options[option]
            flows.setdefault(",".join(map(str, value)) if isinstance(value, tuple) else f"{value}", []).append(flow)
    if list(flows.values()) == [list(OPTIONS)]:
        return f"default {next(iter(flows))}"
    return "default " + "; ".join(f"{value}: {', '.join(names)}" for value, names in flows.items())


def settle(args):
    """Fill in the defaults of args.flow, or raise a ValueError for an option that it does not have."""
    options = OPTIONS[args.flow]
    for name in {name for other in OPTIONS.values() for name in other}:
        if getattr(args, name) is None:
            setattr(args, name, options.get(name))
        elif name not in options:
            flows = ", ".join(flow for flow, others in OPTIONS.items() if name in others)
            raise ValueError(f"--{name.replace('_', '-')}: --flow {args.flow} has no such option, only {flows}")


def widths(text):
    """`--hidden`'s widths.

    >>> widths("64,64")
    (64, 64)
    """
    return tuple(common.count(1)(part) for part in text.split(","))


def run(args):
    """Check the arguments before any work is done, then fit rows of numbers or images."""
    given = [args.data] if args.data not in nf.datasets.NAMES else []
    paths = {option: common.output_path(name, f"--{option}", suffixes, given) for option, name, suffixes in (
        ("out", args.out, (".npz",)), ("report", args.report, common.PICTURES), ("animate", args.animate, (".gif",)),
        ("history", args.history, (".csv",)), ("checkpoint", args.checkpoint, (".npz",))) if name is not None}
    for option, path in paths.items():
        for other in list(paths)[:list(paths).index(option)]:
            if path.resolve() == paths[other].resolve():
                raise ValueError(f"--{option}: expected another file than --{other}, got {path} for both")
    settle(args)
    if args.flow in fit_images.BUILD:
        fit_images.run(args, paths)
    elif images.are_images(args.data):
        raise ValueError(f"{args.data}: expected a table of rows for --flow {args.flow}, got images; these have --flow "
                         f"{', '.join(fit_images.BUILD)}")
    else:
        fit_table(args, paths)


def fit_table(args, paths):
    """`run` for rows of numbers."""
    rng = as_rng(args.seed)
    table = common.read_data(args.data, rng, args.quiet)
    common.say(args, describe(table))
    table, noisy = dequantized(table, args.dequantize, rng)
    nf.datasets.check_trainable(table)
    if len(table.x) < MIN_ROWS:
        raise ValueError(f"{table.source}: expected at least {MIN_ROWS} rows, some to learn from and some to hold out, "
                         f"got {len(table.x)}")
    for note in warnings_about(table):
        common.say(args, f"Note: {note}")

    x = table.x[rng.permutation(len(table.x))]
    n_test = min(max(round(args.test_fraction * len(x)), 2), len(x) - MIN_ROWS // 2)
    train, test = x[n_test:], x[:n_test]
    model, gaussian, words = prepare(args, table, train)
    model.info = {"columns": table.columns, "source": table.source, "standardized": True, "dequantized": noisy,
                  "flow": args.flow, "rows": len(train), "seed": args.seed}

    few = len(train) < FEW_ROWS
    common.say(args, f"Training {args.flow} with {len(model.theta)} parameters on {len(train)} rows; "
                     f"{n_test} held out for the test. Ctrl-C ends the training and keeps the best model so far.")
    history = watched.fit(args, paths, model, train, rng=rng, valid_fraction=0.2 if few else 0.1)
    common.say(args, f"{history.stopped.capitalize()}: step {history.step[-1]} after {history.seconds:.1f} s; "
                     f"best on the rows to stop by at step {history.best_step}{common.shortened(history)}.")

    log_p, reference = common.log_prob(model, test), gaussian.log_prob(test)
    results = compare(log_p, reference, words, args.flow)
    print("\n".join(results), flush=True)
    model.info["test_log_prob"] = float(log_p.mean())

    from nfnumpy import plot                                     # here, since matplotlib takes long to load
    n_drawn = min(len(x), 2000)
    figure = plot.report(history, model, train[:n_drawn], model.sample(n_drawn, rng), table.columns,
                         title=f"{pathlib.Path(table.source).name}: {results[0]}")
    nf.save(model, paths["out"])
    common.save_figure(figure, paths["report"])
    common.say(args, watched.written(paths))


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


def warnings_about(table):
    """What in the data makes a likelihood hard to trust."""
    whole = np.flatnonzero(whole_columns(table))
    if len(whole):
        names = ", ".join(common.some(repr(table.columns[j]) for j in whole))
        yield (f"only whole numbers in {names}, where a density can grow narrow peaks without end; --dequantize adds "
               "uniform noise on [0, 1) to them.")


def prepare(args, table, train):
    """The model in the units of the data, the Gaussian to compare it with, and how to call that one."""
    m, dtype = train.shape[1], np.dtype(args.dtype)
    build = {"maf": nf.maf, "realnvp": nf.realnvp, "iaf": nf.iaf}[args.flow]
    try:
        flow = build(m, args.steps, args.hidden, args.activation, rng=args.seed, dtype=dtype).flow
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


def compare(log_p, reference, words, flow):
    """The held-out log-likelihoods and their paired difference in words, and what to try if it is no gain."""
    mean, error = common.mean_and_error(log_p - reference)
    lines = [f"held-out log-likelihood {log_p.mean():.3f} nats, {words} {reference.mean():.3f}: "
             f"difference {mean:+.3f} +- {error:.3f}"]
    if not mean > 0:                                             # NaN included
        other = "maf" if flow == "realnvp" else "realnvp"
        lines.append(f"The flow is not better than the {words} here (its lowest held-out row has {log_p.min():.3g} "
                     f"nats); try a larger --weight-decay, smaller --hidden, fewer --steps or --flow {other}.")
    elif not mean > 3 * error:
        lines.append("The difference is within three standard errors: these rows do not show that the flow is better.")
    return lines
