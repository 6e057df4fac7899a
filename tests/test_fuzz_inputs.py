"""Fuzzing: whatever is given to the public functions, the outcome is a right answer or an error that names the argument."""
import contextlib
import io
import os
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.__main__ import main

CASES = settings(max_examples=10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 200)
GOOD = np.random.default_rng(0).standard_normal((6, 2))


class Other:
    """An object that is nothing in particular."""

    def __repr__(self):
        return "Other()"


SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 3, -1, 10 ** 18, 2 ** 63, 10 ** 400, 0.0, 0.5, 2.0, -1.5, 1e300, float("nan"),
                           float("inf"), -float("inf"), 1j, "", "2", "relu", b"2", (), [], {}, Other(), np.int8(2), np.uint64(2),
                           np.float16(1.5), np.float32("nan"), np.bool_(True), np.array(2), np.array([2]), (2, 2), [2, -1],
                           (0,), [1.5], ("a",), (10 ** 12, 10 ** 12), range(2), np.float64, object, lambda: 0])


@st.composite
def arrays(draw):
    """Arrays and things like them, some of them right for a model of two columns."""
    shape = draw(st.sampled_from([(3, 2), (2,), (0, 2), (1, 2), (3, 3), (3, 0), (0,), (), (2, 2, 2), (3, 1)]))
    x = np.random.default_rng(0).integers(0, 3, shape)
    x = x.astype(draw(st.sampled_from([np.float64, np.float32, np.float16, np.longdouble, int, np.uint8, bool, complex, object,
                                       "U3", "S3", "M8[D]", ">f8"])))
    change = draw(st.sampled_from([None] * 3 + ["nan", "inf", "huge", "fortran", "strided", "negative strides", "read-only",
                                                "broadcast", "list", "ragged", "masked", "mask of nothing", "matrix"]))
    if change in ("nan", "inf", "huge") and x.dtype.kind in "fcO" and x.size:
        x.flat[0] = {"nan": np.nan, "inf": -np.inf, "huge": 6e4 if x.dtype == np.float16 else 1e15}[change]
    elif change == "fortran":
        x = np.asfortranarray(x)
    elif change == "strided":
        x = np.repeat(x, 2, axis=0)[::2] if x.ndim else x
    elif change == "negative strides":
        x = x[::-1] if x.ndim else x
    elif change == "read-only":
        x.flags.writeable = False
    elif change == "broadcast":
        x = np.broadcast_to(x, (3, *x.shape[1:])) if x.ndim and len(x) == 1 else x
    elif change == "list":
        x = x.tolist()
    elif change == "ragged":
        x = [[1.0, 2.0], [3.0]]
    elif change in ("masked", "mask of nothing"):
        x = np.ma.masked_array(x, mask=np.full(shape, change == "masked"))
    return x


THINGS = st.one_of(SCALARS, arrays())


