"""The estimator convention, with small stand-ins for what scikit-learn and data frames do."""
import copy
import inspect
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.estimator import FLOWS, NotFittedError

FEW = {"steps": 2, "hidden": (8,), "max_steps": 10, "random_state": 0}
some = settings(max_examples=8)


def rows(n=60, m=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, m)) @ rng.standard_normal((m, m)) + 3


def clone(estimator):
    """What scikit-learn's clone does and asks: arguments copied, handed over by name, and stored as they came."""
    arguments = {name: copy.deepcopy(value) for name, value in estimator.get_params(deep=False).items()}
    other = type(estimator)(**arguments)
    assert all(value is arguments[name] for name, value in other.get_params(deep=False).items())
    return other


class Frame:
    """Like a data frame: names of columns, and an array on request."""

    def __init__(self, values, columns):
        self.values, self.columns = np.asarray(values), columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


@pytest.fixture(scope="module")
def fitted():
    return nf.FlowDensity(**FEW).fit(rows())


# The convention -----------------------------------------------------------------------------------------------------

def test_arguments_are_stored_untouched_and_unchecked():
    strange = {name: object() for name in inspect.signature(nf.FlowDensity).parameters}
    estimator = nf.FlowDensity(**strange)
    assert estimator.get_params() == estimator.get_params(deep=False) == strange
    assert vars(estimator) == strange                            # and nothing that looks fitted


def test_a_clone_is_an_unfitted_equal_that_fits_to_the_same_bits(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params() and not hasattr(other, "model_")
    np.testing.assert_array_equal(other.fit(rows()).score_samples(rows()), fitted.score_samples(rows()))


def test_fit_returns_itself_keeps_its_arguments_and_ignores_y():
    estimator = nf.FlowDensity(**FEW)
    before = estimator.get_params()
    assert estimator.fit(rows(), y=np.zeros(60)) is estimator and estimator.get_params() == before
    assert set(vars(estimator)) - set(before) == {"model_", "history_", "n_features_in_"}
    assert estimator.n_features_in_ == 2 and estimator.history_.step[-1] == 10
    assert estimator.score(rows(), y=np.zeros(60)) == estimator.score(rows())


def test_fit_starts_anew():
    estimator = nf.FlowDensity(**FEW).fit(rows(m=3))
    again = estimator.fit(rows()).score_samples(rows())
    np.testing.assert_array_equal(again, clone(estimator).fit(rows()).score_samples(rows()))


def test_set_params_changes_what_it_names_or_nothing():
    estimator = nf.FlowDensity(**FEW)
    assert estimator.set_params(steps=3, flow="iaf") is estimator and (estimator.steps, estimator.flow) == (3, "iaf")
    with pytest.raises(ValueError, match="^depth: expected one of flow, steps, hidden"):
        estimator.set_params(steps=4, depth=2)
    assert estimator.steps == 3


def test_repr_is_the_call_that_rebuilds_it():
    estimator = nf.FlowDensity("realnvp", hidden=(8,), lr=0.01)
    assert repr(estimator) == "FlowDensity(flow='realnvp', hidden=(8,), lr=0.01)"
    assert eval(repr(estimator), {"FlowDensity": nf.FlowDensity}).get_params() == estimator.get_params()
    assert repr(nf.FlowDensity()) == "FlowDensity()"


@pytest.mark.parametrize("ask", [lambda e: e.score_samples(rows()), lambda e: e.score(rows()), lambda e: e.sample(2)])
@pytest.mark.parametrize("kind", [ValueError, AttributeError, NotFittedError])
def test_before_fit_it_says_so(ask, kind):
    with pytest.raises(kind, match=r"expected a fitted FlowDensity, got one without a model; call fit first"):
        ask(nf.FlowDensity())


def test_tags_say_unfitted_and_fitted_and_what_a_pipeline_asks(fitted):
    assert fitted.__sklearn_is_fitted__() and not clone(fitted).__sklearn_is_fitted__()
    tags = fitted.__sklearn_tags__()
    assert tags.estimator_type == "density_estimator" and tags.requires_fit and not tags.target_tags.required
    assert not (tags.input_tags.pairwise or tags.input_tags.sparse or tags.input_tags.allow_nan)


def test_it_copies_and_pickles(fitted):
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.score_samples(rows()), fitted.score_samples(rows()))


def test_it_never_imports_scikit_learn():
    code = ("import sys; sys.modules['sklearn'] = None; import nfnumpy as nf; nf.FlowDensity().__sklearn_tags__();"
            "assert not any(name.startswith(('sklearn.', 'matplotlib', 'scipy.optimize')) for name in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


# Densities in the units of X ----------------------------------------------------------------------------------------

@some
@given(powers=st.tuples(st.integers(-20, 20), st.integers(-20, 20)), flow=st.sampled_from(list(FLOWS)))
def test_answers_are_in_the_units_of_x(powers, flow):
    """p(a x) = p(x) / a. Scaling by powers of two is exact, so that training sees the same bits, and so are samples."""
    X, scale = rows(), 2.0 ** np.array(powers)
    one, other = (nf.FlowDensity(**{**FEW, "flow": flow}).fit(X * by) for by in (1.0, scale))
    expected = one.score_samples(X) - sum(powers) * math.log(2)
    np.testing.assert_allclose(other.score_samples(X * scale), expected, atol=1e-9)
    np.testing.assert_array_equal(other.sample(3, random_state=1), one.sample(3, random_state=1) * scale)


@pytest.mark.parametrize("flow", FLOWS)
def test_the_density_integrates_to_one(flow):
    X = 1000 + 50 * np.random.default_rng(0).standard_normal((80, 1))
    estimator = nf.FlowDensity(**{**FEW, "flow": flow, "lr": 0.05}).fit(X)
    grid = np.linspace(0, 2000, 4001)[:, None]
    assert abs(np.exp(estimator.score_samples(grid)).sum() * 0.5 - 1) < 1e-6


def test_score_is_the_mean_whatever_the_number_of_rows(fitted):
    X = rows()
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean(), abs=1e-12)
    assert fitted.score(np.concatenate([X, X])) == pytest.approx(fitted.score(X), abs=1e-12)
    np.testing.assert_array_equal(fitted.score_samples(X), fitted.model_.log_prob(X))


