"""The loss, the optimiser and `fit`: gradients, determinism, the best theta, early ends."""
import math
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.testing.zoo import randomize
from nfnumpy.minibatches import mean_nll


@given(seed=st.integers(0, 1000), n=st.integers(1, 6))
def test_negative_log_likelihood_and_its_gradient(seed, n):
    """Central differences along a random direction: their error at step 1e-5 is about 1e-9."""
    rng = np.random.default_rng(seed)
    model = nf.realnvp(3, steps=2, hidden=(6,), activation="tanh", rng=rng)
    randomize(model.flow, rng)
    x, theta = rng.standard_normal((n, 3)), model.theta.copy()
    loss, gradient = nf.negative_log_likelihood(model, x)
    assert math.isclose(loss, -model.log_prob(x).mean(), rel_tol=1e-12)
    v, losses = rng.standard_normal(theta.shape), []
    for t in (1e-5, -1e-5):
        model.theta = theta + t * v
        losses.append(nf.negative_log_likelihood(model, x)[0])
    np.testing.assert_allclose(gradient @ v, (losses[0] - losses[1]) / 2e-5, rtol=1e-6, atol=1e-6)


def test_an_empty_batch_has_no_mean():
    with pytest.raises(ValueError, match="x: expected at least one row, got an empty batch"):
        nf.negative_log_likelihood(nf.maf(2, rng=0), np.empty((0, 2)))


