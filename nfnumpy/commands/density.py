"""``python -m nfnumpy density MODEL DATA``: log p of every row or image, in nats and in the units of the data."""
import sys

import numpy as np

import nfnumpy as nf
from nfnumpy.arrays import as_rng
from nfnumpy.commands import common, images

EXAMPLE = """examples: one number a row or an image, in nats, under the header log_prob; the second as part of a pipe

  python -m nfnumpy density model.npz data.csv --out log_prob.csv
  python -m nfnumpy sample model.npz --out - | python -m nfnumpy density model.npz - --out -
  python -m nfnumpy density digits.npz digits --out log_prob.csv

Of images of whole grey values it is the log-probability of the image: of an autoregressive model exactly, of a flow a
lower bound, the mean over 16 draws of the noise. Divided by -ln 2 times the number of pixels and channels it is bits
per dimension, of which the mean is printed."""
DRAWS = 16


def add_arguments(parser):
    """Declare what `density` takes."""
    parser.add_argument("model", metavar="MODEL", help="a .npz file that `fit` wrote")
    parser.add_argument("data", metavar="DATA",
                        help="a .csv, .tsv or .npy file with the model's columns, in any order if it has a header; of "
                             "images a file as for `fit`; the name of a data set; or - for CSV or TSV on the "
                             "standard input")
    parser.add_argument("--out", default="log_prob.csv", metavar="FILE",
                        help="a .csv, .tsv or .npy file, or - for CSV on the standard output (default %(default)s)")
    common.add_seed(parser)
    common.add_quiet(parser)


def run(args):
    """Write log p of each row or image of ``args.data``: a column of numbers."""
    path = None if args.out == "-" else common.output_path(args.out, "--out", common.SUFFIXES, [args.model, args.data])
    model, shape = images.read_model(args.model)
    if shape is None:
        columns = common.columns_of(model)
        x, note = in_order(common.read_data(args.data, args.seed, args.quiet), columns)
        if note:
            common.say(args, note, sys.stdout if path else sys.stderr)
        log_p, kind, end = log_prob(model, x, columns, args), "row", ""
    else:
        x = images.read(args.data, model.grey_levels).x
        if x.shape[1:] != shape:
            raise ValueError(f"{args.data}: expected images of shape {shape}, those of the model, got {x.shape[1:]}")
        log_p, kind = images.log_prob(model, x, args.seed, DRAWS), "image"
        end = (f" That is {images.bits(log_p, shape).mean():.3f} bits per dimension"
               f"{'' if images.is_exact(model) else ', an upper bound'}.")
    common.write_columns(path, ["log_prob"], log_p[:, None])
    if path is not None:
        common.say(args, f"Wrote log p of {len(x)} {kind if len(x) == 1 else kind + 's'} to {path}, in nats: "
                         f"mean {log_p.mean():.3f}, lowest {log_p.min():.3f}, highest {log_p.max():.3f}.{end}")


def log_prob(model, x, columns, args):
    """log p of each row; for the columns of `fit --dequantize` the bound E_u log p(x + u) <= log P(x)."""
    whole = [j for j, name in enumerate(columns) if name in model.info.get("dequantized", [])]
    if not whole:
        return common.log_prob(model, x)
    rng, total = as_rng(args.seed), np.zeros(len(x))
    for _ in range(DRAWS):
        noisy = x.copy()
        noisy[:, whole] = nf.datasets.dequantize(x[:, whole], rng)
        total += common.log_prob(model, noisy)
    return total / DRAWS


def in_order(table, columns):
    """``x, note``: the columns of `table` in the order of the model's `columns`, and what was done about it, or None.

    The same names in another order are reordered. Where one side has no names of its own (x1, x2, ...: a file without
    a header) the order counts. Anything else is a ValueError.

    >>> in_order(nf.datasets.Table(np.array([[1.0, 2.0]]), ["b", "a"], "data.csv"), ["a", "b"])
    (array([[2., 1.]]), 'The columns of data.csv come in another order than in the training data: reordered by name.')
    """
    x, names, source = table
    unnamed, model_unnamed = (some == common.default_columns(len(some)) for some in (names, columns))
    if names == columns:
        return x, None
    if sorted(names) == sorted(columns) and not unnamed:
        return (x[:, [names.index(name) for name in columns]],
                f"The columns of {source} come in another order than in the training data: reordered by name.")
    if len(names) != len(columns):
        raise ValueError(f"{source}: expected the {len(columns)} columns of the model, "
                         f"{', '.join(common.some(columns))}, got {len(names)} ({', '.join(common.some(names))})")
    if unnamed or model_unnamed:
        side = f"{source} has no names for its columns" if unnamed else "The model has no names for its columns"
        return x, f"{side}: taken in the order {', '.join(common.some(columns if unnamed else names))}."
    missing = [name for name in columns if name not in names]
    foreign = [name for name in names if name not in columns]
    raise ValueError(f"{source}: expected the columns of the model; {', '.join(common.some(map(repr, missing)))} "
                     f"{'is' if len(missing) == 1 else 'are'} missing, and "
                     f"{', '.join(common.some(map(repr, foreign)))} "
                     f"{'is' if len(foreign) == 1 else 'are'} not known to it")
