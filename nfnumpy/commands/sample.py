"""``python -m nfnumpy sample MODEL``: new rows from a model, under the names of the columns it was trained on."""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.commands import common

EXAMPLE = """example: a thousand new rows, and three of them on the screen

  python -m nfnumpy sample model.npz -n 1000 --out samples.csv
  python -m nfnumpy sample model.npz -n 3 --out -"""


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a .npz file that `fit` wrote")
    parser.add_argument("-n", type=common.count(1), default=1000, metavar="N",
                        help="number of rows (default %(default)s)")
    parser.add_argument("--out", default="samples.csv", metavar="FILE",
                        help="a .csv, .tsv or .npy file, or - for the screen (default %(default)s)")
    parser.add_argument("--temperature", type=common.number(0), default=1.0, metavar="T",
                        help="scales the noise z; below 1 keeps nearer to the middle (default %(default)g)")
    common.add_seed(parser)
    common.add_quiet(parser)


def run(args):
    path = None if args.out == "-" else common.output_path(args.out, "--out", common.SUFFIXES, [args.model])
    model, columns = common.read_model(args.model)
    rng, parts = as_rng(args.seed), []
    for start in range(0, args.n, common.CHUNK):
        parts.append(model.sample(min(common.CHUNK, args.n - start), rng, args.temperature))
    x = np.concatenate(parts)
    if not np.isfinite(x).all():
        raise ValueError(f"{args.model}: {np.count_nonzero(~np.isfinite(x).all(axis=1))} of {args.n} samples are not "
                         "finite; try a lower --temperature")
    whole = [j for j, name in enumerate(columns) if name in model.info.get("dequantized", [])]
    x[:, whole] = np.floor(x[:, whole])                          # the noise that --dequantize added comes off again
    common.write_columns(path, columns, x)
    if path is not None:
        rows = "1 row" if args.n == 1 else f"{args.n} rows"
        common.say(args, f"Wrote {rows} of {', '.join(common.some(columns))} to {path}.")
