"""Watching a training: who is called when and with what, the table that grows, and the film."""
import csv
import itertools
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

import nfnumpy as nf
from nfnumpy import gif, plot_training
from nfnumpy.callbacks import Animation, CsvHistory


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Small pictures, and no waiting for the disk: what a power cut leaves is not tested here."""
    monkeypatch.setattr(gif, "DPI", 40)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


x_train = np.random.default_rng(0).standard_normal((60, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]]) + 1


def fit(callback=None, model=None, x=x_train, **arguments):
    model = nf.realnvp(2, steps=2, hidden=(4,), rng=1) if model is None else model
    return model, nf.fit(model, x, rng=0, callback=callback,
                         **{"max_steps": 12, "eval_every": 4, "batch_size": 20, "lr": 0.02, **arguments})


class Watching:
    """Notes what it is called with."""

    def __init__(self, every=None, stop_at=None):
        self.every, self.stop_at, self.seen, self.ended = every, stop_at, [], []

    def __call__(self, state):
        self.seen.append((state.step, state.evaluated, state.lr, state.history.step[-1], state.model.theta.copy(),
                          state.best_theta.copy()))
        return self.stop_at is not None and state.step >= self.stop_at

    def end(self, state):
        self.ended.append((state.history.stopped, state.history.best_step, state.model.theta.copy()))


@given(every=st.integers(1, 15), stop_at=st.none() | st.integers(0, 15), eval_every=st.integers(1, 15))
def test_callbacks_are_called_when_they_want_to_be_and_change_nothing(every, stop_at, eval_every):
    often, seldom = Watching(every), Watching(stop_at=stop_at)
    model, history = fit([often, seldom], eval_every=eval_every)
    alone, expected = fit(eval_every=eval_every)
    evaluations = [step for step in range(13) if step % eval_every == 0 or step == 12]
    last = next((step for step in evaluations if stop_at is not None and step >= stop_at), 12)
    assert [seen[0] for seen in often.seen] == [step for step in range(last + 1) if step % every == 0]
    assert [seen[0] for seen in seldom.seen] == [step for step in evaluations if step <= last] == history.step
    assert history.valid == expected.valid[:len(history.valid)]
    for step, evaluated, lr, last_evaluation, _, _ in often.seen:
        assert evaluated == (step in evaluations) and last_evaluation == max(e for e in evaluations if e <= step)
        assert math.isclose(lr, 0.02 * 0.5 * (1 + math.cos(math.pi * (step - 1) / 12)) if step else 0.0)
    assert history.stopped == ("all steps done" if last == 12 else "stopped by a callback")
    if last == 12:
        np.testing.assert_array_equal(model.theta, alone.theta)
    thetas = {step: theta for step, _, _, _, theta, _ in seldom.seen}
    for step, _, _, _, _, best in seldom.seen:                   # of its moment, not of the end
        until = [s for s in history.step if s <= step]
        np.testing.assert_array_equal(best, thetas[min(until, key=lambda s: history.valid[history.step.index(s)])])
    for watching in (often, seldom):
        (stopped, best_step, theta), = watching.ended
        assert stopped == history.stopped and best_step == history.best_step
        np.testing.assert_array_equal(theta, model.theta)
        np.testing.assert_array_equal(theta, thetas[best_step])


def test_the_state_knows_the_rows_as_they_came():
    """Grey values without the noise that the model is trained on; split from x, none lost and none twice."""
    images = np.random.default_rng(0).integers(0, 5, (30, 2, 2, 1))
    states = []
    fit(states.append, nf.glow((2, 2, 1), levels=1, steps=1, width=2, grey_levels=5, rng=0), images)
    state = states[0]
    assert len(states) == 4 and all(other is state for other in states) and len(state.x_valid) == 3
    rows = np.concatenate([state.x, state.x_valid]).reshape(30, 4)
    assert sorted(rows.tolist()) == sorted(images.reshape(30, 4).tolist())
    assert repr(state).startswith("TrainingState(max_steps=12, step=12, lr=") and len(repr(state)) < 120
    with pytest.raises(ValueError, match="read-only"):
        state.best_theta[0] = 1.0


def test_only_true_stops():
    for answer in (1, "yes", np.ones(2), None, False):
        assert fit(lambda state: answer)[1].stopped == "all steps done"
    assert fit(lambda state: np.bool_(True))[1].step == [0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_every_end_is_reached_whatever_is_raised(error):
    """By a callback or by an end; Ctrl-C in an end gives up that end alone."""
    class Raising(Watching):
        def end(self, state):
            super().end(state)
            raise error("in the end")

    def raising(state):
        if state.step == 8:
            raise error("on the way")

    for first, last_step in ((raising, 4), (Raising(), 12)):
        model, one, two = nf.realnvp(2, steps=2, hidden=(4,), rng=1), Raising(), Watching()
        callbacks = [first, one, two]
        if error is KeyboardInterrupt:
            assert fit(callbacks, model)[1].stopped == "interrupted"
        else:
            with pytest.raises(ValueError):
                fit(callbacks, model)
        assert len(one.ended) == len(two.ended) == 1
        np.testing.assert_array_equal(model.theta, one.ended[0][2])
        assert one.seen[-1][0] == last_step


def test_what_ended_the_training_counts_and_not_what_an_end_raises_after_it():
    """Both are there: the loss that is no number, with its history, and the full disk as its cause."""
    class FullDisk(Watching):
        def end(self, state):
            raise OSError(28, "No space left on device")

    model = nf.realnvp(2, steps=2, hidden=(4,), rng=1)
    with pytest.raises(FloatingPointError) as caught:
        with np.errstate(all="ignore"):
            fit(FullDisk(), model, lr=1e300)
    assert caught.value.history.stopped == "failed" and isinstance(caught.value.__cause__, OSError)
    with pytest.raises(OSError):
        fit(FullDisk())


def test_the_state_of_a_run_that_was_done_already_is_that_of_its_last_step(tmp_path):
    first, again = Watching(), []
    model, history = fit(first, checkpoint=tmp_path / "run.npz")

    class Ending(Watching):
        def end(self, state):
            again.append((state.step, state.lr, state.evaluated, state.seconds > 0, state.best_theta.copy()))

    other, _ = fit(Ending(), checkpoint=tmp_path / "run.npz")
    step, evaluated, lr, _, _, best_theta = first.seen[-1]
    assert again[0][:4] == (step, lr, evaluated, True) and step == history.step[-1]
    np.testing.assert_array_equal(again[0][4], best_theta)
    np.testing.assert_array_equal(other.theta, model.theta)


def test_a_film_that_cannot_be_drawn_is_no_part_of_the_next(tmp_path, monkeypatch):
    film = Animation(tmp_path / "film.gif", n=10)
    with monkeypatch.context() as patch:
        patch.setattr(film, "add", lambda state, note: 1 / 0 if note else Animation.add(film, state, note))
        with pytest.raises(ZeroDivisionError):
            fit(film)
    fit(film)
    with Image.open(tmp_path / "film.gif") as gif_file:
        assert sum(1 for _ in ImageSequence.Iterator(gif_file)) == 5     # of four evaluations, and the end


@pytest.mark.parametrize("arguments, message", [({"fps": 0.001}, "fps: expected a number from 0.01 to 50, got 0.001"),
                                                ({"fps": 100}, "fps: expected a number from 0.01 to 50, got 100")])
def test_speeds_that_a_gif_has_not_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Animation(tmp_path / "film.gif", **arguments)


def test_a_warmup_that_would_never_end_is_refused():
    with pytest.raises(ValueError, match="^warmup: expected fewer steps than max_steps = 12, got 12"):
        fit(warmup=12)


@pytest.mark.parametrize("callback", [3, "print", [None], [print, 1], {"a": print}])
def test_what_is_no_callback_is_refused_by_name(callback):
    with pytest.raises(ValueError, match="^callback: expected a function of a TrainingState, or a list of them, got"):
        fit(callback)


def test_an_every_that_is_no_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="^callback: every: expected a whole number of at least 1, got 0"):
        fit(Watching(every=0))


@given(warmup=st.integers(0, 8), falling_steps=st.integers(1, 8))
def test_the_rate_rises_to_lr_and_falls_to_zero(warmup, falling_steps):
    watching, max_steps = Watching(every=1), warmup + falling_steps
    fit(watching, max_steps=max_steps, warmup=warmup, eval_every=1, patience=99)
    rates = [seen[2] for seen in watching.seen]
    rising, falling = rates[:warmup + 1], rates[warmup + 1:]
    np.testing.assert_allclose(np.diff(rising), 0.02 / max(warmup, 1), rtol=1e-9)
    np.testing.assert_allclose(falling, [0.02 * math.cos(math.pi / 2 * k / (max_steps - warmup)) ** 2
                                         for k in range(len(falling))], rtol=1e-9, atol=1e-15)


def test_the_rate_of_the_history_is_the_one_that_moves_theta():
    """Adam's first step is as long as its rate in every coordinate that has a gradient."""
    watching = Watching(every=1)
    fit(watching, warmup=10)
    start, first = watching.seen[0][4], watching.seen[1][4]
    assert math.isclose(np.abs(first - start).max(), 0.002, rel_tol=1e-3) and watching.seen[1][2] == 0.002


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["step", "train", "valid", "lr", "seconds"]
    return [(int(step), *map(float, others)) for step, *others in lines]


