"""What the commands share: arguments, reading data and models, and files that are written whole or not at all."""
import argparse
import csv
import difflib
import io
import math
import os
import pathlib
import sys
import warnings

import numpy as np

import nfnumpy as nf
from nfnumpy.commands.terminal import write_data
from nfnumpy.datasets.tables import SUFFIXES, read_stream
from nfnumpy.files import written_whole

PICTURES = (".png", ".pdf", ".svg")
CHUNK = 4096                                                     # rows at a time: memory does not grow with the data


def count(minimum):
    """A parser of whole numbers from `minimum` up, for argparse.

    >>> count(1)("12")
    12
    """
    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < minimum:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {minimum}, got {text!r}")
        return value
    return parse


def number(minimum, below=math.inf, open_end=False):
    """A parser of finite numbers from `minimum` (or, with `open_end`, above it) and below `below`, for argparse.

    >>> number(0)("1e-3")
    0.001
    """
    def parse(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value < below or (open_end and value == minimum):
            start = f"{'above' if open_end else 'of at least'} {minimum:g}"
            raise argparse.ArgumentTypeError(f"expected a finite number {start}"
                                             f"{'' if below == math.inf else f' and below {below:g}'}, got {text!r}")
        return value
    return parse


def add_seed(parser):
    """Declare ``--seed``."""
    parser.add_argument("--seed", type=count(0), default=0, metavar="N",
                        help="of all random choices; the same seed gives the same result (default %(default)s)")


def add_quiet(parser, words="print results and errors only, and no progress line"):
    """Declare ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help=words)


def say(args, text, file=None):
    """Print what a person likes to know on the way, unless asked to be quiet; on stderr where stdout is for data."""
    if not args.quiet:
        print(text, file=file, flush=True)


def output_path(name, option, suffixes, inputs=()):
    """The path to write to, checked before any work is done: a known suffix, an existing folder, no input overwritten.

    >>> output_path("model.txt", "--out", (".npz",))
    Traceback (most recent call last):
        ...
    ValueError: --out: expected a file name that ends in .npz, got 'model.txt'
    """
    path = pathlib.Path(name)
    if path.suffix.lower() not in suffixes:
        got = "-: only rows of numbers go to the standard output" if name == "-" else repr(str(name))
        raise ValueError(f"{option}: expected a file name that ends in {' or '.join(suffixes)}, got {got}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{option}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{option}: expected a file name, got the directory {path}")
    if path.exists() and any(os.path.exists(other) and path.samefile(other) for other in inputs):
        raise ValueError(f"{option}: writing to {path} would overwrite the input; choose another name")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{option}: the folder {path.parent} does not allow writing")
    return path


def write_columns(path, columns, x):
    """Write x ``(n, m)`` under the names of its columns: .csv, .tsv, .npy, or CSV on the standard output for None."""
    if path is None:
        write_data(as_text(columns, x, ","))
        return
    if path.suffix.lower() == ".npy":
        write_array(path, x)
        return
    with written_whole(path) as aside:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        aside.write_text(as_text(columns, x, delimiter), encoding="utf-8", newline="\n")


def write_array(path, x):
    """Write x to a .npy file."""
    with written_whole(path) as aside, open(aside, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(x), allow_pickle=False)


def as_text(columns, x, delimiter):
    """A header and a line a row, each number in the fewest digits that give it back exactly.

    >>> as_text(["a", "b"], np.array([[0.1, 2.0]]), ",")
    'a,b\\n0.1,2.0\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(x.tolist())
    return text.getvalue()


def save_figure(figure, path):
    """Write a matplotlib Figure to `path`."""
    with written_whole(path) as aside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)     # a column name in another script
        figure.savefig(aside, format=path.suffix[1:].lower(), dpi=100)


