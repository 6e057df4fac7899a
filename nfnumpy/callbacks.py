"""Watching a training: what `fit` does with its callbacks, and two ready ones, an animation and a table that grows.

A callback is a function of a `TrainingState`, or an object that can be called with one and perhaps has `every`, the
number of steps between its calls, and ``end(state)``, which is called once when training has ended: see `nfnumpy.fit`.
"""
import contextlib
import csv
import io
import os
from pathlib import Path

import numpy as np

from nfnumpy.arrays import as_batch, as_count, as_number
from nfnumpy.files import written_whole


class Callbacks:
    """Some callbacks as one: `callback`, a function or a list of them or None, behind those in `before`."""

    def __init__(self, callback, before=()):
        given = [] if callback is None else list(callback) if isinstance(callback, (list, tuple)) else [callback]
        for one in given:
            if not callable(one):
                raise ValueError(f"callback: expected a function of a TrainingState, or a list of them, got {one!r}")
            if getattr(one, "every", None) is not None:
                as_count(one.every, "callback: every", minimum=1)
        self.all = [*before, *given]

    def __call__(self, state):
        """Call those whose step it is; whether one of them returned True."""
        stop = False
        for one in self.all:
            every = getattr(one, "every", None)
            if state.evaluated if every is None else state.step % every == 0:
                answer = one(state)
                stop |= isinstance(answer, (bool, np.bool_)) and bool(answer)
        return stop

    def end(self, state):
        """Call the `end` of each that has one, in order; what one of them raises keeps no other from its end."""
        with contextlib.ExitStack() as ends:                     # the last that goes on it is the first that is called
            for one in reversed(self.all):
                if hasattr(one, "end"):
                    ends.callback(one.end, state)


class CsvHistory:
    """The `History` as a CSV file that grows while the model is fitted: ``nf.fit(..., callback=CsvHistory(path))``.

    Under the header ``step,train,valid,lr,seconds`` a row for each evaluation, nats as in `History`, each number in the
    fewest digits that give it back exactly. A row is on the disk, whole, before training goes on: ``tail -f`` shows it,
    and a plotting script may read the file at any time.

    Each training begins the file anew. One that goes on from a checkpoint begins with the rows of the runs before it,
    those in the checkpoint and no others: no row comes twice, and none is missing.

    Parameters
    ----------
    path : path of the file

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    OSError
        From `fit`, if the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import nfnumpy as nf
    >>> x = np.random.default_rng(0).standard_normal((100, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "history.csv")
    ...     history = nf.fit(nf.maf(2, rng=0), x, rng=0, max_steps=2, callback=CsvHistory(path))
    ...     path.read_text(encoding="utf-8").count("\\n")
    4
    """

    def __init__(self, path):
        self.path, self.written = _in_a_folder(path), None       # rows in the file; None: not begun

    def __call__(self, state):
        rows = rows_of(state.history)
        if self.written is None:
            with written_whole(self.path) as aside:
                aside.write_text(as_csv([("step", "train", "valid", "lr", "seconds"), *rows]), encoding="utf-8",
                                 newline="\n")
        elif rows[self.written:]:
            try:
                with open(self.path, "a", encoding="utf-8", newline="\n") as file:
                    file.write(as_csv(rows[self.written:]))
                    file.flush()
                    os.fsync(file.fileno())
            except PermissionError:                              # on Windows, while a spreadsheet has the file open:
                return                                           # these rows come with the next one
        self.written = len(rows)

    def end(self, state):
        """Write the file once more, whole: Ctrl-C may have come within a row, or a checkpoint said all was done."""
        self.written = None
        if state.history.step:
            self(state)
        self.written = None


def rows_of(history):
    """The evaluations of a `History`: ``[(step, train, valid, lr, seconds)]``."""
    return list(zip(history.step, history.train, history.valid, history.lr, history.elapsed))


