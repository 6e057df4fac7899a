"""``python -m nfnumpy fit DATA``: learn the density of a table of numbers or of images, and say how good it is."""
import nfnumpy as nf
from nfnumpy.commands import common, fit_images, fit_tables, images
from nfnumpy.flows.named_transformers import TRANSFORMERS

EXAMPLE = """examples: a data set of the package, a file of your own, and images (a minute or two)

  python -m nfnumpy fit faithful --animate training.gif
  python -m nfnumpy fit data.csv --flow realnvp --hidden 32,32 --out model.npz --report report.png
  python -m nfnumpy fit digits --flow glow --out digits.npz
  python -m nfnumpy fit train-images-idx3-ubyte.gz --flow realnvp-image

maf, realnvp and iaf learn rows of numbers: a .csv, .tsv or .npy file. An iaf is fast to sample and slow to score:
training by maximum likelihood takes its sequential direction, a step a column. Of a single column affine and additive
layers make a Gaussian and no more; --transformer spline bends it.

glow, realnvp-image, ar-mlp and ar-cnn learn images of whole grey values: MNIST's IDX files (.idx, -ubyte, .gz) or a
.npy array (n, height, width[, channels]). The first two are flows: images get uniform noise, and the bits per dimension
that are printed are an upper bound. The other two are the autoregressive models of the recap: theirs are exact. The
defaults suit 8 x 8 pixels; with 28 x 28, a step of realnvp-image takes 3 GB, or less with a smaller --batch-size.

--animate shows data, density and samples while they are learnt, of more than two columns pairs, of images samples.
--history has a row for each evaluation, step,train,valid,lr,seconds, in nats, each there as soon as it is measured.
--checkpoint keeps where the training stands: the same command again goes on from there, after Ctrl-C or a crash. Its
film begins there, so that --animate needs another file then: one that is there is not overwritten.

DATA without a suffix is the name of a data set; write moons.csv or ./moons.npy for a file. Named data sets:
""" + f"  {', '.join(nf.datasets.NAMES)}\n  (digits are images, and to maf, realnvp and iaf rows of 64 numbers)"
STATUS = """exit status: 0 done, also when Ctrl-C ended the training: its best model is kept; 1 the model is there, but
the file of --animate, --history or --checkpoint could not be written, which ends training; 2 not usable, or training
failed: one sentence on stderr says why, and no file is changed but those of these three; 130 interrupted elsewhere"""

TABLES = {"transformer": "affine", "hidden": (64, 64), "activation": "tanh", "max_steps": 3000, "batch_size": 256,
          "lr": 1e-3, "warmup": 0, "weight_decay": 1.0, "patience": 20, "dtype": "float64", "dequantize": False}
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
    add("transformer", "how a coordinate moves; spline and mixture bend more than a scale and a shift, and are slower",
        choices=tuple(TRANSFORMERS))
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
    """Check the arguments before any work is done, then fit rows of numbers or images; the exit status."""
    common.refuse_model(args.data)                               # before a name of what is written is blamed
    given = [args.data] if args.data not in nf.datasets.NAMES else []
    paths = {option: common.output_path(name, f"--{option}", suffixes, given) for option, name, suffixes in (
        ("out", args.out, (".npz",)), ("report", args.report, common.PICTURES), ("animate", args.animate, (".gif",)),
        ("history", args.history, (".csv",)), ("checkpoint", args.checkpoint, (".npz",))) if name is not None}
    for option, path in paths.items():
        for other in list(paths)[:list(paths).index(option)]:
            if path.resolve() == paths[other].resolve():
                raise ValueError(f"--{option}: expected another file than --{other}, got {path} for both")
    settle(args)
    args.options = {name: getattr(args, name) for name in ("flow", "seed", "test_fraction", *OPTIONS[args.flow])}
    if args.flow in fit_images.BUILD:
        return fit_images.run(args, paths)
    if images.are_images(args.data):
        raise ValueError(f"{args.data}: expected a table of rows for --flow {args.flow}, got images; these have --flow "
                         f"{', '.join(fit_images.BUILD)}")
    return fit_tables.run(args, paths)
