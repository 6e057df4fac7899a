"""``python -m nfnumpy sample MODEL``: new rows from a model, under the names of its columns, or new images."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.commands import common, images

EXAMPLE = """examples: a thousand new rows, three of them on the screen, and images as numbers and as a picture

  python -m nfnumpy sample model.npz -n 1000 --out samples.csv
  python -m nfnumpy sample model.npz -n 3 --out -
  python -m nfnumpy sample digits.npz -n 1000 --out samples.npy
  python -m nfnumpy sample digits.npz -n 64 --temperature 0.7 --out samples.png"""


def add_arguments(parser):
    """Declare what `sample` takes."""
    parser.add_argument("model", metavar="MODEL", help="a .npz file that `fit` wrote")
    parser.add_argument("-n", type=common.count(1), metavar="N",
                        help="number of rows or images (default 1000, of a picture 64)")
    parser.add_argument("--out", metavar="FILE",
                        help="of rows a .csv, .tsv or .npy file, or - for CSV on the standard output (default "
                             "samples.csv); of images a .npy file of whole grey values (n, height, width, channels), "
                             "or a .png picture (default samples.npy)")
    parser.add_argument("--temperature", type=common.number(0), default=1.0, metavar="T",
                        help="scales the noise z; below 1 keeps nearer to the middle (default %(default)g)")
    common.add_seed(parser)
    common.add_quiet(parser)


def run(args):
    """Write ``args.n`` new rows, or images."""
    model, shape = images.read_model(args.model)
    if shape is None:
        sample_rows(args, model)
    else:
        sample_images(args, model, shape)


def sample_rows(args, model):
    """`run` for a model of rows of numbers."""
    out, n, columns = args.out or "samples.csv", args.n or 1000, common.columns_of(model)
    path = None if out == "-" else common.output_path(out, "--out", common.SUFFIXES, [args.model])
    rng, x = as_rng(args.seed), np.empty((as_count(n, "-n"), *model.x_shape), model.theta.dtype)   # if it fits at all
    for start in range(0, n, common.CHUNK):
        x[start:start + common.CHUNK] = model.sample(min(common.CHUNK, n - start), rng, args.temperature)
    if not np.isfinite(x).all():
        raise ValueError(f"{args.model}: {np.count_nonzero(~np.isfinite(x).all(axis=1))} of {n} samples are not "
                         "finite; try a lower --temperature")
    whole = [j for j, name in enumerate(columns) if name in model.info.get("dequantized", [])]
    x[:, whole] = np.floor(x[:, whole])                          # the noise that --dequantize added comes off again
    common.write_columns(path, columns, x)
    if path is not None:
        rows = "1 row" if n == 1 else f"{n} rows"
        common.say(args, f"Wrote {rows} of {', '.join(common.some(columns))} to {path}.")


def sample_images(args, model, shape):
    """`run` for a model of images."""
    path = common.output_path(args.out or "samples.npy", "--out", images.SUFFIXES, [args.model])
    n = args.n or (64 if path.suffix.lower() == ".png" else 1000)
    x = images.sample(model, shape, n, args.seed, args.temperature)
    images.write(path, x, model.grey_levels)
    common.say(args, f"Wrote {'1 image' if n == 1 else f'{n} images'} of shape {shape}, grey values {x.min()} to "
                     f"{x.max()}, to {path}.")