def of_history(history):
    return list(zip(history.step, history.train, history.valid, history.lr, history.elapsed))


def test_each_row_is_on_the_disk_when_it_happens(tmp_path):
    path, found = tmp_path / "history.csv", []
    path.write_text("an older file", encoding="utf-8")

    def reading(state):
        assert path.read_bytes().endswith(b"\n") and b"\r" not in path.read_bytes()
        found.append((rows(path), of_history(state.history)))

    _, history = fit([CsvHistory(path), reading])
    assert len(found) == 4 and all(there == expected for there, expected in found)
    assert rows(path) == of_history(history) and os.listdir(tmp_path) == ["history.csv"]


def test_ctrl_c_in_the_midst_of_a_row_leaves_each_row_once(tmp_path, monkeypatch):
    calls, fsync = itertools.count(), os.fsync

    def interrupted(descriptor):
        if next(calls) == 2:
            raise KeyboardInterrupt
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", interrupted)
    _, history = fit(CsvHistory(tmp_path / "history.csv"))
    assert history.stopped == "interrupted" and history.step == [0, 4, 8]
    assert rows(tmp_path / "history.csv") == of_history(history)


def test_a_file_that_another_program_has_locked_gets_its_rows_later(tmp_path, monkeypatch):
    path, found = tmp_path / "history.csv", []

    def watching(state):
        if state.step == 4:                                      # the table comes before this in each round
            monkeypatch.setattr("nfnumpy.callbacks.open", locked, raising=False)
        elif state.step == 8:
            monkeypatch.undo()
        found.append(len(rows(path)))

    def locked(*_, **__):
        raise PermissionError(13, "Permission denied")

    _, history = fit([CsvHistory(path), watching])
    assert found == [1, 2, 2, 4] and rows(path) == of_history(history)


