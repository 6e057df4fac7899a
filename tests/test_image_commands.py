"""Images on the command line: what is read and refused, bits per dimension, and files that come back whole."""
import gzip
import math
import re
import struct

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.__main__ import main
from nfnumpy.commands import fit, fit_images, images

TINY = {"glow": ["--levels", "1", "--steps", "1", "--width", "4"], "ar-mlp": ["--hidden", "8"],
        "realnvp-image": ["--couplings", "1", "--blocks", "1", "--width", "4"],
        "ar-cnn": ["--width", "4", "--depth", "1"]}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    """Each test in a folder of its own, with images of 4 x 4 pixels in several forms, and two new models of them."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.save("images.npy", x)
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(as_idx(x)))
    (tmp_path / "images.idx").write_bytes(as_idx(x))
    nf.save(nf.glow((4, 4, 1), levels=1, steps=1, width=4, grey_levels=256, rng=0), "glow.npz")
    model = nf.AutoregressiveMLP(16, 256, hidden=(4,), rng=0)
    model.info["image_shape"] = [4, 4, 1]
    nf.save(model, "mlp.npz")
    return tmp_path


def as_idx(x):
    return struct.pack(f">HBB{x.ndim}I", 0, 8, x.ndim, *x.shape) + x.tobytes()


def run(capsys, *argv):
    """The output of a command that must succeed, silently on stderr."""
    status, captured = main(list(argv)), capsys.readouterr()
    assert status == 0 and captured.err == "", captured.err
    return captured.out


def refused(capsys, *argv):
    status, captured = main(list(argv)), capsys.readouterr()
    assert status == 2 and captured.err.startswith("nfnumpy: ") and captured.err.count("\n") == 1, captured
    return captured.err


@pytest.mark.parametrize("flow, data", [("glow", "digits"), ("realnvp-image", "images.idx"), ("ar-mlp", "digits"),
                                        ("ar-cnn", "images-idx3-ubyte.gz"), ("glow", "images.npy")])
def test_fit_sample_density(in_tmp_path, capsys, flow, data):
    out = run(capsys, "fit", data, "--flow", flow, "--max-steps", "3", *TINY[flow])
    n, side, top = (1797, 8, 16) if data == "digits" else (40, 4, 255)
    assert f"{n} images of {side} x {side} pixels in grey values 0 to {top}, of {top + 1} grey levels" in out
    words = re.search(r"held-out images: ([\d.]+) \+- [\d.]+ bits per dimension, .*Gaussian\w* behind a logit "
                      r"([\d.]+): difference ([+-][\d.]+) \+- [\d.]+", out)
    model_bits, gaussian_bits, difference = map(float, words.groups())
    assert abs(model_bits - gaussian_bits - difference) < 2e-3
    assert ("are exact" in out) == flow.startswith("ar-") and ("both are upper bounds" in out) != flow.startswith("ar-")
    assert (in_tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    model = nf.load("model.npz")
    assert model.theta.dtype == np.float32 and model.info["test_bits_per_dim"] == pytest.approx(model_bits, abs=1e-3)

    run(capsys, "sample", "model.npz", "-n", "5", "--seed", "3")
    samples = np.load("samples.npy")
    assert samples.shape == (5, side, side, 1) and samples.dtype == np.uint8 and samples.max() <= top
    assert (samples == model.sample(5, 3).reshape(samples.shape)).all()
    run(capsys, "sample", "model.npz", "--out", "samples.png")
    assert (in_tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")

    out = run(capsys, "density", "model.npz", "samples.npy")
    log_p = nf.datasets.read("log_prob.csv").x[:, 0]
    bits = float(re.search(r"That is ([\d.]+) bits per dimension", out)[1])
    assert len(log_p) == 5 and bits == pytest.approx(-log_p.mean() / (side * side * math.log(2)), abs=1e-3)
    if flow.startswith("ar-"):
        np.testing.assert_allclose(log_p, model.log_prob(samples.reshape(-1, *model.x_shape)))


@pytest.mark.parametrize("flow, passed", [("glow", 8), ("realnvp-image", 8), ("ar-mlp", 1), ("ar-cnn", 1)])
def test_check_of_what_fit_wrote(capsys, flow, passed):
    run(capsys, "fit", "images.npy", "--flow", flow, "--max-steps", "3", *TINY[flow])
    out, skipped = run(capsys, "check", "model.npz"), 2 if passed == 8 else 1
    assert out.count("  pass  ") == passed and out.count("  skipped  ") == skipped
    assert re.fullmatch(r"model.npz: \w+, samples of shape [(\d, )]+, [\d,]+ parameters", out.splitlines()[0])
    assert re.search("check_density +skipped +samples are images of whole grey values", out)
    assert out.endswith(f"\nNone of {passed + skipped} properties fail, {skipped} {'was' if skipped == 1 else 'were'} "
                        "skipped.\n")


def test_forms_of_the_same_images_are_told_apart(in_tmp_path):
    x = np.load("images.npy")[..., None]
    np.save("channels.npy", np.repeat(x, 3, axis=3))
    np.save("floats.npy", x[..., 0].astype(float))
    for name in ("images.npy", "images.idx", "images-idx3-ubyte.gz", "floats.npy"):
        found = images.read(name)
        assert (found.x == x).all() and found.x.dtype == np.uint8 and found.grey_levels == 256
        assert images.are_images(name)
    assert images.read("channels.npy").x.shape == (40, 4, 4, 3)
    np.save("table.npy", np.zeros((40, 16)))
    assert not images.are_images("table.npy") and not images.are_images("data.csv") and not images.are_images("digits")


@pytest.mark.parametrize("top, given, expected", [(1, None, 2), (16, None, 17), (2, None, 17), (17, None, 256),
                                                  (255, None, 256), (7, 8, 8), (300, 1000, 1000)])
def test_grey_levels(top, given, expected):
    x, grey_levels = images.as_images(np.array([[[0, top]]]), "data", given)
    assert grey_levels == expected and x.max() == top


def test_the_gaussian_is_that_of_maximum_likelihood():
    """Its bits, against `nf.Gaussian.fit` and the logit put together by hand, for images with three constant pixels."""
    x = nf.datasets.digits()[0]
    train, test = x[:1000], x[1000:1300]
    words, bits = fit_images.gaussian_bits(train, test, 17, seed=3)
    logit, rng = nf.glow((8, 8, 1), grey_levels=17, rng=0).flow.flows[0], np.random.default_rng(3)
    gaussian = nf.Gaussian.fit(logit.forward(nf.datasets.dequantize(train, rng))[0].reshape(-1, 64))
    z, log_det = logit.forward(nf.datasets.dequantize(test, 3))
    expected = -(gaussian.log_prob(z.reshape(-1, 64)) + log_det) / (64 * np.log(2))
    assert words == "Gaussian"
    np.testing.assert_allclose(bits, expected, rtol=1e-6)
    assert fit_images.gaussian_bits(train[:50], test, 17, 3)[0] == "independent Gaussians"


def test_more_draws_estimate_the_same_bound():
    model, x = nf.load("glow.npz"), images.read("images.npy").x
    one, many = (images.log_prob(model, x, rng=0, draws=draws) for draws in (1, 64))
    assert abs((one - many).mean()) < 5 * (one - many).std() / math.sqrt(len(x))
    assert images.bits(many, (4, 4, 1)).mean() == pytest.approx(nf.bits_per_dim(model, x, 0).mean(), rel=0.02)


def test_temperature_of_a_flow(capsys):
    run(capsys, "sample", "glow.npz", "-n", "9", "--temperature", "0")
    assert len(np.unique(np.load("samples.npy"), axis=0)) == 1


def test_every_option_belongs_to_a_flow(capsys):
    for flow, options in fit.OPTIONS.items():
        args = fit_args("data", "--flow", flow)
        fit.settle(args)
        assert all(getattr(args, name) == value for name, value in options.items())
        for name in {name for other in fit.OPTIONS.values() for name in other} - set(options):
            assert getattr(args, name) is None
            value = {"dequantize": [], "transformer": ["spline"]}.get(name, ["2"])
            with pytest.raises(ValueError, match=f"--flow {flow} has no such option"):
                fit.settle(fit_args("data", "--flow", flow, f"--{name.replace('_', '-')}", *value))


def fit_args(*argv):
    from nfnumpy.__main__ import build_parser
    return build_parser().parse_args(["fit", *argv])


def test_a_model_that_is_not_better_than_the_gaussian_is_called_so():
    better = fit_images.compare(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.1, 4.0]), "Gaussian", True, 1)
    unsure = fit_images.compare(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.1, 4.0]), "Gaussian", True, 1)
    worse = fit_images.compare(np.array([1.0, 2.0, np.nan]), np.zeros(3), "Gaussian", True, 1)
    start = fit_images.compare(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.1, 4.0]), "Gaussian", True, 0)
    assert start[:2] == unsure[:2] and len(start) == 3 and "No step was better than the start" in start[2]
    assert len(better) == 2 and "three standard errors" in unsure[2] and "not better than the Gaussian" in worse[2]


@pytest.mark.parametrize("flow", ["iaf", "maf"])
def test_rows_still_have_their_flows(capsys, flow):
    out = run(capsys, "fit", "patches", "--flow", flow, "--max-steps", "2", "--hidden", "8", "--steps", "1")
    assert "held-out log-likelihood" in out and "nats, Gaussian" in out


BAD = [("fit digits --flow glow --hidden 8", "--flow glow has no such option, only maf"),
       ("fit images.npy --flow glow --dequantize", "no such option"),
       ("fit images.npy --grey-levels 9", "no such option"),
       ("fit moons --flow glow", "expected images, got a table"), ("fit rows.csv --flow ar-cnn", "expected images"),
       ("fit table.npy --flow glow", "3 or 4 axes"), ("fit labels-idx1-ubyte --flow glow", "labels are in a file of"),
       ("fit images.npy --flow maf", "got images; these have --flow glow"), ("fit images.idx", "got images"),
       ("fit nowhere.idx --flow glow", "no such file"), ("fit . --flow glow", "directory"),
       ("fit cut.idx --flow glow", "at byte 100: the file ends"), ("fit cut.npy --flow glow", "damaged"),
       ("fit text.npy --flow glow", "dtype <U1"), ("fit objects.npy --flow glow", "damaged or holds objects"),
       ("fit fractions.npy --flow glow", "1 others, the first 0.5 at index (2, 1, 3)"),
       ("fit negative.npy --flow glow", "the first -1 at index"), ("fit nan.npy --flow ar-mlp", "the first nan"),
       ("fit deep.npy --flow glow", "give their number by --grey-levels"), ("fit few.npy --flow glow", "at least 10"),
       ("fit images.npy --flow glow --grey-levels 100", "expected whole numbers 0 to 99"),
       ("fit empty.npy --flow glow", "empty"),
       ("fit odd.npy --flow glow", "odd.npy: --flow glow cannot take these images: shape"),
       ("fit images.npy --flow glow --levels 3", "cannot take these"), ("fit rgb.npy --flow ar-cnn", "cannot take"),
       ("fit images.npy --flow glow --out images.npz --report images.npy", "ends in .png"),
       ("fit pixels.xyz --flow glow", "got .xyz"), ("sample glow.npz --out samples.csv", "ends in .npy or .png"),
       ("sample glow.npz --out -", "ends in .npy or .png"), ("sample mlp.npz --temperature 0.5", "has none"),
       ("sample nameless.npz", "nameless.npz: expected a model that knows the shape"),
       ("sample real.npz", "real-valued samples"),
       ("density glow.npz digits", "expected images of shape (4, 4, 1)"),
       ("density glow.npz rows.csv", "expected images"),
       ("density glow.npz deep.npy", "0 to 255")]


@pytest.mark.parametrize("argv, words", BAD)
def test_bad_input_gets_one_sentence_and_loses_nothing(in_tmp_path, capsys, argv, words):
    x = np.load("images.npy")
    (in_tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    (in_tmp_path / "labels-idx1-ubyte").write_bytes(as_idx(x[:, 0, 0]))
    (in_tmp_path / "cut.idx").write_bytes(as_idx(x)[:100])
    (in_tmp_path / "cut.npy").write_bytes((in_tmp_path / "images.npy").read_bytes()[:200])
    (in_tmp_path / "pixels.xyz").write_bytes(b"1")
    fractions, nan = x.astype(float), x.astype(float)
    fractions[2, 1, 3], nan[0, 0, 0] = 0.5, np.nan
    for name, array in {"table": np.zeros((40, 16)), "text": np.full((9, 4, 4), "a"), "fractions": fractions,
                        "nan": nan, "negative": x.astype(int) - 256 * (x == x.max()), "deep": x.astype(int) * 9,
                        "few": x[:9], "empty": x[:0], "odd": x[:, :3],
                        "rgb": np.repeat(x[..., None], 3, axis=3)}.items():
        np.save(f"{name}.npy", array)
    np.save("objects.npy", np.full((2, 2, 2), None), allow_pickle=True)
    nf.save(nf.AutoregressiveMLP(16, 17, rng=0), "nameless.npz")
    nf.save(nf.glow((4, 4, 1), levels=1, steps=1, width=4, rng=0), "real.npz")
    for name in ("model.npz", "report.png", "samples.npy", "log_prob.csv"):
        (in_tmp_path / name).write_text("older results", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in in_tmp_path.iterdir()}
    quick = ["--max-steps", "2"] if argv.startswith("fit") else []
    assert words in refused(capsys, *argv.split(), *quick)
    assert {path.name: path.read_bytes() for path in in_tmp_path.iterdir()} == before
