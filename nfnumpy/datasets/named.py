"""Data sets by name: `table` with the names of the columns, `load` split into training and test rows."""
import pathlib

from nfnumpy.arrays import as_count, as_number, as_rng
from nfnumpy.targets import TOY
from nfnumpy.datasets.images import dequantize, digits, patches
from nfnumpy.datasets.tables import Table, read

NAMES = (*TOY, "faithful", "digits", "patches")


def table(name, n=None, rng=None):
    """A data set by name as a `Table`: x ``(n, m)`` float64 in random order, columns, source.

    Arguments: `name`, one of `NAMES`; `n`, the number of rows: 1000 by default for the toy densities, all of them for
    the real data, of which a smaller number is a random choice; `rng`, None, an int or a Generator.

    Raises ValueError for an unknown name and for more rows than a real data set has.

    >>> table("faithful", n=3, rng=0).columns
    ['eruptions_minutes', 'waiting_minutes']
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"name: expected one of {', '.join(NAMES)}, got {name!r}")
    rng = as_rng(rng)
    if n is not None:
        n = as_count(n, "n", minimum=1)
    if name in TOY:
        return Table(TOY[name]().sample(1000 if n is None else n, rng), ["x1", "x2"], name)

    if name == "faithful":
        x, columns, _ = read(pathlib.Path(__file__).parent / "faithful.csv")
    elif name == "digits":
        x, columns = dequantize(digits()[0].reshape(-1, 64), rng), PIXELS
    else:
        x, columns = patches(rng), PIXELS[:-1]
    if n is not None and n > len(x):
        raise ValueError(f"n: expected at most {len(x)}, the number of rows of {name}, got {n}")
    return Table(x[rng.permutation(len(x))[:n]], list(columns), name)


def load(name, n=None, rng=None, test_fraction=0.2):
    """A data set by name, split at random: `(train, test)`, two float64 arrays ``(rows, m)`` from one draw.

    ==================  ======  ==================================================================================
    toy densities       m = 2   `n` rows in all, 1000 by default; the truth is ``nfnumpy.targets.TOY[name]()``
    ``faithful``        m = 2   272 eruptions of the Old Faithful geyser: duration and waiting time in minutes
    ``digits``          m = 64  1797 handwritten digits: whole grey values 0..16 plus uniform noise on [0, 1)
    ``patches``         m = 63  4662 patches of a photograph, as `images.patches` prepares them
    ==================  ======  ==================================================================================

    Arguments: `name`, `n` and `rng` as for `table`; `test_fraction`, from 0 up and below 1: the share of the test rows,
    at least one row unless it is 0.

    Raises ValueError for an unknown name, more rows than a real data set has, and a split that leaves no row to train.

    >>> train, test = load("moons", n=10, rng=0)
    >>> train.shape, test.shape
    ((8, 2), (2, 2))
    """
    as_number(test_fraction, "test_fraction", "a number from 0 up and below 1", lambda number: 0 <= number < 1)
    x = table(name, n, rng).x
    n_test = max(round(test_fraction * len(x)), 1 if test_fraction else 0)
    if n_test >= len(x):
        raise ValueError(f"test_fraction: expected one that leaves rows to train, got {test_fraction!r} of {len(x)}")
    return x[n_test:], x[:n_test]


PIXELS = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
