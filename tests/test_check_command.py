"""python -m nfnumpy check: what may be checked, what is printed, and the exit status."""
import argparse
import pathlib
import re
import textwrap

import pytest

import nfnumpy as nf
from nfnumpy.commands import check


def call(*argv):
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    args = parser.parse_args(list(argv))
    return check.run(args)


MODULE = """
    import numpy as np
    import nfnumpy as nf

    class Right(nf.GaussianAutoregressive):
        def __init__(self, dim):
            super().__init__(dim, hidden=(4,), activation="tanh", rng=0)

    class Plain:
        def forward(self, x):
            return 2 * x, np.full(len(x), np.log(2))
        def inverse(self, z):
            return z / 2, np.full(len(z), -np.log(2))

    class OneLogTwo(nf.Flow):
        def __init__(self, dim):
            super().__init__((dim,), parameters={"a": np.zeros(dim)})
        def forward(self, x):
            return np.exp(self.a) * x, np.full(len(x), self.a[0])
        def inverse(self, z):
            return np.exp(-self.a) * z, np.full(len(z), -self.a[0])

    class Raises(Plain):
        def inverse(self, z):
            raise KeyError("inverse")

    class WrongPlain(Plain):
        def inverse(self, z):
            return z / 2, np.full(len(z), np.log(2))

    def make():
        return WrongPlain()

    class WrongModel(nf.NormalizingFlow):
        def __init__(self, dim):
            super().__init__(nf.Standardize([0.0] * dim, [2.0] * dim))
        def log_prob(self, x):
            return super().log_prob(x) + 1

    class OneArray(Plain):
        def forward(self, x):
            return 2 * x

    class Empty(nf.Flow):
        def __init__(self, dim=3):
            super().__init__((dim,))

    class NoTuple(nf.Flow):
        def __init__(self, dim):
            super().__init__(dim)

    def through():
        return nf.Composition([Empty()])

    plain, number, empty = Plain(), 3, Empty()
    def model():
        return nf.NormalizingFlow(nf.Standardize([0.0, 1.0], [2.0, 1.0]))
    def broken():
        raise RuntimeError("not today")
"""


@pytest.fixture()
def module(tmp_path):
    path = tmp_path / "my_flow.py"
    path.write_text(textwrap.dedent(MODULE))
    return path


def test_the_zoo_passes(capsys):
    assert call("zoo") == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in nf.testing.CHECKS) and "FAIL" not in out
    assert out.endswith("\nNone of 8 properties fail.\n") and "worst: " in out


def test_a_right_flow_passes_everything(module, capsys):
    assert call(f"{module}:Right") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"{module}:Right: Right, samples of shape (3,), 46 parameters"
    assert out.count("  pass  ") == 8


def test_a_stranger_gets_what_applies_and_reads_what_was_skipped(module, capsys):
    for name in ("Plain", "plain"):
        assert call(f"{module}:{name}") == 0
        out = capsys.readouterr().out
        assert out.count("  pass  ") == 6
        assert "check_vjp         skipped               Plain has no forward_vjp and no inverse_vjp" in out


def test_a_wrong_flow_fails_with_the_smallest_counterexample(module, capsys):
    assert call(f"{module}:OneLogTwo") == 1
    out = capsys.readouterr().out
    assert "check_log_det     FAIL                  see below" in out
    assert "\n1 of 8 properties fails, 1 was skipped.\n" in out
    assert "check_log_det fails; the smallest counterexample found:" in out
    assert "\nflow   OneLogTwo(2)\n" in out                      # a call that can be repeated
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("a "))
    assert lines[at] == "a      [0.   , 0.125]"                  # two dimensions, one eighth, and nothing else
    assert lines[at + 1] == "x      [[0.   , 0.   ], [0.   , 0.125]]"


def test_a_flow_that_takes_no_dimension(module, capsys):
    for name in ("WrongPlain", "make"):
        assert call(f"{module}:{name}") == 1
        assert f"\nflow   {name}()\nx      [[" in capsys.readouterr().out


@pytest.mark.parametrize("name", ("nf", "np"))
@pytest.mark.parametrize("text", ("{}.log", "class Name:\n    def __init__(self):\n        {}.log",
                                  "class Name:\n    def forward(self, x):\n        {}.log\n    inverse = forward"))