def answers_or_names(argument, function, *args, **kwargs):
    """The answer; None after a ValueError or TypeError whose message names one of the arguments in `argument`."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)         # of constant columns
            return function(*args, **kwargs)
    except (ValueError, TypeError) as error:
        assert re.search(rf"\b({argument})\b", str(error)), f"the message does not name {argument}: {error!r}"
    except MemoryError:                                          # a sentence on the command line
        pass
    return None


def plain(x):
    return np.asarray(x, np.float64)


model = nf.realnvp(2, steps=1, hidden=(3,), rng=0)
nf.testing.randomize(model.flow, 0)
grey = nf.AutoregressiveMLP(2, grey_levels=3, hidden=(3,), rng=0)
USES_OF_X = {
    "log_prob": lambda x: model.log_prob(x), "log_prob_vjp": lambda x: model.log_prob_vjp(x)[0],
    "discrete": lambda x: grey.log_prob(x), "loss": lambda x: nf.negative_log_likelihood(model, x)[0],
    "forward_kl": lambda x: nf.forward_kl(model, x, nf.StandardNormal(2))[0],
    "forward": lambda x: model.flow.forward(x)[0], "inverse": lambda x: model.flow.inverse(x)[0],
    "standardize": lambda x: nf.Standardize.of(x), "gaussian": lambda x: nf.Gaussian.fit(x),
    "initialize": lambda x: nf.NormalizingFlow(nf.ActNorm((2,))).initialize(x),
    "base": lambda x: nf.StandardNormal(2).log_prob(x), "dequantize": lambda x: nf.datasets.dequantize(x, 0),
    "toy": lambda x: nf.targets.TOY["moons"]().log_prob(x), "score": lambda x: nf.targets.TOY["moons"]().score(x)}


@CASES
@given(name=st.sampled_from(sorted(USES_OF_X)), x=THINGS)
def test_data(name, x):
    """Each use of data refuses it, naming it, or gives what it gives for the same numbers in plain float64."""
    answer = answers_or_names("x|z|theta" + "|mean|covariance" * (name == "gaussian"), USES_OF_X[name], x)
    if isinstance(answer, np.ndarray) and name not in ("base", "forward", "inverse"):        # these let NaN through
        assert answer.dtype.kind == "f" and not np.isnan(answer).any()
    if isinstance(answer, np.ndarray) and np.asarray(x).dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(answer, USES_OF_X[name](plain(x)), rtol=1e-5, atol=1e-5)
        assert len(answer) == len(x)


BUILDS = {
    "maf": (nf.maf, {"dim": 2, "steps": 1, "hidden": (3,), "activation": "relu", "rng": 0, "dtype": np.float64}),
    "iaf": (nf.iaf, {"dim": 2, "steps": 1, "hidden": (3,), "activation": "relu", "rng": 0, "dtype": np.float64}),
    "realnvp": (nf.realnvp, {"dim": 2, "steps": 1, "hidden": (3,), "activation": "relu", "rng": 0, "dtype": np.float64}),
    "linear": (nf.linear, {"dim": 2, "kind": "plu", "rng": 0, "dtype": np.float64}),
    "glow": (nf.glow, {"shape": (2, 2, 1), "levels": 1, "steps": 1, "width": 2, "grey_levels": 3, "alpha": 0.1,
                       "activation": "tanh", "rng": 0, "dtype": np.float32}),
    "realnvp_image": (nf.realnvp_image, {"shape": (2, 2, 1), "couplings": 1, "blocks": 1, "width": 2, "grey_levels": 3,
                                         "alpha": 0.1, "activation": "tanh", "rng": 0, "dtype": np.float32}),
    "AutoregressiveMLP": (nf.AutoregressiveMLP, {"dim": 2, "grey_levels": 3, "hidden": (3,), "activation": "relu",
                                                 "order": None, "rng": 0, "dtype": np.float64}),
    "GaussianAutoregressive": (nf.GaussianAutoregressive, {"dim": 2, "hidden": (3,), "activation": "relu",
                                                           "order": "reversed", "rng": 0, "dtype": np.float64}),
    "Gaussian": (nf.Gaussian, {"mean": [0.0, 1.0], "covariance": [[2.0, 0.0], [0.0, 1.0]]}),
    "Standardize": (nf.Standardize, {"mean": [0.0, 1.0], "scale": [2.0, 1.0]}),
    "Permutation": (nf.Permutation, {"perm": [1, 0]}), "StandardNormal": (nf.StandardNormal, {"shape": 2}),
    "Adam": (nf.Adam, {"theta": np.zeros(3), "lr": 1e-3, "weight_decay": 0.0}),
    "load": (nf.datasets.load, {"name": "moons", "n": 20, "rng": 0, "test_fraction": 0.2}),
    "sample": (model.sample, {"n": 3, "rng": 0, "temperature": 1.0}),
    "reverse_kl": (lambda n, rng: nf.reverse_kl(model, nf.StandardNormal(2), n, rng), {"n": 3, "rng": 0}),
    "fit": (lambda **arguments: nf.fit(nf.realnvp(2, steps=1, hidden=(3,), rng=0), GOOD, **arguments),
            {"x_valid": None, "valid_fraction": 0.5, "rng": 0, "max_steps": 1, "batch_size": 2, "lr": 0.1, "warmup": 0, "weight_decay": 0.0,
             "clip": 5.0, "patience": 1, "eval_every": 1, "callback": None})}


@CASES
@given(data=st.data(), name=st.sampled_from(sorted(BUILDS)))
def test_arguments(data, name):
    """One argument of a builder, a density, an optimiser or `fit` replaced by anything."""
    function, arguments = BUILDS[name]
    argument = data.draw(st.sampled_from(sorted(arguments)), label="argument")
    value = data.draw(THINGS, label="value")
    if argument == "callback" and callable(value):               # what it raises is its own
        return
    answers_or_names("|".join(arguments), function, **{**arguments, argument: value})


WORDS = st.sampled_from(["", "-1", "0", "nan", "inf", "1e400", "-0.5", "1_0", "9" * 30, "9" * 5000, "a", "\u00e9", ",", "1,,2", "3,-3",
                         "x.npz", "no/such/folder.npz", ".", "two\nlines", "\0", "none", "tanh", "float16", "data.csv",
                         "broken.npz"])
COMMANDS = {
    "fit": (["fit", "data.csv"], ["--flow", "--steps", "--transformer", "--hidden", "--activation", "--out", "--report",
                                  "--seed", "--test-fraction", "--max-steps", "--batch-size", "--lr", "--warmup",
                                  "--weight-decay", "--patience",
                                  "--animate", "--history", "--checkpoint",
                                  "--dtype", "--width", "--grey-levels", "DATA"]),
    "sample": (["sample", "model.npz"], ["-n", "--out", "--seed", "--temperature", "DATA"]),
    "density": (["density", "model.npz", "data.csv"], ["--out", "DATA"])}
DEFAULTS = {"--max-steps": "1", "--hidden": "2", "--steps": "1", "--patience": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data file, a model, and a file that is neither."""
    path = tmp_path_factory.mktemp("fuzz")
    np.savetxt(path / "data.csv", np.random.default_rng(0).standard_normal((12, 2)), delimiter=",")
    (path / "broken.npz").write_bytes(b"PK\x03\x04")
    nf.save(model, path / "model.npz")
    return path


