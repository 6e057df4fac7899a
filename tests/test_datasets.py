"""Data sets by name, dequantization, and tables from files: what is read, and what is said about a wrong file."""
import math
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nfnumpy.datasets import NAMES, Table, check_trainable, dequantize, digits, load, read, table
from nfnumpy.datasets.images import patches
from nfnumpy.distributions import Gaussian
from nfnumpy.targets import TOY

reproducible = settings(deadline=None, derandomize=True, database=None, max_examples=100)
SIZES = {"faithful": (272, 2), "digits": (1797, 64), "patches": (4662, 63)}


# --- by name ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", NAMES)
def test_load_splits_one_draw(name):
    n, m = SIZES.get(name, (1000, 2))
    train, test = load(name, rng=0)
    assert train.shape == (n - round(0.2 * n), m) and test.shape == (round(0.2 * n), m)
    assert train.dtype == test.dtype == np.float64 and np.isfinite(train).all() and np.isfinite(test).all()
    if name in TOY:
        assert np.array_equal(np.concatenate([test, train]), TOY[name]().sample(1000, rng=0))


@pytest.mark.parametrize("name", NAMES)
def test_load_is_reproducible(name):
    state = np.random.get_state()[1].copy()
    first, again, other = load(name, 50, rng=1), load(name, 50, rng=1), load(name, 50, rng=2)
    generator = load(name, 50, rng=np.random.default_rng(1))
    for a, b, c, d in zip(first, again, generator, other):
        assert np.array_equal(a, b) and np.array_equal(a, c) and not np.array_equal(a, d)
    load(name, 5)
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("name", NAMES)
def test_table_names_the_columns(name):
    data = table(name, n=20, rng=0)
    assert isinstance(data, Table) and data.source == name and data.x.shape == (20, len(data.columns))
    assert len(set(data.columns)) == len(data.columns) and data.x.flags.c_contiguous
    train, test = load(name, n=20, rng=0)
    assert np.array_equal(np.concatenate([test, train]), data.x)


def test_real_data_are_what_they_say():
    faithful = table("faithful", rng=0)
    assert faithful.columns == ["eruptions_minutes", "waiting_minutes"]
    # colMeans(faithful) in R
    np.testing.assert_allclose(faithful.x.mean(axis=0), [3.487783, 70.89706], rtol=1e-6)
    assert table("digits", n=2, rng=0).columns[9] == "pixel_1_1"
    assert table("patches", n=2, rng=0).columns[-1] == "pixel_7_6"

    images, labels = digits()
    assert images.shape == (1797, 8, 8, 1) and images.dtype == np.uint8 and images.min() == 0 and images.max() == 16
    assert labels.shape == (1797,) and labels.dtype == np.uint8 and set(labels) == set(range(10))


@pytest.mark.parametrize("name", ["faithful", "digits"])
def test_every_row_is_in_one_part(name):
    train, test = load(name, rng=0)
    whole = np.floor(np.concatenate([train, test])) if name == "digits" else np.concatenate([train, test])
    source = digits()[0].reshape(-1, 64) if name == "digits" else table(name, rng=9).x
    assert np.array_equal(np.sort(whole, axis=0), np.sort(source, axis=0))


@pytest.mark.parametrize("name, n, fraction, sizes", [("moons", 10, 0.0, (10, 0)), ("moons", 2, 0.2, (1, 1)),
                                                      ("digits", 100, 0.25, (75, 25)), ("moons", 1, 0, (1, 0))])
def test_load_sizes(name, n, fraction, sizes):
    assert tuple(map(len, load(name, n, rng=0, test_fraction=fraction))) == sizes


@pytest.mark.parametrize("arguments, message", [
    (dict(name="moon"), "name: expected one of moons, .* patches, got 'moon'"),
    (dict(name=None), "name: expected one of"), (dict(name=["moons"]), "name: expected one of"),
    (dict(name="faithful", n=273), "n: expected at most 272, the number of rows of faithful, got 273"),
    (dict(name="digits", n=1798), "n: expected at most 1797"), (dict(name="patches", n=10 ** 6), "at most 4662"),
    (dict(name="moons", n=0), "n: expected a whole number of at least 1"), (dict(name="moons", n=1.5), "n: expected"),
    (dict(name="moons", n=1), "test_fraction: expected one that leaves rows to train, got 0.2 of 1"),
    (dict(name="moons", test_fraction=1.0), "test_fraction: expected a number from 0 up and below 1, got 1.0"),
    (dict(name="moons", test_fraction="a"), "test_fraction: expected"),
    (dict(name="moons", test_fraction=math.nan), "test_fraction: expected"),
    (dict(name="moons", test_fraction=-0.1), "test_fraction: expected"),
    (dict(name="moons", rng="a"), "rng: expected")])