@settings(max_examples=12)
@given(stops=st.lists(st.integers(1, 5), max_size=2), same=st.booleans())
def test_the_table_of_a_resumed_run_is_that_of_the_whole_run(tmp_path_factory, stops, same):
    """Also where a run was killed with rows of steps that the checkpoint does not know, or had no table before."""
    folder = tmp_path_factory.mktemp("run")

    def stopping(evaluations):
        count = itertools.count(1)
        return lambda state: next(count) == evaluations

    for evaluations in stops:
        tables = [CsvHistory(folder / "history.csv")] if same else []
        fit([*tables, stopping(evaluations)], checkpoint=folder / "run.npz")
        if same:
            with open(folder / "history.csv", "a", encoding="utf-8") as file:
                file.write("99,1.0,1.0,0.1,5.0\n")
    _, history = fit(CsvHistory(folder / "history.csv"), checkpoint=folder / "run.npz")
    _, whole = fit()
    assert rows(folder / "history.csv") == of_history(history)
    assert history.valid == whole.valid and history.lr == whole.lr and history.elapsed == sorted(history.elapsed)


def grey(shape, levels=5):
    return np.random.default_rng(0).integers(0, levels, (40, *shape))


def flat_images():
    model = nf.AutoregressiveMLP(4, 5, (4,), rng=0)
    model.info["image_shape"] = [2, 2, 1]
    return model