def test_it_learns_what_no_gaussian_can():
    """Moons in strange units: over a third of the way from a Gaussian to their true density (measured: 0.6)."""
    units = np.array([1e6, 1e-3])
    X, X_test = (x * units for x in nf.datasets.load("moons", n=1000, rng=0))
    estimator = nf.FlowDensity("realnvp", 6, (32, 32), max_steps=300, lr=0.005, random_state=0).fit(X)
    truth = nf.targets.Moons().log_prob(X_test / units).mean() - np.log(units).sum()
    gaussian = nf.Gaussian.fit(X).log_prob(X_test).mean()
    assert estimator.score(X_test) - gaussian > (truth - gaussian) / 3 > 0


def test_samples_come_anew_or_again(fitted):
    assert fitted.sample().shape == (1, 2) and fitted.sample(5).shape == (5, 2)
    np.testing.assert_array_equal(fitted.sample(5, random_state=3), fitted.sample(5, random_state=3))
    assert not np.array_equal(fitted.sample(5), fitted.sample(5))


def test_float32_is_passed_on():
    estimator = nf.FlowDensity(**FEW, dtype="float32").fit(rows())
    assert estimator.score_samples(rows()).dtype == estimator.sample(2).dtype == np.float32


# What X may be ------------------------------------------------------------------------------------------------------

def test_names_of_columns_are_kept_and_checked():
    frame = Frame(rows(), ["width", "height"])
    estimator = nf.FlowDensity(**FEW).fit(frame)
    assert estimator.feature_names_in_.tolist() == estimator.model_.info["columns"] == ["width", "height"]
    bare = estimator.score_samples(rows())                       # an array without names may come
    np.testing.assert_array_equal(estimator.score_samples(frame), bare)
    for columns in (["height", "width"], ["width", "depth"], ["width"]):
        with pytest.raises(ValueError, match=r"^X: expected the columns \['width', 'height'\] that fit saw.*got \["):
            estimator.score_samples(Frame(rows()[:, :len(columns)], columns))
    assert not hasattr(estimator.fit(rows()), "feature_names_in_")           # nor are those of an earlier fit kept
    assert not hasattr(estimator.fit(Frame(rows(), [0, 1])), "feature_names_in_")


def test_lists_whole_numbers_and_frames_are_rows():
    whole = np.random.default_rng(0).integers(0, 9, (30, 2))
    expected = nf.FlowDensity(**FEW).fit(whole.astype(float)).score_samples(whole)
    for X in (whole, whole.tolist(), Frame(whole, ["a", "b"])):
        np.testing.assert_array_equal(nf.FlowDensity(**FEW).fit(X).score_samples(X), expected)


BAD_ROWS = {"one axis": (np.arange(5.0), r"expected a batch of shape \(n, m\)"), 
            "text": ([["a"], ["b"]], "real numbers"), "complex": ([[1j], [2.0]], "real numbers"),
            "NaN": ([[0.0], [math.nan]], "finite numbers"),
            "one row": ([[1.0, 2.0]], "at least two rows"),
            "constant": ([[1.0, 2.0], [3.0, 2.0]], "the first of them 1"),
            "named": (Frame([[1.0, 2.0], [3.0, 2.0]], ["a", "b"]), "the first of them 'b'")}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_make_no_sense_leave_the_estimator_as_it_was(case, fitted):
    X, message = BAD_ROWS[case]
    estimator = copy.deepcopy(fitted)
    model = estimator.model_
    with pytest.raises(ValueError, match="^X: .*" + message):
        estimator.fit(X)
    assert estimator.model_ is model and estimator.n_features_in_ == 2


@pytest.mark.parametrize("X, message", [(rows(m=3), r"\(n, 2\), got an array of shape \(60, 3\)"),
                                        (rows()[0], r"write X\[None, :\]"), ([[math.inf, 0.0]], "finite")])
def test_other_rows_than_those_of_fit_are_refused(X, message, fitted):
    with pytest.raises(ValueError, match="^X: expected .*" + message):
        fitted.score(X)


def test_no_rows_have_no_mean(fitted):
    assert fitted.score_samples(np.empty((0, 2))).shape == (0,)
    with pytest.raises(ValueError, match="^X: expected at least one row"):
        fitted.score(np.empty((0, 2)))


@pytest.mark.parametrize("name, value", [
    ("flow", "glow"), ("flow", None), ("steps", 0), ("hidden", (0,)), ("activation", "step"), ("transformer", "cubic"),
    ("dtype", "int8"), ("max_steps", 0), ("batch_size", -1), ("lr", -1.0), ("weight_decay", -1.0), ("patience", 0),
    ("valid_fraction", 1.0), ("random_state", "seed")])
def test_arguments_are_checked_by_fit_and_named(name, value):
    estimator = nf.FlowDensity(**{**FEW, name: value})
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        estimator.fit(rows())
    assert not hasattr(estimator, "model_")


@pytest.mark.parametrize("name, value", [("n_samples", -1), ("n_samples", 1.5), ("random_state", -1)])
def test_arguments_of_sample_are_named(name, value, fitted):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        fitted.sample(**{name: value})