def test_load_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


# --- images ----------------------------------------------------------------------------------------------------------

@reproducible
@given(hnp.arrays(st.sampled_from([np.uint8, np.int32, np.float32, np.float64, np.bool_]),
                  hnp.array_shapes(max_dims=3), elements=st.integers(0, 1)), st.integers(0, 2 ** 32 - 1))
def test_dequantize_undone_by_floor(x, seed):
    y = dequantize(255 * x.astype(np.int64) if x.dtype == np.int32 else x, seed)
    assert y.dtype == np.float64 and y.shape == x.shape
    assert np.array_equal(np.floor(y), 255 * x if x.dtype == np.int32 else x)


def test_dequantize_never_reaches_the_next_value():
    class LargestUniform(np.random.Generator):
        def random(self, size):
            return np.full(size, 1 - 2.0 ** -53)

    x = np.array([0.0, -1.0, 16.0, 255.0, 2.0 ** 40])
    assert np.array_equal(np.floor(dequantize(x, LargestUniform(np.random.PCG64(0)))), x)


def test_dequantize_draws_anew():
    rng = np.random.default_rng(0)
    x = np.zeros((20, 3), np.uint8)
    assert not np.array_equal(dequantize(x, rng), dequantize(x, rng))
    assert np.array_equal(dequantize(x, 0), dequantize(x, 0)) and not x.any()
    u = dequantize(np.zeros(10_000), 0)
    assert abs(u.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(u))              # 4 standard errors


@pytest.mark.parametrize("x, message", [
    ([[0.0, 1.0], [2.5, 0.5]], r"got 2 that are not, the first 2.5 at index \(1, 0\)"),
    ([math.nan], "the first nan"), ([math.inf], "the first inf"), (["a"], "got an array of dtype"),
    ([1j], "dtype complex"), ([None], "dtype object")])
def test_dequantize_refuses(x, message):
    with pytest.raises(ValueError, match="^x: expected whole numbers, " + ".*" + message):
        dequantize(x, 0)


def test_likelihood_of_whole_digits_diverges_and_that_of_dequantized_ones_does_not():
    whole = digits()[0].reshape(-1, 64).astype(np.float64)
    constant = np.flatnonzero(np.ptp(whole, axis=0) == 0)
    assert constant.tolist() == [0, 32, 39]                             # pixels (0, 0), (4, 0), (4, 7)
    with pytest.raises(ValueError, match="constant ones at index 0, 32, 39.*dequantize"):
        Gaussian.fit(whole)

    # a Gaussian that may be as narrow as sigma on the constant pixels: log p grows by 3 log 10 a decade, without end
    mean, covariance = whole.mean(axis=0), np.cov(whole.T, bias=True)
    values = []
    for sigma in (1e-2, 1e-3, 1e-4, 1e-5):
        covariance[constant, constant] = sigma ** 2
        values.append(Gaussian(mean, covariance).log_prob(whole).mean())
    np.testing.assert_allclose(np.diff(values), 3 * math.log(10), rtol=1e-6)

    # with noise the mean of log p bounds that of a log-probability, which is at most 0: also for the best Gaussian
    x = dequantize(whole, 0)
    assert -500 < Gaussian.fit(x).log_prob(x).mean() < 0


def test_bound_of_dequantization():
    # P(x), the mass that a Gaussian gives to [x, x + 1), against E_u log p(x + u): Jensen's inequality, by quadrature
    nodes, weights = np.polynomial.legendre.leggauss(40)
    u, weights = (nodes + 1) / 2, weights / 2
    gaussian = Gaussian([1.3], [[0.2]])
    for x in range(-1, 4):
        log_p = gaussian.log_prob((x + u)[:, None])
        assert weights @ log_p < math.log(weights @ np.exp(log_p)) < 0


