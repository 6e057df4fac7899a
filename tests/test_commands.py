"""The command line, called in-process: what it writes, and that bad input gets one sentence, status 2 and no file."""
import argparse
import io
import itertools
import os
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.__main__ import COMMANDS, main
from nfnumpy.commands import common, density, fit_tables, terminal, tour
from nfnumpy.flows.named_transformers import TRANSFORMERS

QUICK = ["--max-steps", "20", "--hidden", "8", "--steps", "2"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    """Each test in a folder of its own, with a good data file, a good model and older results that must survive."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((60, 2)) * [2.0, 30.0] + [5.0, -100.0]
    lines = ["height cm,weight", *(f"{a!r},{b!r}" for a, b in x.tolist())]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = nf.maf(2, steps=1, hidden=(4,), rng=0).standardized(x)
    model.info["columns"] = ["height cm", "weight"]
    nf.save(model, tmp_path / "good.npz")
    return tmp_path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(capsys, *argv):
    """The sentence on stderr, after checking that it is one, and nothing else on stdout but what was read."""
    status = main(list(argv))
    captured = capsys.readouterr()
    assert status == 2
    assert captured.err.startswith("nfnumpy: ") and captured.err.endswith("\n") and captured.err.count("\n") == 1
    assert "Traceback" not in captured.out + captured.err
    return captured.err


def test_fit_sample_density(in_tmp_path, capsys):
    assert main(["fit", "data.csv", *QUICK]) == 0
    captured = capsys.readouterr()
    assert "60 rows, 2 columns" in captured.out and "height cm" in captured.out
    assert re.search(r"held-out log-likelihood -\d.* nats, Gaussian -\d.*: difference [+-]\d.* \+- \d", captured.out)
    assert captured.err == ""                                    # no progress line where there is no terminal
    assert (in_tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    model = nf.load("model.npz")
    assert model.info["columns"] == ["height cm", "weight"] and model.info["source"] == "data.csv"

    assert main(["sample", "model.npz", "-n", "7", "--seed", "3"]) == 0
    samples = nf.datasets.read("samples.csv")
    assert samples.columns == ["height cm", "weight"]
    assert (samples.x == model.sample(7, np.random.default_rng(3))).all()           # text gives every bit back

    assert main(["density", "model.npz", "data.csv"]) == 0
    log_prob = nf.datasets.read("log_prob.csv")
    assert log_prob.columns == ["log_prob"]
    assert (log_prob.x[:, 0] == model.log_prob(nf.datasets.read("data.csv").x)).all()
    assert not list(in_tmp_path.glob("*.part"))


def test_density_is_in_the_units_of_the_data(in_tmp_path, capsys):
    """Metres instead of centimetres: log p rises by log 100 a row; a model forgetting its units would not notice."""
    table = nf.datasets.read("data.csv")
    common.write_columns(in_tmp_path / "metres.csv", table.columns, table.x / [100, 1])
    for name in ("data", "metres"):
        assert main(["fit", f"{name}.csv", *QUICK, "--out", f"{name}.npz", "--quiet"]) == 0
        assert main(["density", f"{name}.npz", f"{name}.csv", "--out", f"{name}.npy"]) == 0
    np.testing.assert_allclose(np.load("metres.npy") - np.load("data.npy"), np.log(100), rtol=1e-6)


def test_same_seed_same_model(capsys):
    for out in ("a.npz", "b.npz"):
        assert main(["fit", "moons", *QUICK, "--seed", "5", "--out", out, "--quiet"]) == 0
    assert (nf.load("a.npz").theta == nf.load("b.npz").theta).all()


@pytest.mark.parametrize("flow", ["maf", "realnvp", "iaf"])
@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_transformers_of_fit(no_pictures, capsys, flow, transformer):
    argv = ["fit", "faithful", "--flow", flow, "--hidden", "4", "--steps", "1", "--max-steps", "1", "--quiet"]
    assert main([*argv, "--transformer", transformer]) == 0
    words = repr(nf.load("model.npz").flow)
    assert [f"transformer={kind.__name__}(" in words for kind in TRANSFORMERS.values()] == [
        name == transformer != "affine" for name in TRANSFORMERS]                   # which a layer has anyway


@pytest.mark.parametrize("flow, dtype, suffix", [("maf", "float32", ".svg"), ("realnvp", "float64", ".pdf")])
def test_options_of_fit(in_tmp_path, capsys, flow, dtype, suffix):
    assert main(["fit", "faithful", *QUICK, "--flow", flow, "--dtype", dtype, "--report", f"page{suffix}", "--quiet",
                 "--activation", "relu", "--weight-decay", "0", "--batch-size", "16", "--lr", "0.01"]) == 0
    model = nf.load("model.npz")
    assert model.theta.dtype == dtype and model.info["options"]["lr"] == 0.01
    assert (in_tmp_path / f"page{suffix}").stat().st_size > 1000
    assert capsys.readouterr().out.startswith("held-out log-likelihood")             # quiet: the result and no more


def test_more_columns_than_training_rows(in_tmp_path, capsys):
    np.save("wide.npy", np.random.default_rng(0).standard_normal((12, 20)))
    assert main(["fit", "wide.npy", *QUICK]) == 0
    assert "independent Gaussians" in capsys.readouterr().out


def test_dequantized_columns_come_back_whole(in_tmp_path, capsys):
    rng = np.random.default_rng(0)
    common.write_columns(in_tmp_path / "counts.csv", ["count", "real", "always"],
                         np.stack([rng.integers(5, size=50), rng.standard_normal(50), np.full(50, 7)], axis=1))
    assert "constant" in refused(capsys, "fit", "counts.csv")
    assert main(["fit", "counts.csv", "--dequantize", *QUICK]) == 0
    assert main(["sample", "model.npz", "-n", "20"]) == 0
    x = nf.datasets.read("samples.csv").x
    whole = np.floor(x) == x
    assert whole[:, [0, 2]].all() and not whole[:, 1].any()
    assert main(["density", "model.npz", "counts.csv"]) == 0
    common.write_columns(in_tmp_path / "halves.csv", ["count", "real", "always"], x + 0.5)
    assert "expected whole numbers" in refused(capsys, "density", "model.npz", "halves.csv")


def test_a_column_that_counts_the_rows_is_asked_about(no_pictures, in_tmp_path, capsys):
    """As pandas writes it, without a name; it is not one to add noise to, which other whole numbers are."""
    x = np.random.default_rng(0).standard_normal(30)
    for first in (0, 1, 2):
        rows = "".join(f"{i + first},{x[i]},{i % 3}\n" for i in range(30))
        (in_tmp_path / "frame.csv").write_text(f",a,count\n{rows}", encoding="utf-8")
        for option in ([], ["--dequantize"]):
            assert main(["fit", "frame.csv", *QUICK, *option]) == 0
            out = capsys.readouterr().out
            assert ("Note: column 'x1' counts the rows: is it an index? leave it out\n" in out) == (first < 2)
            assert ("only whole numbers in" in out) != bool(option)
            assert option or ("only whole numbers in 'count'," in out) == (first < 2)


def test_columns_are_matched_by_name(in_tmp_path, capsys):
    table = nf.datasets.read("data.csv")
    common.write_columns(in_tmp_path / "turned.csv", table.columns[::-1], table.x[:, ::-1])
    common.write_columns(in_tmp_path / "foreign.csv", ["height cm", "age"], table.x)
    common.write_columns(in_tmp_path / "three.csv", ["height cm", "weight", "age"], table.x[:, [0, 1, 1]])
    np.save("unnamed.npy", table.x)
    expected = nf.load("good.npz").log_prob(table.x)
    for name, note in (("data.csv", ""), ("turned.csv", "reordered by name"), ("unnamed.npy", "in the order")):
        assert main(["density", "good.npz", name, "--out", "out.npy"]) == 0
        assert note in capsys.readouterr().out
        assert (np.load("out.npy")[:, 0] == expected).all()
    assert "'weight' is missing, and 'age' is not known" in refused(capsys, "density", "good.npz", "foreign.csv")
    assert "expected the 2 columns" in refused(capsys, "density", "good.npz", "three.csv")


def test_a_model_without_column_names_takes_any(capsys):
    x, note = density.in_order(nf.datasets.Table(np.array([[1.0, 2.0]]), ["b", "a"], "data.csv"), ["x1", "x2"])
    assert x.tolist() == [[1.0, 2.0]] and "in the order b, a" in note
    x, note = density.in_order(nf.datasets.Table(np.array([[1.0, 2.0]]), ["x2", "x1"], "data.csv"), ["x1", "x2"])
    assert x.tolist() == [[2.0, 1.0]] and "by name" in note


def test_samples_to_the_screen(capsys):
    assert main(["sample", "good.npz", "-n", "3", "--out", "-", "--temperature", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "height cm,weight" and len(lines) == 4 and len(set(lines[1:])) == 1


def test_help_and_version(capsys):
    for argv in ([], *([name] for name in COMMANDS), *(["homework", task] for task in ("new", "check", "grade"))):
        assert main([*argv, "--help"]) == 0
        words = capsys.readouterr().out
        assert "python -m nfnumpy" in words.split("example", 1)[1] and "130" in words.split("exit status:", 1)[1]
        assert not argv or argv == ["homework"] or "--quiet" in words
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nfnumpy {nf.__version__}\n"


def test_interrupted_training_keeps_the_best_model(monkeypatch, capsys):
    calls = itertools.count()
    gradient = nf.negative_log_likelihood

    def interrupted(model, x):
        if next(calls) == 12:
            raise KeyboardInterrupt
        return gradient(model, x)

    monkeypatch.setattr("nfnumpy.training.negative_log_likelihood", interrupted)
    assert main(["fit", "data.csv", *QUICK]) == 0
    assert "Interrupted" in capsys.readouterr().out
    assert nf.load("model.npz").info["columns"] == ["height cm", "weight"]


def test_interrupted_elsewhere(monkeypatch, capsys):
    monkeypatch.setattr("nfnumpy.commands.fit_tables.prepare", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["fit", "data.csv"]) == 130
    assert capsys.readouterr().err == "nfnumpy: interrupted\n"


def test_a_flow_that_is_not_better_than_the_gaussian_is_called_so():
    def compare(log_p, reference, m=2, best_step=1):
        args = argparse.Namespace(flow="maf", transformer="affine")
        return fit_tables.compare(np.array(log_p), np.array(reference), "Gaussian", args, m, best_step)

    better, unsure = compare([1.0, 2.0, 3.0], [0.0, 1.1, 2.0]), compare([1.0, 2.0, 3.0], [0.0, 2.5, 2.9])
    worse, broken = (compare([1.0, low, 3.0], [0.0, 0.0, 0.0]) for low in (-1e9, np.nan))
    one, kept = compare([1.0, -9.0], [0.0, 0.0], m=1), compare([1.0, -9.0], [1.0, -9.0], best_step=0)
    assert len(better) == 1 and "three standard errors" in unsure[1]
    assert "not better than the Gaussian" in worse[1] and "not better" in broken[1] and "--flow realnvp" in worse[1]
    assert "one column" in one[1] and "--transformer spline" in one[1] and "--flow" not in one[1]
    assert kept[1:] == ["No step was better than the start: the model that is kept is the Gaussian itself."]


def test_a_training_that_gains_nothing_says_so(no_pictures, in_tmp_path, capsys):
    """A rate so high that no step is better: what is kept is the start, which is the Gaussian of maximum likelihood."""
    assert main(["fit", "data.csv", *QUICK, "--lr", "1", "--weight-decay", "0"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"All steps done: step 20 after \d+\.\d s[.;]", out) and "validation" not in out
    assert "difference +0.000 +-" in out.replace("-0.000", "+0.000")
    assert "No step was better than the start: the model that is kept is the Gaussian itself.\n" in out
    assert main(["fit", "faithful", *QUICK, "--transformer", "spline"]) == 0
    assert re.search(r"; best on the validation rows at step \d", capsys.readouterr().out)


def test_tour(monkeypatch, in_tmp_path, capsys):
    for name, (title, n, columns, options, training) in tour.DATA.items():
        monkeypatch.setitem(tour.DATA, name, (title, n and 200, columns, {"hidden": (4,), "steps": 2},
                                               {"max_steps": 5}))
    assert main(["tour"]) == 0
    out = capsys.readouterr().out
    table = [line for line in out.splitlines() if line.startswith(("Old Faithful  ", "Moons  "))]
    assert len(table) == 7 and [line.split()[-3:] for line in table if "MAF" in line] == [["1", "/", "2"]] * 2
    for line in table:
        if "true" not in line:
            assert all(float(error) < 1e-9 for error in re.findall(r"\d+e[-+]\d+", line))
    assert (in_tmp_path / "tour.png").read_bytes().startswith(b"\x89PNG")


def typed(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


@pytest.mark.parametrize("content", ["height cm,weight\n5.5,-90\n3,-120\n",
                                     "height cm\tweight\r\n5.5\t-90\r\n3\t-120\r\n",
                                     "\ufeff\n weight , height cm\n-90,5.5\n-120,3",
                                     "5.5,-90\n3,-120"])
def test_rows_from_the_standard_input(monkeypatch, capsys, content):
    typed(monkeypatch, content.encode("utf-8"))
    assert main(["density", "good.npz", "-", "--out", "-", "--quiet"]) == 0
    out, err = capsys.readouterr()
    values = np.array(out.split()[1:], float)
    assert (values == nf.load("good.npz").log_prob([[5.5, -90], [3, -120]])).all() and err == ""


def test_fit_learns_from_the_standard_input(monkeypatch, in_tmp_path):
    typed(monkeypatch, (in_tmp_path / "data.csv").read_bytes())
    assert main(["fit", "-", *QUICK, "--quiet"]) == 0
    info = nf.load("model.npz").info
    assert info["columns"] == ["height cm", "weight"] and info["source"] == "standard input"
    assert info["rows"] == 48                                    # of 60, 12 of them held out


def test_what_is_said_stays_out_of_the_data(monkeypatch, capsys):
    """On stderr where the data go to the standard output; not at all with --quiet."""
    for quiet in ([], ["--quiet"]):
        typed(monkeypatch, b"-90,5.5\n")
        assert main(["density", "good.npz", "-", "--out", "-", *quiet]) == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[0] == "log_prob" and len(out.splitlines()) == 2
        assert ("standard input has no names for its columns" in err) != bool(quiet)


@pytest.mark.parametrize("content, words", [
    (b"", "standard input: there is nothing in it"), (b"a,b\n", "standard input: the file holds a header and no rows"),
    (b"a,b\n1,x\n", "standard input: line 2, column 'b'"), (b"\x93NUMPY\x01\x00", "expected UTF-8 text")])
def test_what_is_wrong_with_the_standard_input(monkeypatch, capsys, content, words):
    typed(monkeypatch, content)
    assert words in refused(capsys, "fit", "-")


@pytest.fixture
def no_pictures(monkeypatch):
    """The report takes as long as a small training."""
    monkeypatch.setattr(common, "save_figure", lambda figure, path: path.touch())
    monkeypatch.setattr("nfnumpy.plot.report", lambda *_, **__: None)
    monkeypatch.setattr("nfnumpy.gif.DPI", 30)


def test_a_training_that_can_be_watched(no_pictures, in_tmp_path, capsys):
    """The same model with and without; a run that is done says so and keeps its film, and another run is refused."""
    watch = ["--animate", "film.gif", "--history", "history.csv", "--checkpoint", "run.npz"]
    argv = ["fit", "data.csv", "--hidden", "4", "--steps", "1", "--max-steps", "2"]
    assert main([*argv, "--out", "alone.npz", "--quiet"]) == 0
    for again in (False, True):
        capsys.readouterr()
        assert main([*argv, *watch]) == 0
        out = capsys.readouterr().out
        assert ("the film to film.gif, the learning curve to history.csv" in out) != again
        assert ("run.npz says that this run is done: nothing to train or to film.\n" in out) == again
        assert "the learning curve to history.csv and the state of the training to run.npz." in out
        assert (nf.load("model.npz").theta == nf.load("alone.npz").theta).all()
        table = nf.datasets.read("history.csv")
        assert table.columns == ["step", "train", "valid", "lr", "seconds"] and table.x[:, 0].tolist() == [0, 1, 2]
        film = (in_tmp_path / "film.gif").read_bytes()
        assert film.startswith(b"GIF89a") and film.count(b"\x21\xf9\x04") > 2       # a frame an evaluation at least
    before = files(in_tmp_path)
    for other, words in ((["--lr", "0.5"], "--lr is 0.5, run.npz was written with 0.001; to start anew"),
                         (["--seed", "1"], "--seed is 1, run.npz was written with 0; "),
                         (["--hidden", "4,4"], "--hidden is 4,4, run.npz was written with 4; "),
                         (["--test-fraction", "0.5"], "--test-fraction is 0.5, run.npz was written with 0.2; "),
                         (["--flow", "realnvp"], "--flow is realnvp, run.npz was written with maf; "),
                         (["--max-steps", "3"], "--max-steps is 3, run.npz was written with 2: the learning rate")):
        assert words in refused(capsys, *argv, *watch, *other)
    (in_tmp_path / "data.csv").write_bytes(before["data.csv"].replace(b"-1", b"-2"))
    assert re.search(r"--checkpoint: .* got another .*; is DATA what it was\?", refused(capsys, *argv, *watch))
    (in_tmp_path / "data.csv").write_bytes(before["data.csv"])
    assert "--checkpoint: expected good.npz to be a checkpoint" in refused(capsys, *argv, "--checkpoint", "good.npz")
    assert files(in_tmp_path) == before


def test_a_run_that_goes_on_says_so_and_keeps_the_film_of_its_beginning(no_pictures, monkeypatch, in_tmp_path, capsys):
    """A film of the rest takes another file; what was interrupted and gone on with is the model of a run in one go."""
    argv = ["fit", "data.csv", "--hidden", "4", "--steps", "1", "--max-steps", "5", "--checkpoint", "run.npz"]
    assert main([*argv[:-2], "--out", "alone.npz", "--quiet"]) == 0
    calls, gradient = itertools.count(), nf.negative_log_likelihood

    def interrupted(model, x):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return gradient(model, x)

    monkeypatch.setattr("nfnumpy.training.negative_log_likelihood", interrupted)
    assert main([*argv, "--animate", "film.gif"]) == 0 and "Going on" not in capsys.readouterr().out
    before = files(in_tmp_path)
    assert ("--animate: film.gif exists, and its place would be taken by a film that begins at step 3, where run.npz "
            "goes on; name another file" in refused(capsys, *argv, "--animate", "film.gif"))
    assert files(in_tmp_path) == before
    assert main([*argv, "--animate", "rest.gif"]) == 0
    assert "Going on from step 3 of 5, as run.npz says.\n" in capsys.readouterr().out
    assert (in_tmp_path / "film.gif").read_bytes() == before["film.gif"] and (in_tmp_path / "rest.gif").exists()
    assert (nf.load("model.npz").theta == nf.load("alone.npz").theta).all()


def test_a_run_without_improvement_is_done(no_pictures, capsys):
    argv = ["fit", "data.csv", *QUICK, "--lr", "1", "--patience", "2", "--checkpoint", "run.npz"]
    for again in (False, True):
        assert main(argv) == 0
        out = capsys.readouterr().out
        assert "No improvement: step 2 " in out
        assert ("run.npz says that this run is done: nothing to train.\n" in out) == again


def test_a_huge_loss_is_written_short(capsys):
    words = refused(capsys, "fit", "faithful", "--hidden", "8", "--steps", "2", "--max-steps", "20", "--lr", "30")
    assert re.search(r"at step \d, after a loss of [\d.]+e\+\d\d nats at step \d; try a smaller --lr than 30\n", words)


def test_a_film_that_was_cut_short_is_not_said_to_be_written(no_pictures, monkeypatch, in_tmp_path, capsys):
    monkeypatch.setattr("nfnumpy.gif.write_gif", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["fit", "data.csv", *QUICK, "--animate", "film.gif"]) == 0
    out = capsys.readouterr().out
    assert "Interrupted" in out and "the report to report.png." in out and not (in_tmp_path / "film.gif").exists()


@pytest.mark.parametrize("rows, option, stopped", [(0, "--history", None), (2, "--history", "Failed: step 2 "),
                                                   (9, "--animate", "All steps done: step 3 ")])
def test_a_full_disk_costs_a_film_or_a_table_and_not_the_model(no_pictures, monkeypatch, in_tmp_path, capsys, rows,
                                                               option, stopped):
    """Before training it is refused like every other thing that cannot work."""
    rows_of = nf.callbacks.rows_of

    def full(history):
        if len(history.step) > rows:
            raise OSError(28, "No space left on device", "file")
        return rows_of(history)

    monkeypatch.setattr(nf.callbacks, "rows_of", full)
    monkeypatch.setattr("nfnumpy.gif.write_gif", lambda path, view, frames, fps: full(nf.History(step=range(10))))
    argv = ["fit", "data.csv", "--hidden", "4", "--steps", "1", "--max-steps", "3", option, "film.gif"]
    if option == "--history":
        argv[-1] = "history.csv"
    before = files(in_tmp_path)
    if stopped is None:
        assert refused(capsys, *argv) == "nfnumpy: file: no space left on device\n" and files(in_tmp_path) == before
        return
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert err == "nfnumpy: file: no space left on device\n" and stopped in out and argv[-1] not in out
    assert out.endswith("Wrote the model to model.npz and the report to report.png.\n")
    assert nf.load("model.npz").info["rows"] == 48


class Terminal(io.TextIOWrapper):
    """A console that knows an encoding."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True


@pytest.mark.parametrize("environment, system, coloured", [
    ({"TERM": "xterm"}, "posix", True), ({}, "posix", True), ({"NO_COLOR": "1", "TERM": "xterm"}, "posix", False),
    ({"NO_COLOR": ""}, "posix", True), ({"TERM": "dumb"}, "posix", False), ({}, "nt", False),
    ({"WT_SESSION": "a"}, "nt", True), ({"WT_SESSION": "a", "NO_COLOR": "0"}, "nt", False)])
def test_colours_are_for_terminals_that_show_them(environment, system, coloured):
    with mock.patch.dict("os.environ", environment, clear=True), mock.patch("os.name", system):
        found = [terminal.paint("FAIL", terminal.FAILED, stream) for stream in (Terminal(), io.StringIO())]
    assert found == ["\x1b[1;31mFAIL\x1b[0m" if coloured else "FAIL", "FAIL"]


def test_an_error_is_marked_on_a_terminal_and_comes_after_what_was_printed(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.stderr", screen)
    assert main(["fit", "data.csv", "--hidden", "4", "--lr", "1e300"]) == 2
    screen.flush()
    lines = screen.buffer.getvalue().decode().splitlines()
    assert lines[0].startswith("Read data.csv") and lines[-1].startswith("\x1b[1;31mnfnumpy:\x1b[0m the ")


def test_a_console_that_lacks_a_character_is_no_error(monkeypatch):
    screens = Terminal("cp1252"), Terminal("ascii")
    monkeypatch.setattr("sys.stdout", screens[0])
    monkeypatch.setattr("sys.stderr", screens[1])
    terminal.prepare_streams()
    print("\u0432\u0435\u0441 \u00f6")
    print("\u00f6", file=sys.stderr)
    for screen, expected in zip(screens, (rb"\u0432\u0435\u0441 " + b"\xf6", rb"\xf6")):
        screen.flush()
        assert screen.buffer.getvalue().split(b"\n")[0].rstrip() == expected


def test_a_closed_pipe_ends_the_command_without_a_word(in_tmp_path):
    """And data for another program are UTF-8, whatever the console's encoding."""
    model = nf.NormalizingFlow(nf.Standardize([0.0], [1.0]), info={"columns": ["\u0432\u0435\u0441"]})
    nf.save(model, "narrow.npz")
    command = [sys.executable, "-m", "nfnumpy", "sample", "narrow.npz", "-n", "20000", "--out", "-"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().decode("utf-8").rstrip() == "\u0432\u0435\u0441"
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


BAD_FILES = {"empty.csv": "", "blank.csv": "\n\n", "header.csv": "a,b\n", "text.csv": "a,b\n1,2\n3,four\n5,6\n",
             "ragged.csv": "a,b\n1,2\n3\n", "nan.csv": "a,b\n1,2\nnan,4\n5,inf\n", "one.csv": "a,b\n1,2\n",
             "constant.csv": "a,b\n" + "".join(f"{i}.5,7.25\n" for i in range(30)), "few.csv": "a,b\n1,2\n3,5\n4,4\n",
             "line.csv": "a,b\n" + "".join(f"{i}.5,{2 * i + 1}\n" for i in range(30)), "twice.csv": "a,a\n1,2\n3,4\n",
             "semicolon.csv": "a;b\n1.5;2\n3;4\n", "german.csv": "a;b\n1,5;2,5\n3,5;4,5\n",
             "semicolon.tsv": "1;2\n3;4\n", "data.xlsx": "a,b\n1,2\n", "latin.csv": "a,b\n1,2\xb0\n",
             "damaged.npz": "PK\x03\x04 not an archive", "damaged.npy": "\x93NUMPY damaged"}


@pytest.mark.parametrize("argv, words", [
    ("fit missing.csv", "missing.csv: there is no such file"), ("fit missing.npz", "there is no such file"),
    ("fit empty.csv", "the file is empty"), ("fit blank.csv", "blank"), ("fit header.csv", "no rows"),
    ("fit text.csv", "line 3, column 'b': expected a number, got 'four'; leave the row or the column out"),
    ("fit latin.csv", "latin.csv: expected UTF-8 text, got other bytes (the first at byte 7); save it as UTF-8"),
    ("fit data", "(did you mean data.csv?)"), ("fit mnist", "MNIST is read from its own files: train-images-idx3-u"),
    ("fit ragged.csv", "line 3"),
    ("fit nan.csv", "2 that are NaN or infinite, the first in line 3, column 'a'"),
    ("fit one.csv", "at least 2 rows"), ("fit few.csv", "at least 10 rows"),
    ("fit constant.csv", "column 'b' is constant"), ("fit line.csv", "linearly dependent"),
    ("fit semicolon.csv", "line 2: expected commas between the numbers, got ';' ('1.5;2'); replace every ';' by a"),
    ("fit german.csv", "got ';' ('5;2'); replace every ';' by a comma, after turning decimal commas into points"),
    ("fit semicolon.tsv", "line 2: expected tabs between the numbers, got ';' ('3;4'); replace every ';' by a tab"),
    ("fit twice.csv", "different names"), ("fit data.xlsx", ".xlsx"), ("fit damaged.npy", "damaged"),
    ("fit .", "directory"), ("fit moonz", "one of the data sets moons"), ("fit good.npz", "good.npz is a model file"),
    ("fit good.npz --out good.npz", "is a model file"),
    ("fit data.csv --dequantize", "whole numbers"), ("fit data.csv --hidden 64,x", "--hidden"),
    ("fit data.csv --hidden 0", "--hidden"), ("fit data.csv --hidden=", "--hidden"),
    ("fit data.csv --steps 0", "--steps"), ("fit data.csv --max-steps 1.5", "--max-steps"),
    ("fit data.csv --lr 0", "--lr"), ("fit data.csv --lr nan", "--lr"),
    ("fit data.csv --lr 1e300", "at step 1; try a smaller --lr than 1e+300\n"),
    ("fit data.csv --weight-decay -1", "--weight-decay"), ("fit data.csv --test-fraction 1", "--test-fraction"),
    ("fit data.csv --flow glow", "--flow"), ("fit data.csv --dtype float16", "--dtype"),
    ("fit data.csv --seed -1", "--seed"), ("fit data.csv --nonsense", "--nonsense"),
    ("fit data.csv --hidden 999999999999", "not enough memory"),
    ("fit digits --flow realnvp-image --width 99999999999", "try a smaller --batch-size, smaller --hidden or --width"),
    ("fit data.csv --out nowhere/model.npz", "the folder nowhere does not exist"),
    ("fit data.csv --out model.txt", "ends in .npz"), ("fit data.csv --report report.docx", "ends in .png or .pdf"),
    ("fit data.csv --report nowhere/report.png", "does not exist"), ("fit data.csv --out folder.npz", "directory"),
    ("sample good.npz -n 0", "-n"), ("sample good.npz -n -5", "-n"), ("sample good.npz -n many", "-n"),
    ("sample good.npz --temperature -1", "--temperature"), ("sample good.npz --temperature 1e308", "not finite"),
    ("sample good.npz --out samples.xlsx", "ends in .csv"), ("sample good.npz --out nowhere/s.csv", "does not exist"),
    ("sample missing.npz", "no such file"), ("sample damaged.npz", "not a model file"),
    ("sample other.npz", "not a model file"), ("sample cut.npz", "not a model file"), ("sample data.csv", "got data"),
    ("sample moons", "got data"), ("sample .", "."), ("density good.npz missing.csv", "no such file"),
    ("density good.npz text.csv", "line 3"), ("density good.npz nan.csv", "NaN"),
    ("density good.npz good.npz", "good.npz is a model file, which `sample`"),
    ("density data.csv good.npz", "got data"),
    ("density damaged.npz data.csv", "not a model file"),
    ("density good.npz data.csv --out data.csv", "overwrite the input"),
    ("density good.npz data.csv --out log_prob", "ends in .csv"), ("density good.npz digits", "columns"),
    ("tour --out tour.txt", "ends in .png"), ("tour --out nowhere/tour.png", "does not exist"),
    ("tour --seed x", "--seed"), ("", "expected a command"), ("dance", "dance: there is no such command; the commands"),
    ("fit", "required"), ("fti data.csv", "there is no such command (did you mean fit?)"),
    ("fit data.csv --hiden=3", "--hiden: there is no such option (did you mean --hidden?)"),
    ("fit data.csv more.csv", "more.csv: one argument too many"), ("fit data.csv -", "-: one argument too many"),
    ("--quiet fit data.csv", "--quiet: expected a command first"), ("fit moonz", "(did you mean moons?)"),
    ("fit digits --flow glwo", "(did you mean glow?)"), ("homework chek", "(did you mean check?)"),
    ("homework check . --hint", "--hint"), ("fit data.csv --animate a.png", "--animate: expected a file name that"),
    ("fit data.csv --animate nowhere/a.gif", "does not exist"), ("fit data.csv --history data.csv", "overwrite the"),
    ("fit data.csv --checkpoint ./model.npz", "--checkpoint: expected another file than --out"),
    ("fit data.csv --warmup -1", "--warmup"), ("fit - --flow glow", "rows of numbers come from the standard input"),
    ("fit data.csv --out -", "rows of numbers go to the standard output"), ("sample -", "rows of numbers come from"),
])
def test_bad_input_gets_one_sentence_and_loses_nothing(in_tmp_path, capsys, argv, words):
    for name, text in BAD_FILES.items():
        (in_tmp_path / name).write_text(text, encoding="latin-1", newline="\n")
    np.savez("other.npz", weights=np.ones(3))
    (in_tmp_path / "cut.npz").write_bytes((in_tmp_path / "good.npz").read_bytes()[:-200])
    (in_tmp_path / "folder.npz").mkdir()
    for name in ("model.npz", "report.png", "samples.csv", "log_prob.csv", "tour.png"):
        (in_tmp_path / name).write_text("older results", encoding="utf-8")
    before = files(in_tmp_path)
    assert words in refused(capsys, *argv.split())
    assert files(in_tmp_path) == before