DRAWN = {"Plane": (lambda: nf.realnvp(2, steps=2, hidden=(4,), rng=1), x_train),
         "Line": (lambda: nf.maf(1, steps=1, hidden=(4,), rng=0), x_train[:, :1]),
         "Pairs": (lambda: nf.realnvp(3, steps=1, hidden=(4,), rng=0), np.random.default_rng(0).normal(size=(40, 3))),
         "Images": (lambda: nf.glow((2, 2, 1), 1, 1, 2, grey_levels=5, rng=0), grey((2, 2, 1))),
         "Images of real numbers": (lambda: nf.glow((2, 2, 3), 1, 1, 2, rng=0), grey((2, 2, 3)) / 7 - 3),
         "Line of whole numbers": (lambda: nf.AutoregressiveMLP(1, 5, (4,), rng=0), grey((1,))),
         "Plane of whole numbers": (lambda: nf.AutoregressiveMLP(2, 5, (4,), rng=0), grey((2,)))}
LIKE_OTHERS = {"Images, pixel by pixel": (lambda: nf.AutoregressiveCNN((2, 2, 1), 5, 2, 1, rng=0), grey((2, 2, 1))),
               "Pairs of many columns": (lambda: nf.maf(9, 1, (4,), rng=0), grey((9,)) / 7),
               "Images in rows": (flat_images, grey((4,))),
               "Pairs of many whole numbers": (lambda: nf.AutoregressiveMLP(2, 256, (4,), rng=0), grey((2,), 256)),
               "Pairs of whole numbers": (lambda: nf.AutoregressiveMLP(3, 5, (4,), rng=0), grey((3,)))}


@pytest.mark.parametrize("kind", [*DRAWN, *LIKE_OTHERS])
def test_every_kind_of_model_has_a_view_that_sees_the_same_noise(kind):
    build, x = {**DRAWN, **LIKE_OTHERS}[kind]
    view = plot_training.view_of(build(), x, 9)
    assert type(view).__name__ == kind.split()[0].strip(",")
    for array, again in zip(view.look(build()), view.look(build())):
        np.testing.assert_array_equal(array, again)


@pytest.mark.parametrize("kind", DRAWN)
def test_a_film_of_every_kind_of_model(tmp_path, kind):
    build, x = DRAWN[kind]
    film = Animation(tmp_path / "film.gif", every=12, n=9)
    fit(film, build(), x)
    frames = pictures(tmp_path / "film.gif")
    assert len(frames) == 3 and len({frame.shape for frame in frames}) == 1 and os.listdir(tmp_path) == ["film.gif"]
    assert (frames[0] != frames[-1]).any() and (frames[0][-1, 0] == 255).all()           # something moves, on white
    assert film.frames == [] and film.view is None               # nothing is kept


def pictures(path):
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        return [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]


def test_frames_are_those_of_the_steps_with_one_noise_and_the_kept_model_last(tmp_path, monkeypatch):
    given, watching = [], Watching(every=3)
    monkeypatch.setattr(gif, "write_gif", lambda path, view, frames, fps: (given.extend(frames), path.touch()))
    model, history = fit([watching, Animation(tmp_path / "film.gif", every=3, n=50)])
    assert [words.split("   ")[0] for words, _ in given[:-1]] == [f"step {step:2} of 12" for step in (0, 3, 6, 9, 12)]
    assert given[-1][0].startswith(f"step {history.best_step:2} of 12   ") and given[-1][0].endswith("   kept")
    np.testing.assert_allclose(given[-1][1][1], model.sample(50, 0), rtol=1e-6, atol=1e-6)
    for (words, (p, samples)), (step, evaluated, _, at, theta, _) in zip(given, watching.seen):
        assert f"{history.valid[history.step.index(at)]:.3f} nats" in words and ("at step" in words) != evaluated
        model.theta = theta
        np.testing.assert_allclose(samples, model.sample(50, 0), rtol=1e-6, atol=1e-6)       # float32
        low, high = film_limits()
        grid = low + (np.array([[0.5, 0.5], [99.5, 0.5], [0.5, 99.5]])) * (high - low) / 100
        np.testing.assert_allclose(p[[0, 0, -1], [0, -1, 0]], np.exp(model.log_prob(grid)), rtol=1e-4)


def film_limits():
    view = plot_training.view_of(nf.realnvp(2, rng=0), fit_rows(), 50, 0)
    return view.where.T


def fit_rows():
    states = []
    fit(states.append)
    return states[0].x