@CASES
@given(data=st.data(), command=st.sampled_from(sorted(COMMANDS)))
def test_command_line(folder, data, command):
    """Any word for any option: done, or one sentence that names the option or quotes the word, and status 2."""
    argv, options = COMMANDS[command]
    option, word = data.draw(st.sampled_from(options), label="option"), data.draw(WORDS, label="word")
    given_options = {**(DEFAULTS if command == "fit" else {}), **({} if option == "DATA" else {option: word})}
    argv = [word if argument == argv[-1] and option == "DATA" else argument for argument in argv]
    argv += [f"{name}={value}" if name.startswith("--") else f"{name}{value}" for name, value in given_options.items()]
    out, err, here = io.StringIO(), io.StringIO(), os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr("nfnumpy.commands.fit_tables.run", fit_without_picture)
            status = main(argv)
    finally:
        os.chdir(here)
    assert status in (0, 2) and "Traceback" not in out.getvalue() + err.getvalue()
    if status == 2:
        assert re.fullmatch(r"nfnumpy: [^\n]+\n", err.getvalue())
        named = [option, option.strip("-").replace("-", "_"), repr(word)[:20], " ".join(word.split())[:20] or "nfnumpy: .:"]      # the empty path is the folder
        assert any(name in err.getvalue() for name in named)


def fit_without_picture(args, paths):
    """What `fit` does with its options, and no report, which takes half a second to draw."""
    data = nf.datasets.read(args.data)
    built = nf.maf(2, args.steps, args.hidden, args.activation, args.seed, np.dtype(args.dtype), args.transformer)
    nf.fit(built, data.x, rng=args.seed, max_steps=args.max_steps, batch_size=args.batch_size, lr=args.lr,
           warmup=args.warmup, weight_decay=args.weight_decay, patience=args.patience)


TABLE = "height,weight\n1.5,2\n-3e2,4\n5,6\n"
SNIPPETS = st.one_of(st.sampled_from([",", "\n", "\r", '"', "\t", ";", "\0", "nan", "1e999", "-", "\ufeff", "1_0", "0x1", "\u0661", " ",
                                      "height", "'", "#", "1.5"]), st.text(max_size=3))


@CASES
@given(edits=st.lists(st.tuples(st.integers(0, len(TABLE)), st.integers(0, 6), SNIPPETS), max_size=4),
       encoding=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]), suffix=st.sampled_from([".csv", ".tsv"]))
def test_mutated_tables(tmp_path_factory, edits, encoding, suffix):
    """A table with pieces replaced is read as finite numbers, as many in each row as it has columns, or refused."""
    text = TABLE
    for place, length, snippet in edits:
        text = text[:place] + snippet + text[place + length:]
    path = tmp_path_factory.getbasetemp() / f"mutated{suffix}"
    path.write_bytes(text.encode(encoding, errors="replace"))
    try:
        table = nf.datasets.read(path)
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        assert np.isfinite(table.x).all() and table.x.shape == (len(table.x), len(table.columns)) and table.x.dtype == float


@CASES
@given(edits=st.lists(st.tuples(st.integers(0, 2 ** 16), st.integers(0, 255)), min_size=1, max_size=4), cut=st.integers(0, 200),
       kind=st.sampled_from(["npy", "idx"]))
def test_mutated_arrays(tmp_path_factory, edits, cut, kind):
    """The same for binary files, whose headers may declare any size."""
    path = tmp_path_factory.getbasetemp() / f"mutated.{kind}"
    if kind == "npy":
        np.save(path, GOOD)
    else:
        path.write_bytes(b"\0\0\x0e\2\0\0\0\6\0\0\0\2" + GOOD.astype(">f8").tobytes())
    content = bytearray(path.read_bytes())
    for place, value in edits:
        content[place % len(content)] = value
    path.write_bytes(content[:len(content) - cut // 4] if cut % 2 else content)
    try:
        array = nf.datasets.read(path).x if kind == "npy" else nf.datasets.read_idx(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert array.size <= GOOD.nbytes