def read_data(name, seed=0, quiet=True):
    """The `Table` behind DATA: a named data set, for a name with a suffix a file, for - the standard input.

    A word without a suffix is always the name of a data set, so that a file that lies about cannot change its meaning;
    write ``moons.csv`` or ``./moons.csv`` for the file.

    >>> read_data("faithful").x.shape
    (272, 2)
    """
    path = pathlib.Path(name)
    if name == "-":
        if sys.stdin.isatty() and not quiet:
            print("Type rows of numbers with commas between them; end with Ctrl-D (on Windows Ctrl-Z and Enter).",
                  file=sys.stderr)
        return read_stream(sys.stdin.buffer, "standard input")
    if name in nf.datasets.NAMES:
        return nf.datasets.table(name, rng=seed)
    if not path.suffix and not path.exists():
        if "mnist" in name.lower():
            raise ValueError(f"{name}: MNIST is read from its own files: train-images-idx3-ubyte.gz, with --flow glow")
        beside = [path.name + suffix for suffix in SUFFIXES if path.with_name(path.name + suffix).is_file()]
        hint = f" (did you mean {path.with_name(beside[0])}?)" if beside else similar(name, nf.datasets.NAMES)
        raise ValueError(f"{name}: expected a file of type {', '.join(SUFFIXES)}, or one of the data sets "
                         f"{', '.join(nf.datasets.NAMES)}{hint}")
    refuse_model(name)
    return nf.datasets.read(path)


def refuse_model(name):
    """A ValueError for DATA that is a model's file."""
    path = pathlib.Path(name)
    if path.suffix.lower() == ".npz" and path.is_file():
        raise ValueError(f"{name} is a model file, which `sample` and `density` read as MODEL; expected data, a file "
                         f"of type {', '.join(SUFFIXES)}")


def read_model(name):
    """The model in the file `name`: of rows of numbers, or of images of whole grey values."""
    path = pathlib.Path(name)
    if name == "-":
        raise ValueError("MODEL: expected a file that `fit` wrote (.npz), got -: only rows of numbers come from the "
                         "standard input")
    if path.suffix.lower() in SUFFIXES or name in nf.datasets.NAMES:
        raise ValueError(f"{name}: expected a model file that `fit` wrote (.npz), got data")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; `fit` writes models")
    model = nf.load(path)
    if len(model.x_shape) != 1 and not hasattr(model, "grey_levels"):
        raise ValueError(f"{path}: expected a model of rows of numbers or of images of whole grey values, got one of "
                         f"real-valued samples of shape {model.x_shape}")
    return model


def columns_of(model):
    """The names of the columns that a model of rows was trained on."""
    columns = model.info.get("columns")
    if isinstance(columns, list) and [type(name) for name in columns] == [str] * model.x_shape[0]:
        return columns
    return default_columns(model.x_shape[0])


def default_columns(m):
    """The names of columns that have none, as `nfnumpy.datasets.read` gives them."""
    return [f"x{i}" for i in range(1, m + 1)]


def log_prob(model, x):
    """log p of each row, ``(n,)`` float64, some rows at a time."""
    return np.concatenate([np.asarray(model.log_prob(x[i:i + CHUNK]), np.float64) for i in range(0, len(x), CHUNK)])


def shortened(history):
    """The end of a sentence on a training: whether gradients were clipped.

    >>> shortened(nf.History(clipped=2))
    '; unusually long gradients, shortened: 2'
    """
    return f"; unusually long gradients, shortened: {history.clipped}" if history.clipped else ""


def similar(word, words):
    """What a misspelt word may have meant, in brackets.

    >>> similar("moonz", nf.datasets.NAMES), similar("dance", nf.datasets.NAMES)
    (' (did you mean moons?)', '')
    """
    found = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def mean_and_error(values):
    """The mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def one_sentence(error):
    """What is wrong, in one line.

    >>> one_sentence(OSError(13, "Permission denied", "model.npz"))
    'model.npz: permission denied'
    >>> one_sentence(MemoryError())
    'not enough memory; try a smaller --batch-size, smaller --hidden or --width, or less data'
    """
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror[0].lower()}{error.strerror[1:]}"
    if isinstance(error, MemoryError):
        return "not enough memory; try a smaller --batch-size, smaller --hidden or --width, or less data"
    return " ".join(str(error).split()) or type(error).__name__


def some(names, most=6):
    """The names, at most six of them and then how many more.

    >>> some(["a", "b", "c"], most=2)
    ['a', 'b', '1 more']
    """
    names = list(names)
    return names[:most] + ([f"{len(names) - most} more"] if len(names) > most else [])