def test_nothing_but_what_moves_changes_from_frame_to_frame(tmp_path):
    """Data, axes and words are the same pixels in all frames, the left third; title, density and samples are not."""
    _, history = fit(Animation(tmp_path / "film.gif", every=6, n=50))
    assert history.best_step == 0                                # so the last frame differs in its title alone
    frames = pictures(tmp_path / "film.gif")
    title, third = 12, frames[0].shape[1] // 3
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[title:, :third], frames[0][title:, :third])
        assert (frame[:title] != frames[0][:title]).any()
    for frame in frames[1:-1]:
        moves = frame[title:] != frames[0][title:]
        assert moves[:, third:2 * third].any() and moves[:, 2 * third:].any()
    np.testing.assert_array_equal(frames[-1][title:], frames[0][title:])


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_the_film_is_written_however_training_ends(tmp_path, monkeypatch, error):
    def raising(state):
        if state.step == 8:
            raise error

    written = []

    def write(path, view, frames, fps):
        written.extend(frames)
        path.touch()

    monkeypatch.setattr(gif, "write_gif", write)
    callbacks = [Animation(tmp_path / "film.gif", n=5), raising]
    if error is KeyboardInterrupt:
        fit(callbacks)
    else:
        with pytest.raises(error):
            fit(callbacks)
    assert [words.split()[1] for words, _ in written[:3]] == ["0", "4", "8"] and written[3][0].endswith("kept")
    assert os.listdir(tmp_path) == ["film.gif"] and len(written) == 4


def test_an_old_film_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    (tmp_path / "film.gif").write_bytes(b"older results")

    def failing(path, *arguments):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(gif, "write_gif", failing)
    with pytest.raises(OSError, match="No space left"):
        fit(Animation(tmp_path / "film.gif", n=5))
    assert (tmp_path / "film.gif").read_bytes() == b"older results" and os.listdir(tmp_path) == ["film.gif"]


def test_a_film_of_a_run_that_was_done_is_the_model_that_is_kept(tmp_path):
    fit(checkpoint=tmp_path / "run.npz")
    fit(Animation(tmp_path / "film.gif", n=5), checkpoint=tmp_path / "run.npz")
    assert len(pictures(tmp_path / "film.gif")) == 1


def test_a_run_that_was_done_leaves_the_film_that_is_there(tmp_path):
    """And one that is begun anew does not."""
    film = Animation(tmp_path / "film.gif", n=5)
    fit(film, checkpoint=tmp_path / "run.npz")
    before = (tmp_path / "film.gif").read_bytes()
    assert len(pictures(tmp_path / "film.gif")) > 1
    for again in (film, Animation(tmp_path / "film.gif", n=5)):
        fit(again, checkpoint=tmp_path / "run.npz")
        assert (tmp_path / "film.gif").read_bytes() == before
    fit(Animation(tmp_path / "film.gif", n=6))
    assert (tmp_path / "film.gif").read_bytes() != before


def test_samples_far_away_or_not_finite_can_be_drawn(tmp_path):
    model = nf.realnvp(2, steps=2, hidden=(4,), rng=1)
    view = plot_training.view_of(model, x_train, 9)
    bad = np.full((100, 100), np.nan, np.float32), np.full((9, 2), [np.nan, np.inf], np.float32)
    gif.write_gif(tmp_path / "film.gif", view, [("good", view.look(model)), ("bad", bad)], 8)
    assert len(pictures(tmp_path / "film.gif")) == 2
    narrow = nf.NormalizingFlow(nf.Standardize([1.0, 1.0], [1e-200, 1e-200]))        # p beyond the largest number
    assert np.isfinite(view.density(narrow, np.ones((1, 2)))).all()


@pytest.mark.parametrize("arguments, words", [
    ({"path": "film.png"}, "path: expected a file name that ends in .gif, got 'film.png'"),
    ({"path": "no folder/film.gif"}, "path: the folder no folder does not exist"),
    ({"path": "film.gif", "every": 0}, "every: expected a whole number of at least 1"),
    ({"path": "film.gif", "n": 0}, "n: expected a whole number of at least 1"),
    ({"path": "film.gif", "fps": 0}, "fps: expected a number from 0.01 to 50, got 0")])
def test_what_makes_no_film_is_refused_before_training(arguments, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        Animation(**arguments)


def test_a_table_needs_a_folder_and_a_film_a_model_with_samples(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        CsvHistory(tmp_path / "no folder" / "history.csv")

    class Mute:
        theta, log_prob = np.zeros(1), None

    with pytest.raises(TypeError, match="model: expected one with sample, to be drawn, got a Mute"):
        plot_training.view_of(Mute(), x_train)