def test_patches_are_disjoint_tiles():
    from matplotlib.cbook import get_sample_data
    from matplotlib.image import imread

    x = patches(rng=0)
    photograph = imread(get_sample_data("grace_hopper.jpg", asfileobj=False))
    grey = np.rint(photograph @ [0.299, 0.587, 0.114])
    assert x.shape == (4662, 63) and np.abs(x).max() < 1
    # the dropped pixel is minus the sum of the others; up to its mean, the second tile of the second row of tiles is
    # the photograph's, to within the noise on [0, 1) of each pixel and of the mean
    tile = np.append(x[63 + 1], -x[63 + 1].sum()).reshape(8, 8) * 256
    block = grey[12:20, 12:20]
    assert np.abs(tile - (block - block.mean())).max() < 1
    # no pixel twice: the tiles' pixels number no more than the photograph's, and differ from tile to tile
    assert len(x) == ((600 - 4) // 8) * ((512 - 4) // 8) and len(np.unique(x, axis=0)) == len(x)


def test_import_is_light():
    code = ("import sys, nfnumpy.datasets, nfnumpy.targets; nfnumpy.datasets.load('digits', rng=0);"
            "sys.exit(any(name.split('.')[0] == 'matplotlib' or name == 'scipy.optimize' for name in sys.modules))")
    root = pathlib.Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_attributions_are_shipped():
    import nfnumpy.datasets
    text = (pathlib.Path(nfnumpy.datasets.__file__).parent / "README.md").read_text(encoding="utf-8")
    for needed in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "Härdle", "Azzalini", "grace_hopper"):
        assert needed in text


# --- tables from files -----------------------------------------------------------------------------------------------

def write(folder, content, name="data.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", [
    "a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4\r\n", "\ufeffa,b\n1,2\n3,4", "a,b\n1,2\n3,4\n\n  \n\n", "a,b\r1,2\r3,4\r",
    '"a","b"\n"1","2"\n"3","4"\n', " a , b \n 1 , 2 \n 3 , 4 \n", '"a", "b"\n1, "2"\n3, "4"\n', "a,b\n\n1,2\n\n3,4\n",
    "a,b\n1.0,+2e0\n.3e1,4.\n"])
def test_read_is_tolerant(tmp_path, content):
    for name, text in (("data.csv", content), ("DATA.TSV", content.replace(",", "\t"))):
        data = read(write(tmp_path, text, name))
        assert data.columns == ["a", "b"] and np.array_equal(data.x, [[1, 2], [3, 4]])
        assert data.x.dtype == np.float64 and data.x.flags.c_contiguous and data.source == str(tmp_path / name)


def test_read_without_header(tmp_path):
    data = read(str(write(tmp_path, "1,2\n3,4\n")))
    assert data.columns == ["x1", "x2"] and np.array_equal(data.x, [[1, 2], [3, 4]])
    assert read(write(tmp_path, "5\n")).x.shape == (1, 1)
    assert read(write(tmp_path, ",a\n1,2\n")).columns == ["x1", "a"]


@reproducible
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
                  elements=st.floats(allow_nan=False, allow_infinity=False)),
       st.booleans(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(",\t"))
def test_read_what_was_written(x, header, newline, delimiter):
    lines = [delimiter.join(f"name {i}" for i in range(x.shape[1]))] if header else []
    lines += [delimiter.join(map(repr, row)) for row in x.tolist()]
    with tempfile.TemporaryDirectory() as folder:
        name = "data.csv" if delimiter == "," else "data.tsv"
        data = read(write(pathlib.Path(folder), newline.join(lines), name))
    assert np.array_equal(data.x, x) and data.columns[0] == ("name 0" if header else "x1")


@pytest.mark.parametrize("content, message", [
    ("", "the file is empty"), ("\n\n \n", "only blank lines"), ("\ufeff", "only blank lines"),
    ("a,b\n", "a header and no rows"),
    ("a,b\n1,2\n\n3,oops\n", "line 4, column 'b': expected a number, got 'oops'"),
    ("a,b\n1,\n", "line 2, column 'b': expected a number, got an empty field"),
    ("1,2\n1_0,2\n", "line 2, column 'x1': expected a number, got '1_0'"),
    ('"two\nlines",b\n1,2\nx,2\n', r"line 4, column 'two\\nlines': expected a number, got 'x'"),
    ("a\n" + "x" * 100, "got '" + "x" * 37 + r"\.\.\.'"),
    ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, expected 2"), ("1,2\n\n3\n", "line 3 has 1 fields, expected 2"),
    ("a,b\n1,2\nnan,4\n5,inf\n", "got 2 that are NaN or infinite, the first in line 3, column 'a'"),
    ("1,nan\n", "got 1 that .* the first in line 1, column 'x2'"), ("1e999\n", "NaN or infinite"),
    ("a,b,a,c,c\n1,2,3,4,5\n", "different names for the columns, got 'a', 'c' more than once"),
    (b"a,b\n1,2\n\xff\xfe,4\n", "expected UTF-8 text"), ("a,b\n1,2\n".encode("utf-16"), "expected UTF-8 text"),
    ('a,b\n1,2\n"3,4\n', r"line 3 is not a valid row \(unexpected end of data\)"),
    ("a\n1\x00\n", "expected a number|NUL")])
