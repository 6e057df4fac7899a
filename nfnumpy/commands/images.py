"""Images on the command line: reading them, asking a model about them, and writing the ones that it draws."""
import math
import pathlib
from typing import NamedTuple

import numpy as np

import nfnumpy as nf
from nfnumpy.arrays import as_count, as_rng
from nfnumpy.commands import common
from nfnumpy.datasets.tables import load_npy

KINDS = "MNIST's IDX files (.idx, -ubyte, .gz), a .npy file of whole numbers (n, height, width[, channels]), or digits"
SUFFIXES = (".npy", ".png")
GREY_LEVELS = (2, 17, 256)                                       # black and white, the digits, a byte
CHUNK = 128                                                      # images at a time
DRAWS = 16                                                       # of the noise, for each image's bound


class Images(NamedTuple):
    """Whole grey values `x` ``(n, height, width, channels)``, 0 .. `grey_levels` - 1, and where they came from."""

    x: np.ndarray
    grey_levels: int
    source: str


def is_idx(name):
    """Whether a file is one of MNIST's by its name, such as t10k-images-idx3-ubyte.gz."""
    return str(name).lower().endswith((".idx", "-ubyte", ".gz"))


def are_images(name):
    """Whether DATA can only be images: an IDX file, or a .npy array of more than two axes."""
    path = pathlib.Path(name)
    if path.suffix.lower() != ".npy" or not path.is_file():
        return is_idx(name)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).ndim > 2
    except Exception:                                            # damaged: whoever reads it will say how
        return False


def read(name, grey_levels=None):
    """The `Images` behind DATA: one of `KINDS`.

    The number of grey levels is the smallest of 2, 17 and 256 that covers the data, unless it is given.

    >>> read("digits").x.shape, read("digits").grey_levels
    ((1797, 8, 8, 1), 17)
    """
    path = pathlib.Path(name)
    if name == "-":
        raise ValueError(f"DATA: expected a file of images, got -: only rows of numbers come from the standard input; "
                         f"images are {KINDS}")
    if name == "digits":
        x = nf.datasets.digits()[0]
    elif name in nf.datasets.NAMES or path.suffix.lower() in (".csv", ".tsv"):
        raise ValueError(f"{name}: expected images, got a table of rows, for which there are --flow maf, realnvp and "
                         f"iaf; images are {KINDS}")
    elif path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, got a directory")
    elif not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; images are {KINDS}")
    elif is_idx(name):
        x = nf.datasets.read_idx(path)
    elif path.suffix.lower() == ".npy":
        x = load_npy(path)
    else:
        raise ValueError(f"{path}: expected images, got {path.suffix or 'no suffix'}; images are {KINDS}")
    return Images(*as_images(x, name, grey_levels), str(name))


def as_images(x, name, grey_levels):
    """``x, grey_levels`` with x as whole numbers ``(n, height, width, channels)``, or a ValueError."""
    if x.ndim not in (3, 4):
        hint = ("; MNIST's labels are in a file of their own" if x.ndim == 1 else
                "; rows of numbers have --flow maf, realnvp and iaf" if x.ndim == 2 else "")
        raise ValueError(f"{name}: expected images with 3 or 4 axes, (n, height, width[, channels]), got an array of "
                         f"shape {x.shape}{hint}")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected whole numbers, got an array of dtype {x.dtype}")
    if not x.size:
        raise ValueError(f"{name}: expected images, got an empty array of shape {x.shape}")
    wrong = ~((x >= 0) & (x == np.floor(x)) & (x < (2**31 if grey_levels is None else grey_levels)))     # NaN included
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        wanted = "from 0 up" if grey_levels is None else f"0 to {grey_levels - 1}"
        raise ValueError(f"{name}: expected whole numbers {wanted}, got {int(wrong.sum())} others, the first "
                         f"{x[first]} at index {first}")
    if grey_levels is None:
        grey_levels = next((k for k in GREY_LEVELS if x.max() < k), None)
    if grey_levels is None:
        raise ValueError(f"{name}: expected grey values up to 255, got {x.max():g}; give their number by --grey-levels")
    return x.astype(np.min_scalar_type(grey_levels - 1)).reshape(*x.shape[:3], -1), grey_levels


def read_model(name):
    """The model in the file `name`, and the shape ``(height, width, channels)`` of its images; None if it has rows."""
    model = common.read_model(name)
    if not hasattr(model, "grey_levels"):
        return model, None
    shape = model.info.get("image_shape", model.x_shape)         # the autoregressive MLP takes them flattened
    if not (isinstance(shape, (list, tuple)) and [type(size) for size in shape] == [int] * 3 and min(shape) > 0
            and math.prod(shape) == math.prod(model.x_shape)):
        raise ValueError(f"{name}: expected a model that knows the shape of its images, got one of samples of shape "
                         f"{model.x_shape}")
    return model, tuple(shape)


def is_exact(model):
    """Whether log_prob is that of the whole grey values; a flow's is that of real values, and gives a bound."""
    return not hasattr(model, "prepare")


def log_prob(model, x, rng, draws=1):
    """log P(x) of each image, ``(n,)`` float64 nats; of a flow the bound E_u log p(x + u), the mean of `draws` u."""
    rng, x = as_rng(rng), x.reshape(-1, *model.x_shape)
    parts = [x[i:i + CHUNK] for i in range(0, len(x), CHUNK)]
    if is_exact(model):
        return np.concatenate([model.log_prob(part) for part in parts]).astype(np.float64)
    return np.concatenate([np.mean([model.log_prob(model.prepare(part, rng)) for _ in range(draws)], axis=0,
                                   dtype=np.float64) for part in parts])


def bits(log_p, shape):
    """Nats an image as bits a dimension.

    >>> bits(np.log([1 / 256]), (2, 2, 1))
    array([2.])
    """
    return -log_p / (math.prod(shape) * math.log(2))


def sample(model, shape, n, rng, temperature=1.0):
    """n images of whole grey values, ``(n, *shape)``; only a flow has noise z that can be scaled."""
    if is_exact(model) and temperature != 1:
        raise ValueError("--temperature scales the noise z of a flow; an autoregressive model of grey values has none")
    options, rng = {} if is_exact(model) else {"temperature": temperature}, as_rng(rng)
    x = np.empty((as_count(n, "-n"), *shape), np.min_scalar_type(model.grey_levels - 1))            # if it fits at all
    for start in range(0, n, CHUNK):
        x[start:start + CHUNK] = model.sample(min(CHUNK, n - start), rng, **options).reshape(-1, *shape)
    return x


def write(path, x, grey_levels):
    """Images to a .npy file, or as one picture to a .png file."""
    if path.suffix.lower() == ".npy":
        common.write_array(path, x)
    else:
        from nfnumpy import plot_images                          # here, since matplotlib takes long to load
        common.save_figure(plot_images.grid(x, grey_levels), path)