@given(gradients=st.lists(st.floats(-10, 10), min_size=1, max_size=5), weight_decay=st.sampled_from([0.0, 0.1]))
def test_adam_is_its_formula_in_plain_loops(gradients, weight_decay):
    theta, m, v, lr = 1.0, 0.0, 0.0, 0.01
    array = np.array([theta])
    adam = nf.Adam(array, lr=lr, weight_decay=weight_decay)
    for t, g in enumerate(gradients, 1):
        adam.step(np.array([g]))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta = theta * (1 - lr * weight_decay) - lr * (m / (1 - 0.9 ** t)) / (math.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
    np.testing.assert_allclose(array, [theta], rtol=1e-12)


@given(length=st.integers(1, 20), piece=st.integers(1, 7), seed=st.integers(0, 1000))
def test_adam_in_pieces_is_adam_at_once(length, piece, seed):
    """The same operations on each number in the same order: equal bits."""
    rng = np.random.default_rng(seed)
    start, gradients = rng.standard_normal(length), rng.standard_normal((3, length))
    thetas = []
    for size in (length, piece):
        thetas.append(start.copy())
        with mock.patch("nfnumpy.optimizers.PIECE", size):
            adam = nf.Adam(thetas[-1], weight_decay=0.1)
            for gradient in gradients:
                adam.step(gradient)
    np.testing.assert_array_equal(*thetas)


def test_adam_moves_the_model_and_refuses_another_length():
    model = nf.maf(2, rng=0)
    adam, before = nf.Adam(model.theta), model.theta.copy()
    adam.step(np.ones_like(before))
    assert (model.theta != before).all()
    with pytest.raises(ValueError, match=r"gradient: expected shape"):
        adam.step(np.ones(3))
    with pytest.raises(ValueError, match="theta: expected a vector, such as model.theta, got list"):
        nf.Adam([1.0])
    with pytest.raises(ValueError, match="lr: expected a finite number of at least 0, got -1"):
        nf.Adam(np.zeros(1), lr=-1)


x_train = np.random.default_rng(0).standard_normal((300, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + 1


def fitted(seed=0, **arguments):
    model = nf.realnvp(2, steps=2, hidden=(8,), rng=1)
    return model, nf.fit(model, x_train, rng=seed, **{"max_steps": 60, "eval_every": 5, **arguments})


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    (a, history_a), (b, history_b), (c, _) = fitted(0), fitted(0), fitted(1)
    np.testing.assert_array_equal(a.theta, b.theta)
    assert history_a.valid == history_b.valid and (a.theta != c.theta).any()


def test_fit_never_touches_the_global_random_state_or_its_data():
    state, kept = np.random.get_state()[1].copy(), x_train.copy()
    fitted()
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(x_train, kept)


def test_the_model_ends_with_the_theta_of_the_best_evaluation():
    x_valid = x_train[:50]
    model = nf.realnvp(2, steps=2, hidden=(8,), rng=1)
    history = nf.fit(model, x_train[50:], x_valid, rng=0, max_steps=60, eval_every=5, lr=0.05)
    assert math.isclose(-model.log_prob(x_valid).mean(), history.best_valid, rel_tol=1e-12)
    assert history.best_valid == min(history.valid) == history.valid[history.step.index(history.best_step)]
    assert history.best_step > 0 and history.best_valid < history.valid[0]


def test_training_stops_when_nothing_improves_and_keeps_the_start_if_that_was_best():
    """Held-out rows far from the training rows: every step makes them less likely."""
    model = nf.realnvp(2, steps=2, hidden=(8,), rng=1)
    before = model.theta.copy()
    history = nf.fit(model, 0.1 * x_train, -x_train[:20], rng=0, max_steps=500, eval_every=1, patience=3, lr=0.01)
    assert history.stopped == "no improvement" and history.step[-1] < 500 and history.best_step == 0
    np.testing.assert_array_equal(model.theta, before)


def test_what_is_no_model_is_refused_by_name():
    flow = nf.Coupling(2, (4,), rng=0)
    message = r"^model: expected a model with log_prob_vjp, got a Coupling; .*: write nf.NormalizingFlow\(flow\)$"
    with pytest.raises(TypeError, match=message):
        nf.fit(flow, x_train)
    with pytest.raises(TypeError, match="^model: expected a model with log_prob_vjp, got a ndarray$"):
        nf.fit(x_train, flow)


class Sabotaged(nf.NormalizingFlow):
    """Raises, or answers NaN, at a given call of log_prob_vjp."""

    def __init__(self, flow, at, what):
        super().__init__(flow)
        self.calls, self.at, self.what = 0, at, what

    def log_prob_vjp(self, x):
        self.calls += 1
        log_p, vjp = super().log_prob_vjp(x)
        if self.calls == self.at and isinstance(self.what, BaseException):
            raise self.what
        return (log_p * np.nan if self.calls == self.at else log_p), vjp


def test_ctrl_c_returns_the_best_model_so_far_with_its_history():
    model = Sabotaged(nf.realnvp(2, steps=2, hidden=(8,), rng=1).flow, at=40, what=KeyboardInterrupt())
    history = nf.fit(model, x_train, rng=0, max_steps=100, eval_every=5, lr=0.01)
    assert history.stopped == "interrupted" and history.best_step == 35 and model.theta.any()


def test_a_loss_that_is_not_finite_stops_at_once_and_says_what_to_try():
    model = Sabotaged(nf.realnvp(2, steps=2, hidden=(8,), rng=1).flow, at=40, what=None)
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 40, after a loss of .* nats at step 39; try a "
                       "smaller lr than 0.01"):
        nf.fit(model, x_train, rng=0, max_steps=100, eval_every=5, lr=0.01)
    assert np.isfinite(model.theta).all() and model.theta.any()


def test_long_gradients_are_shortened_and_counted():
    _, history = fitted(clip=1e-3)
    _, unclipped = fitted(clip=None)
    assert history.clipped == 60 and unclipped.clipped == 0


def test_one_huge_gradient_does_not_throw_theta_away():
    """A sample far in the tail, once in 300 rows: with clipping training goes on, step by step as without the sample."""
    x = x_train.copy()
    x[7] = 1e4
    model = nf.realnvp(2, steps=2, hidden=(8,), rng=1)
    history = nf.fit(model, x, x_train[:100], rng=0, max_steps=100, batch_size=30, lr=0.01)
    assert history.clipped >= 1 and history.best_valid < history.valid[0] - 0.1


@pytest.mark.parametrize("shown", [True, False, None])
def test_the_progress_line_is_for_terminals_only(shown, capsys):
    fitted(progress=shown)                                       # None: stderr is captured here, so no terminal
    out, err = capsys.readouterr()
    assert out == "" and bool(err) == bool(shown)
    if shown:
        assert "step 60/60  training " in err and " nats, held-out " in err and " s left" in err


@pytest.mark.parametrize("build", (
    lambda: nf.realnvp_image((2, 4, 1), 1, blocks=1, width=3, grey_levels=17, rng=0),
    lambda: nf.AutoregressiveMLP(8, 17, (5,), rng=0)))
def test_progress_of_grey_values_is_in_bits_per_dimension(build, capsys):
    """A line's numbers times D ln 2 are the history's, to the three places that are shown."""
    model = build()
    x = np.random.default_rng(0).integers(0, 17, (30, *model.x_shape))
    history = nf.fit(model, x, rng=0, max_steps=4, eval_every=2, progress=True)
    number = r"(\d+\.\d{3})"
    lines = re.findall(rf"training {number} bits/dim, held-out {number}, best {number} ", capsys.readouterr().err)
    nats = [history.train[1:], history.valid[1:], np.minimum.accumulate(history.valid)[1:]]
    np.testing.assert_allclose(np.array(lines, float), np.transpose(nats) / (8 * np.log(2)), atol=5.1e-4)


class Counting(nf.NormalizingFlow):
    """Keeps the number of rows of each call of log_prob."""

    def log_prob(self, x):
        self.rows.append(len(x))
        return super().log_prob(x)


@pytest.mark.parametrize("shape, most", (((2,), 4096), ((28, 28, 1), 83), ((300, 300, 1), 1)))
def test_rows_are_evaluated_some_at_a_time_and_fewer_the_larger_they_are(shape, most):
    model = Counting(nf.ActNorm(shape))
    model.rows, x = [], np.random.default_rng(0).standard_normal((2 * most + 1, *shape))
    loss = mean_nll(model, x)
    assert model.rows == [most, most, 1]
    assert math.isclose(loss, -nf.NormalizingFlow(model.flow).log_prob(x).mean(), rel_tol=1e-12)


@pytest.mark.parametrize("x, arguments, message", [
    (x_train[0], {}, r"x: expected a batch with several rows, got an array of shape \(2,\)"),
    (x_train[:1], {}, r"x: expected a batch with several rows, got an array of shape \(1, 2\)"),
    (x_train, {"x_valid": np.zeros((3, 5))}, r"x_valid: expected a batch of shape \(n, 2\), got an array of shape \(3, 5\)"),
    (x_train, {"valid_fraction": 1.5}, "valid_fraction: expected a number between 0 and 1, got 1.5"),
    (x_train, {"max_steps": 0}, "max_steps: expected a whole number of at least 1, got 0"),
    (x_train, {"batch_size": -3}, "batch_size: expected a whole number of at least 1, got -3"),
    (x_train, {"clip": 0}, "clip: expected a positive number or None, got 0"),
    (x_train, {"lr": float("nan")}, "lr: expected a finite number of at least 0, got nan"),
    (x_train * np.nan, {}, "x: expected finite numbers")])
def test_arguments_that_make_no_sense_change_nothing(x, arguments, message):
    model = nf.realnvp(2, steps=2, hidden=(8,), rng=1)
    before = model.theta.copy()
    with pytest.raises(ValueError, match=message):
        nf.fit(model, x, rng=0, **arguments)
    np.testing.assert_array_equal(model.theta, before)


def test_two_rows_are_enough():
    model = nf.realnvp(2, steps=1, hidden=(4,), rng=0)
    assert nf.fit(model, x_train[:2], rng=0, max_steps=3).step[-1] == 3


def test_a_second_fit_can_go_on_where_the_first_one_ended():
    """ActNorm takes its scale from the data once; initialised again, it would throw away what was trained."""
    images = np.random.default_rng(0).normal(3, 2, (100, 4, 4, 1))
    model = nf.glow((4, 4, 1), levels=1, steps=1, width=4, rng=0)
    first = nf.fit(model, images, rng=0, max_steps=30, lr=0.01)
    again = nf.fit(model, images, rng=0, max_steps=1, initialize=False)
    assert again.valid[0] == first.best_valid
    theta = model.theta.copy()
    nf.fit(model, images, rng=0, max_steps=1, lr=0.0, initialize=False)
    np.testing.assert_array_equal(model.theta, theta)
    nf.fit(model, images, rng=0, max_steps=1, lr=0.0)
    assert (model.theta != theta).any()


def with_nan(x, row):
    x = x.copy()
    x[row, 1] = np.nan
    return x


@pytest.mark.parametrize("x, x_valid, message", [
    (with_nan(x_train, 250), None, r"^x: expected finite numbers, got 1 .* at index \(250, 1\)"),
    (x_train, with_nan(x_train, 3)[:9], r"^x_valid: expected finite numbers, got 1 .* at index \(3, 1\)")])
def test_one_bad_number_is_found_before_anything_is_changed(x, x_valid, message):
    """Also by a model that takes its scale from the data, and named by its place in what the caller handed in."""
    model = nf.NormalizingFlow(nf.Composition([nf.ActNorm((2,)), nf.Coupling(2, (4,), rng=0)]))
    before = model.theta.copy()
    with pytest.raises(ValueError, match=message):
        nf.fit(model, x, x_valid, rng=0)
    np.testing.assert_array_equal(model.theta, before)


class Flat(nf.NormalizingFlow):
    """A model whose first minibatch has gradient zero."""

    calls = 0

    def log_prob_vjp(self, x):
        log_p, vjp = super().log_prob_vjp(x)
        self.calls += 1
        return log_p, (vjp if self.calls > 1 else lambda *args: (None, np.zeros_like(self.theta)))


def test_a_first_gradient_of_zero_does_not_freeze_training():
    model = Flat(nf.realnvp(2, steps=2, hidden=(8,), rng=1).flow)
    history = nf.fit(model, x_train, rng=0, max_steps=60, lr=0.01)
    assert history.best_valid < history.valid[0] and history.clipped < 5