def test_read_says_what_is_wrong(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_read_other_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.csv: there is no such file"):
        read(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError, match="expected a file, got a directory"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"expected a file of type \.csv, \.tsv, \.npy, got \.xlsx"):
        read(write(tmp_path, "1", "data.xlsx"))
    with pytest.raises(ValueError, match="got no suffix"):
        read(write(tmp_path, "1", "data"))


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.arange(4),
                                   np.ones((2, 3), ">f4"), np.array([[True, False]]), np.ones((3, 1), np.float16)])
def test_read_npy(tmp_path, array):
    np.save(tmp_path / "data.npy", array)
    data = read(tmp_path / "data.npy")
    assert np.array_equal(data.x, array.reshape(len(array), -1)) and data.columns[-1] == f"x{data.x.shape[1]}"
    assert data.x.dtype == np.float64 and data.x.dtype.isnative and data.x.flags.c_contiguous and data.x.flags.writeable
    assert type(data.x) is np.ndarray and data.x.base is None


@pytest.mark.parametrize("array, message", [
    (np.ones((2, 2), complex), "expected real numbers, got an array of dtype complex128"),
    (np.array(["a", "b"]), "expected real numbers"), (np.array(["2020-01-01"], "M8[D]"), "expected real numbers"),
    (np.ones((2, 2, 2)), r"expected an array with 1 or 2 axes, got one of shape \(2, 2, 2\)"),
    (np.array(1.0), r"got one of shape \(\)"), (np.ones((0, 2)), r"an empty array of shape \(0, 2\)"),
    (np.ones((2, 0)), "an empty array"), (np.zeros(3, [("a", float)]), "expected real numbers"),
    (np.array([[1.0, 2.0], [3.0, np.nan]]), "got 1 .* the first in the row of index 1, column 'x2'")])
def test_read_npy_says_what_is_wrong(tmp_path, array, message):
    np.save(tmp_path / "data.npy", array)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "data.npy")
    assert str(caught.value).startswith(f"{tmp_path / 'data.npy'}: ")


class Exploit:
    """Unpickling this would create a file: the test looks for it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_read_never_unpickles(tmp_path):
    trace = tmp_path / "trace"
    np.save(tmp_path / "objects.npy", np.array([Exploit(trace)], dtype=object), allow_pickle=True)
    write(tmp_path, pickle.dumps(Exploit(trace)), "pickle.npy")
    np.savez(tmp_path / "archive.npz", x=np.ones(3))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    for name in ("objects", "pickle", "archive"):
        with pytest.raises(ValueError, match=f"{name}.npy: expected a .npy file of plain numbers, got one that is"):
            read(tmp_path / f"{name}.npy")
    assert not trace.exists()


@pytest.fixture(scope="module")
def npy_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("npy") / "data.npy"
    np.save(path, np.arange(12.0).reshape(6, 2))
    return path.read_bytes()


@reproducible
@given(data=st.data())
def test_damaged_npy_is_refused_or_a_valid_table(npy_bytes, data):
    content = bytearray(npy_bytes)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[:data.draw(st.integers(0, len(content)))])
    check_read(content, "data.npy")


@reproducible
@given(st.one_of(st.binary(max_size=40), st.text(alphabet='1.5e-,\t\n\r "ax', max_size=40).map(str.encode)),
       st.sampled_from(["data.csv", "data.tsv", "data.npy"]))
def test_any_bytes_are_refused_or_a_valid_table(content, name):
    check_read(content, name)


def check_read(content, name):
    with tempfile.TemporaryDirectory() as folder:
        path = write(pathlib.Path(folder), content, name)
        try:
            data = read(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert data.x.ndim == 2 and data.x.size and np.isfinite(data.x).all() and data.x.dtype == np.float64
            assert len(data.columns) == data.x.shape[1] == len(set(data.columns))


def test_check_trainable():
    check_trainable(table("faithful", rng=0))
    with pytest.raises(ValueError, match="^data.csv: expected at least 2 rows to learn from, got 1$"):
        check_trainable(Table(np.ones((1, 2)), ["a", "b"], "data.csv"))
    x = np.array([[1.5, 0.1, 7.0], [2.5, 0.1, 7.0]])
    with pytest.raises(ValueError, match=r"column 'b' is constant \(0.1\), 'c' is constant \(7\): .* drop the column$"):
        check_trainable(Table(x, list("abc"), "data.csv"))
    whole = Table(digits()[0].reshape(-1, 64).astype(float), [f"x{i}" for i in range(64)], "digits")
    with pytest.raises(ValueError, match=r"'x0' is constant \(0\), .* dequantize the data"):
        check_trainable(whole)
    check_trainable(table("digits", rng=0))
