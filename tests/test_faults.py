"""Training that goes wrong, stops, or is killed: what was learnt by then is there, and can be gone on from."""
import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.checkpoints import rng_state

x_train = np.random.default_rng(0).standard_normal((200, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + 1
GREY = np.random.default_rng(1).integers(0, 5, (40, 2, 2, 1))


def build(kind="realnvp"):
    if kind == "glow":                                           # data-dependent initialisation, noise in every batch
        return nf.glow((2, 2, 1), levels=1, steps=1, width=4, grey_levels=5, rng=1)
    if kind == "linear":                                         # a single number a row, no network
        return nf.NormalizingFlow(nf.Composition([nf.ActNorm((2,)), nf.PLU(2, rng=1)]))
    return nf.realnvp(2, steps=2, hidden=(8,), rng=1, dtype=np.float32 if kind == "float32" else np.float64)


def fit(model, **arguments):
    x = GREY if hasattr(model, "grey_levels") else x_train
    return nf.fit(model, x, **{"rng": 0, "max_steps": 30, "eval_every": 4, "batch_size": 30, "lr": 0.02, **arguments})


class Stop(Exception):
    """Raised by a callback."""


def stop_after(evaluations):
    count = itertools.count(1)

    def callback(state):
        if next(count) == evaluations:
            raise Stop
    return callback


def same(history, other):
    """Equal in all but the seconds."""
    return {**vars(history), "seconds": 0, "elapsed": 0} == {**vars(other), "seconds": 0, "elapsed": 0}


@given(kind=st.sampled_from(["realnvp", "float32", "glow", "linear"]), stops=st.lists(st.integers(1, 6), max_size=3),
       seed=st.one_of(st.integers(0, 5), st.sampled_from([np.random.MT19937, np.random.Philox, np.random.SFC64])),
       patience=st.sampled_from([1, 20]), weight_decay=st.sampled_from([0.0, 1.0]))
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bits(tmp_path_factory, kind, stops, seed, patience,
                                                                   weight_decay):
    def rng(other=0):
        return seed if isinstance(seed, int) else np.random.Generator(seed(7 + other))

    arguments = {"patience": patience, "weight_decay": weight_decay}
    whole, whole_rng = build(kind), rng()
    expected = fit(whole, rng=whole_rng, **arguments)
    path = tmp_path_factory.mktemp("run") / "run.npz"
    for evaluations in stops:                                    # each goes on from where the last one was stopped
        try:
            fit(build(kind), rng=rng(), checkpoint=path, callback=stop_after(evaluations), **arguments)
        except Stop:
            pass
    model, resumed_rng = build(kind), rng()
    history = fit(model, rng=resumed_rng, checkpoint=path, **arguments)
    assert same(history, expected)
    np.testing.assert_array_equal(model.theta, whole.theta)
    if not isinstance(seed, int):                                # the Generator too goes on as if nothing had happened
        assert rng_state(resumed_rng) == rng_state(whole_rng)
    again = build(kind)
    assert same(fit(again, rng=rng(), checkpoint=path, **arguments), expected)      # done: returns at once
    np.testing.assert_array_equal(again.theta, whole.theta)


CHILD = """
    import sys
    import numpy as np
    import nfnumpy as nf

    x = np.random.default_rng(0).standard_normal((200, 2))
    model, lines = nf.realnvp(2, steps=2, hidden=(8,), rng=1), int(sys.argv[2])

    def trace(frame, event, argument):
        global lines
        lines -= 1
        if lines == 0:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    if lines:
        sys.settrace(trace)
    nf.fit(model, x, rng=0, max_steps=30, eval_every=2, checkpoint=sys.argv[1])
    print(model.theta.tobytes().hex())
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a child by a signal")
def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    def run(name, lines):
        return subprocess.run([sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / name), str(lines)],
                              capture_output=True, text=True)

    expected = run("whole.npz", 0).stdout
    for lines in (8_000, 15_001):                                # of Python, counted by the child: in the midst of training
        assert run("killed.npz", lines).returncode < 0 and (tmp_path / "killed.npz").exists()
    assert run("killed.npz", 0).stdout == expected != ""


@pytest.mark.parametrize("change, words", [
    ({"lr": 0.01}, "lr = 0.01 instead of 0.02"), ({"warmup": 3}, "warmup = 3 instead of 0"),
    ({"max_steps": 31}, "max_steps = 31 instead of 30"),
    ({"rng": 1}, "rng = 1 instead of 0"), ({"rng": None}, "rng = 'None' instead of 0"),
    ({"clip": None}, "clip = None instead of 5.0"), ({"x_valid": x_train[:3]}, "another x_valid")])
def test_the_checkpoint_of_another_run_is_refused_and_changes_nothing(tmp_path, change, words):
    path, model = tmp_path / "run.npz", build()
    with pytest.raises(Stop):
        fit(build(), checkpoint=path, callback=stop_after(3))
    content, before = path.read_bytes(), model.theta.copy()
    with pytest.raises(ValueError, match=f"checkpoint: expected the run that .*run.npz was written by, got {words}"):
        fit(model, checkpoint=path, **change)
    assert path.read_bytes() == content
    np.testing.assert_array_equal(model.theta, before)


@pytest.mark.parametrize("model, words", [
    (nf.realnvp(2, steps=3, hidden=(8,), rng=1), "another model"), (build("float32"), "another model"),
    (build().standardized(x_train), "another model")])
def test_the_checkpoint_of_another_model_or_of_other_data_is_refused(tmp_path, model, words):
    path = tmp_path / "run.npz"
    fit(build(), checkpoint=path)
    with pytest.raises(ValueError, match=words):
        fit(model, checkpoint=path)
    with pytest.raises(ValueError, match="another x;"):
        nf.fit(build(), x_train[1:], rng=0, max_steps=30, eval_every=4, batch_size=30, lr=0.02, checkpoint=path)


@given(place=st.integers(0, 2 ** 20), cut=st.booleans())
def test_a_damaged_checkpoint_is_refused_or_resumes_to_the_same_bits(tmp_path_factory, place, cut):
    path = tmp_path_factory.mktemp("run") / "run.npz"
    expected = build()
    fit(expected, checkpoint=path, max_steps=5)
    content = bytearray(path.read_bytes())
    if cut:
        del content[place % len(content):]
    else:
        content[place % len(content)] ^= 1 << place // len(content) % 8
    path.write_bytes(content)
    model = build()
    before = model.theta.copy()
    try:
        fit(model, checkpoint=path, max_steps=5)
    except ValueError as error:
        assert "checkpoint: expected" in str(error) and "\n" not in str(error)
        np.testing.assert_array_equal(model.theta, before)
    else:
        np.testing.assert_array_equal(model.theta, expected.theta)


def test_a_model_file_is_no_checkpoint_and_a_checkpoint_no_model(tmp_path):
    path, model = tmp_path / "file.npz", build()
    nf.save(model, path)
    with pytest.raises(ValueError, match="checkpoint: expected .* to be a checkpoint of fit"):
        fit(model, checkpoint=path)
    path.unlink()
    fit(model, checkpoint=path)
    with pytest.raises(ValueError, match="not a model file"):
        nf.load(path)
    with pytest.raises(FileNotFoundError):
        fit(model, checkpoint=tmp_path / "no folder" / "file.npz")
    assert os.listdir(tmp_path) == ["file.npz"]


@pytest.mark.parametrize("error", [Stop, FloatingPointError, KeyboardInterrupt, MemoryError])
def test_whatever_a_callback_raises_the_best_theta_so_far_stays(error):
    seen = []

    def callback(state):
        seen.append((state.history.best_valid, state.history, state.model.theta.copy()))
        if len(seen) == 5:
            raise error

    model = build()
    if error is KeyboardInterrupt:
        assert fit(model, callback=callback).stopped == "interrupted"
    else:
        with pytest.raises(error):
            fit(model, callback=callback)
    best, history, _ = seen[-1]
    assert len(history.valid) == 5 and best == min(history.valid) == history.best_valid
    np.testing.assert_array_equal(model.theta, seen[history.valid.index(best)][2])


class Faulty(nf.NormalizingFlow):
    """From the `at`-th call of `method` on: an exception, or results that are not finite."""

    def __init__(self, flow, method, at, what):
        super().__init__(flow)
        self.method, self.at, self.what, self.calls = method, at, what, 0

    def fails(self, method):
        self.calls += method == self.method
        if method == self.method and self.calls >= self.at and not isinstance(self.what, float):
            raise self.what
        return method == self.method and self.calls >= self.at

    def log_prob(self, x):
        log_p = super().log_prob(x)
        return np.full_like(log_p, self.what) if self.fails("log_prob") else log_p

    def initialize(self, x):
        self.theta += 1.0
        self.fails("initialize")

    def log_prob_vjp(self, x):
        log_p, vjp = super().log_prob_vjp(x)
        gradient_fails = self.fails("gradient")
        loss = np.full_like(log_p, self.what) if self.fails("log_prob_vjp") else log_p
        return loss, lambda *args: (None, np.full_like(self.theta, self.what)) if gradient_fails else vjp(*args)


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["log_prob_vjp", "gradient"])
@pytest.mark.parametrize("at", [1, 14])
def test_a_loss_or_gradient_that_is_not_finite_ends_training_with_the_best_theta(what, method, at):
    model, good = Faulty(build().flow, method, at, what), build()
    words = "loss" if method == "log_prob_vjp" else "length of the gradient"
    with pytest.raises(FloatingPointError, match=rf"the {words} is -?(nan|inf) at step {at}, after a loss of \d\.\d* nats "
                                                 rf"at step {at - 1}; try a smaller lr than 0.02, or standard") as raised:
        fit(model, initialize=False)
    history = raised.value.history
    assert history.step[-1] == (at - 1) // 4 * 4 and history.best_valid == min(history.valid)
    assert model.calls == at                                     # at once
    assert history.valid == fit(good, initialize=False).valid[:len(history.valid)]
    assert np.isfinite(model.theta).all()


@pytest.mark.parametrize("method", ["initialize", "log_prob", "log_prob_vjp"])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_model_that_fails_before_the_first_evaluation_keeps_its_theta(method, error):
    model = Faulty(build().flow, method, 1, error)
    before = model.theta.copy()
    if method == "log_prob_vjp" and isinstance(error, KeyboardInterrupt):
        assert fit(model).stopped == "interrupted"               # after the initialisation, which was evaluated
        np.testing.assert_array_equal(model.theta, before + 1)
        return
    with pytest.raises(type(error)):
        fit(model)
    np.testing.assert_array_equal(model.theta, before + (method == "log_prob_vjp"))


def test_held_out_values_that_are_not_finite_are_never_the_best():
    model = Faulty(build().flow, "log_prob", 7, np.nan)          # two calls at step 0, then one an evaluation
    history = fit(model, initialize=False)
    assert np.isnan(history.valid[-1]) and np.isfinite(history.best_valid)
    assert history.best_valid == np.nanmin(history.valid)


def test_a_learning_rate_far_too_large_ends_no_worse_than_it_began():
    """Steps of size 10 in a network's weights: whatever training does, the held-out likelihood does not fall."""
    model = build()
    before = -model.log_prob(x_train[:50]).mean()
    with np.errstate(all="ignore"):
        try:
            nf.fit(model, x_train[50:], x_train[:50], rng=0, max_steps=200, lr=10.0)
        except FloatingPointError:
            pass
        assert -model.log_prob(x_train[:50]).mean() <= before