def as_csv(rows):
    """Rows as lines of text.

    >>> as_csv([("step", "train"), (0, 0.1)])
    'step,train\\n0,0.1\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class Animation:
    """A film of the training as an animated GIF: ``nf.fit(..., callback=Animation(path))``.

    What it shows depends on the samples of the model: data, density and samples for two columns; histograms and the
    density for one; pairs of up to four columns for more; samples beside data for images. Models of whole numbers are
    shown with their probabilities; their rows are spread at random within their cells. The title of a frame says the
    step and the latest held-out value; the last frame, which stays, is the model that `fit` keeps.

    Every frame has the samples of the same noise z, so that points move and do not flicker, and axes and colours are
    those of the whole film. What has to be known for that is known at the end: until then a frame is kept as numbers
    (about 50 kB for two columns), and drawn when training ends, by itself, by Ctrl-C or by an exception. The file is
    written whole or not at all. A training that goes on from a checkpoint has a film that begins where it goes on: name
    another file than before to keep both. One that was done makes no step, and a film that is there stays as it is.

    Parameters
    ----------
    path : path of the file, which ends in .gif
    every : int, optional
        Steps between frames; default a frame at each evaluation.
    n : int, optional
        Samples in a frame; default 1,000 rows, or 36 images.
    fps : float
        Frames a second.
    seed : int
        Of the noise.
    context : array ``(1, k)``, optional
        Of a conditional model: the one context whose density and samples the film shows, beside the data that have it
        (beside all data, where none has).

    Raises
    ------
    ValueError
        For another suffix, or an argument that makes no sense; from `fit`, for a conditional model without `context`.
    FileNotFoundError
        If the folder of the file does not exist.
    OSError
        From `fit`, if the file cannot be written.

    Notes
    -----
    A frame costs an evaluation of the density on a grid and n samples. For models whose sampling is sequential, such as
    an autoregressive model of many pixels, that is longer than a step: take fewer.

    Examples
    --------
    >>> import tempfile
    >>> import nfnumpy as nf
    >>> x, _ = nf.datasets.load("moons", n=200, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film = Animation(Path(folder, "moons.gif"), n=100)
    ...     history = nf.fit(nf.realnvp(2, steps=2, rng=0), x, rng=0, max_steps=2, callback=film)
    ...     film.path.read_bytes()[:6]
    b'GIF89a'
    """

    def __init__(self, path, every=None, n=None, fps=8, seed=0, context=None):
        self.path = _in_a_folder(path)
        if self.path.suffix.lower() != ".gif":
            raise ValueError(f"path: expected a file name that ends in .gif, got {str(path)!r}")
        self.every = None if every is None else as_count(every, "every", minimum=1)
        self.n = None if n is None else as_count(n, "n", minimum=1)
        # a GIF has whole hundredths of a second, and players none that are shorter than two
        self.fps = as_number(fps, "fps", "a number from 0.01 to 50", lambda number: 0.01 <= number <= 50)
        self.seed = as_count(seed, "seed")
        if context is not None and (np.ndim(context) != 2 or len(context) != 1):
            raise ValueError(f"context: expected one row (1, k), got an array of shape {np.shape(context)}")
        self.context = None if context is None else as_batch(context, np.shape(context)[1:], np.float64, "context",
                                                             finite=True, real=True)
        self.view, self.frames = None, []

    def __call__(self, state):
        self.add(state, "")

    def end(self, state):
        """Add the model that is kept, and write the film."""
        if not state.history.step or (self.view is None and self.path.exists()):       # nothing of it is to be seen
            return
        try:
            self.add(state, "kept")
            from nfnumpy import gif
            with written_whole(self.path) as aside:
                gif.write_gif(aside, self.view, self.frames, self.fps)
            self.frames = []
        finally:
            self.view = None                                     # the next training begins another film

    def add(self, state, note):
        """Keep what a frame needs."""
        from nfnumpy import plot_training                        # here, since matplotlib takes long to load
        model, x = self.given(state)
        if self.view is None:
            self.frames = []
            self.view = plot_training.view_of(model, x, self.n, self.seed)
        self.frames.append((plot_training.caption(state, note), self.view.look(model)))

    def given(self, state):
        """``model, x`` of the state; of a conditional one, p(x | c) for the film's c, and the rows that have it."""
        if (self.context is None) != (state.context is None):
            raise ValueError("context: expected one row (1, k) for a conditional model, and none for another, got "
                             + ("none" if self.context is None else "one"))
        if self.context is None:
            return state.model, state.x
        model = state.model.given(self.context)                  # refuses another number of columns
        same = (state.context == self.context).all(axis=1)
        return model, state.x[same] if same.any() else state.x


def _in_a_folder(path):
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: the folder {path.parent} does not exist; make it first")
    return path