def test_a_forgotten_import(tmp_path, capsys, name, text):
    path = tmp_path / "oops.py"
    path.write_text(text.format(name))
    says = f"NameError: name '{name}' is not defined: is its import at the top of the file?"
    if "forward" in text:
        assert call(f"{path}:Name") == 1 and f"check_shapes: the flow raised {says}" in capsys.readouterr().out
    else:
        with pytest.raises(ValueError, match=re.escape(says)):
            call(f"{path}:Name")


def test_a_flow_that_raises_fails(module, capsys):
    assert call(f"{module}:Raises") == 1
    assert "check_shapes: the flow raised KeyError: 'inverse'" in capsys.readouterr().out


def test_what_returns_the_wrong_things_is_told_so_once(module, capsys):
    assert call(f"{module}:OneArray") == 1
    out = capsys.readouterr().out
    assert "\ncheck_shapes: forward: expected (z, log_det), got one array of shape (2, 1)\n" in out
    assert out.count("check_shapes comes first\n") == 7 and "\n1 of 8 properties fails, 7 were skipped.\n" in out


def test_models(module, tmp_path, capsys):
    nf.save(nf.realnvp(2, steps=2, hidden=(4,), rng=0), tmp_path / "model.npz")
    assert call(str(tmp_path / "model.npz")) == 0
    out = capsys.readouterr().out
    assert out.count("  pass  ") == 10 and out.endswith("\nNone of 10 properties fail.\n")
    assert out.splitlines()[0] == f"{tmp_path / 'model.npz'}: NormalizingFlow, samples of shape (2,), 36 parameters"
    assert call(f"{module}:model") == 0
    assert call(f"{module}:WrongModel") == 1
    out = capsys.readouterr().out
    assert "check_density     FAIL" in out and "log_prob is too large for the samples" in out


def test_a_module_by_name(module, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(module.parent))
    assert call("my_flow:Right") == 0


@pytest.mark.parametrize("target, error, says", (
    ("nothing", ValueError, "nothing: expected zoo, a model file"),
    ("{}:Missing", ValueError, "has no Missing"),
    ("{}:number", ValueError, "expected a flow, a model, or a class or function that gives one, got 3"),
    ("{}:broken", ValueError, r"broken\(\) raised RuntimeError: not today"),
    ("{}:Empty", ValueError, "flow: expected a flow with forward and inverse, or their vjps, got an Empty, which"),
    ("{}:empty", ValueError, "flow: expected a flow with forward and inverse, or their vjps, got an Empty, which"),
    ("{}:through", ValueError, "no property of the map can be checked: Empty does not implement forward_vjp"),
    ("{}:NoTuple", ValueError, r"NoTuple\(3\) raised TypeError: x_shape: expected a tuple such as \(3,\), got 3"),
    ("no_such_module:Name", ValueError, "no_such_module: cannot be imported: ModuleNotFoundError"),
    ("no_such_file.py:Name", FileNotFoundError, "no_such_file.py: there is no such file"),
    ("no_such_model.npz", FileNotFoundError, "no_such_model.npz: there is no such file"),
    ("nfnumpy:fit", ValueError, "raised"),
    ("math:sqrt", ValueError, "expected a flow with forward and inverse"),
))
def test_what_cannot_be_used(module, target, error, says):
    with pytest.raises(error, match=says):
        call(target.format(module))


def test_a_file_with_an_error_in_it(tmp_path):
    path = tmp_path / "oops.py"
    path.write_text("1 / 0")
    with pytest.raises(ValueError, match="oops.py: cannot be imported: ZeroDivisionError"):
        call(f"{path}:Name")


def test_without_hypothesis_the_first_failure_is_shown(module, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "hypothesis", None)
    assert call(f"{module}:OneLogTwo") == 1
    out = capsys.readouterr().out
    assert ("(with Hypothesis installed you would see the smallest counterexample: python -m pip install hypothesis)\n"
            in out)
    assert "check_log_det: forward at row" in out


def test_its_place_in_the_command_line():
    assert check.EXAMPLE.startswith("example") and pathlib.Path(check.__file__).parent.name == "commands"
