"""A user's table of numbers, from a file: what is wrong with it is said in one sentence that names the place."""
import csv
import io
import pathlib
from typing import NamedTuple

import numpy as np

from nfnumpy.distributions import list_some

SUFFIXES = (".csv", ".tsv", ".npy")


class Table(NamedTuple):
    """Numbers with the names of their columns.

    `x`: ``(n, m)`` float64, C-contiguous; `columns`: m names; `source`: the file or the data set they came from.

    >>> Table(np.zeros((3, 1)), ["x1"], "example.csv").columns
    ['x1']
    """

    x: np.ndarray
    columns: list
    source: str


def read(path):
    """The `Table` in a `.csv`, `.tsv` or `.npy` file.

    Text files hold one row a line, UTF-8, fields separated by commas or tabs and perhaps quoted; blank lines are
    skipped. A first row that is not all numbers gives the names of the columns, otherwise they are x1, x2, ...;
    a `.npy` file holds a 2-D array of real numbers, or a 1-D array, which is one column.

    Raises FileNotFoundError and IsADirectoryError, and ValueError, each with one sentence that names the file and the
    place, for everything else: no rows, rows of different lengths, text among the numbers, NaN or infinity, duplicate
    names, a damaged file, an unknown suffix.

    >>> read("data.xlsx")
    Traceback (most recent call last):
        ...
    FileNotFoundError: data.xlsx: there is no such file
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, got a directory")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a file of type {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    if suffix == ".npy":
        return finite(*read_npy(path), str(path))
    with open(path, "rb") as file:
        return finite(*read_text(file, str(path), "\t" if suffix == ".tsv" else ","), str(path))


def read_stream(file, source):
    """The `Table` in an open binary `file`, such as ``sys.stdin.buffer``: text with commas, or with tabs, as in `read`.

    >>> read_stream(io.BytesIO(b"a b\\tc\\n1\\t2\\n"), "standard input")
    Table(x=array([[1., 2.]]), columns=['a b', 'c'], source='standard input')
    """
    content = file.read()
    if not content:
        raise ValueError(f"{source}: there is nothing in it")
    first = content.lstrip().partition(b"\n")[0]
    return finite(*read_text(io.BytesIO(content), source, "\t" if b"\t" in first else ","), source)


def finite(x, columns, places, source):
    """The `Table`, or a ValueError that names the place of the first number that is NaN or infinite."""
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"{source}: expected finite numbers, got {int(bad.sum())} that are NaN or infinite, "
                         f"the first in {places[row]}, column {columns[column]!r}")
    return Table(x, columns, source)


def read_text(file, path, delimiter):
    """x, columns and the place of each row (a line, as an editor counts them) of a binary file."""
    header, rows, places, end = None, [], [], 0
    try:
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
            for fields in reader:
                place, end = f"line {end + 1}", reader.line_num         # a quoted field may span lines
                fields = [field.strip() for field in fields]
                if fields in ([], [""]):
                    continue
                if header is None:
                    header = fields
                    columns = name_columns(fields, path)
                    if not all(is_number(field) for field in fields):
                        continue
                refuse_semicolons(fields, path, place, delimiter)
                if len(fields) != len(header):
                    raise ValueError(f"{path}: {place} has {len(fields)} fields, expected {len(header)} as in the "
                                     "first row")
                rows.append([parse(field, path, place, column) for field, column in zip(fields, columns)])
                places.append(place)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got other bytes (the first at byte {error.start}); save it as "
                         "UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path}: line {end + 1} is not a valid row ({error})") from None
    if header is None:
        raise ValueError(f"{path}: the file holds only blank lines")
    if not rows:
        raise ValueError(f"{path}: the file holds a header and no rows")
    return np.array(rows, dtype=np.float64), columns, places


def refuse_semicolons(fields, path, place, delimiter):
    """ValueError where ``;`` stands between numbers, as where commas are decimal points."""
    for field in fields:
        if ";" in field and all(is_number(part.strip()) for part in field.split(";")):
            wanted = "tab" if delimiter == "\t" else "comma"
            first = ", after turning decimal commas into points" if len(fields) > 1 and delimiter == "," else ""
            raise ValueError(f"{path}: {place}: expected {wanted}s between the numbers, got ';' ({field!r}); replace "
                             f"every ';' by a {wanted}{first}")


def name_columns(first_row, path):
    """The header's names, or x1 .. xm when the first row is data; a column without a name gets its number too."""
    if all(is_number(field) for field in first_row):
        return [f"x{i}" for i in range(1, len(first_row) + 1)]
    columns = [field or f"x{i}" for i, field in enumerate(first_row, start=1)]
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise ValueError(f"{path}: expected different names for the columns, got {list_some(map(repr, duplicates))} "
                         "more than once")
    return columns


def is_number(field):
    """Whether `field` is written as a number; Python's own 1_000 is not how data files write one.

    >>> is_number("-1e3"), is_number("nan"), is_number("1_000"), is_number("")
    (True, True, False, False)
    """
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def parse(field, path, place, column):
    """The number that a field holds, or a ValueError that names its place."""
    if is_number(field):
        return float(field)
    found = repr(field if len(field) <= 40 else field[:37] + "...") if field else "an empty field"
    raise ValueError(f"{path}: {place}, column {column!r}: expected a number, got {found}; leave the row or the "
                     "column out")


def load_npy(path):
    """The array in a .npy file; a ValueError for one that is damaged or holds objects."""
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)           # never pickles, which can run code
    except OSError:
        raise
    except Exception as error:                              # a damaged header can make NumPy raise almost anything
        raise ValueError(f"{path}: expected a .npy file of plain numbers, got one that is damaged or holds objects "
                         f"({str(error).splitlines()[0] if str(error) else type(error).__name__})") from None


def read_npy(path):
    """x, columns and the place of each row (its index)."""
    array = load_npy(path)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected real numbers, got an array of dtype {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{path}: expected an array with 1 or 2 axes, got one of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{path}: expected rows and columns, got an empty array of shape {array.shape}")
    with np.errstate(over="ignore"):                        # beyond float64: infinite, which `read` refuses
        x = np.array(array.reshape(len(array), -1), dtype=np.float64, order="C")
    return x, [f"x{i}" for i in range(1, x.shape[1] + 1)], [f"the row of index {i}" for i in range(len(x))]


def check_trainable(table):
    """ValueError for a table that no density can be learnt from: a single row, or constant columns.

    Separate from `read`, since evaluating a density on one row is fine.

    >>> check_trainable(Table(np.array([[1.0, 5.0], [2.0, 5.0]]), ["a", "b"], "data.csv"))
    Traceback (most recent call last):
        ...
    ValueError: data.csv: column 'b' is constant (5): its density would be infinitely narrow; drop the column, or
        dequantize the data (add uniform noise on [0, 1)) if they are whole numbers
    """
    if len(table.x) < 2:
        raise ValueError(f"{table.source}: expected at least 2 rows to learn from, got {len(table.x)}")
    constant = np.flatnonzero((table.x == table.x[0]).all(axis=0))
    if len(constant):
        named = list_some(f"{table.columns[i]!r} is constant ({table.x[0, i]:g})" for i in constant)
        whole = (np.floor(table.x) == table.x).all()
        remedy = ", or dequantize the data (add uniform noise on [0, 1)) if they are whole numbers" if whole else ""
        raise ValueError(f"{table.source}: column {named}: its density would be infinitely narrow; drop the column"
                         f"{remedy}")
