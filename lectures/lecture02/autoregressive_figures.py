"""The picture of `autoregressive.md`: when the network of a Gaussian autoregressive flow is at work, in a real run.

    python lectures/lecture02/autoregressive_figures.py [name ...]        redraws it into figures/, in seconds

It is a measurement, so that no two runs draw quite the same picture.
"""
import os
import time
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")               # before NumPy is loaded: one thread

import nfnumpy as nf  # noqa: E402
from nfnumpy.nets.by_degree import ByDegree  # noqa: E402
from nfnumpy.plot import BLUE, GREEN, ORANGE, new_figure  # noqa: E402
from nfnumpy.testing import randomize  # noqa: E402

from drawing import redraw  # noqa: E402


def timeline(call, owner, name, repeats=100):
    """When ``owner.name`` was at work during ``call()``: starts and ends in ms, of the fastest of several runs."""
    best, original = None, getattr(owner, name)
    for _ in range(repeats):
        spans = []

        def timed(*arguments):
            start = time.perf_counter()
            result = original(*arguments)
            spans.append((start, time.perf_counter()))
            return result

        with mock.patch.object(owner, name, timed):
            begin = time.perf_counter()
            call()
            end = time.perf_counter()
        if best is None or end - begin < best[1]:
            best = [((a - begin) * 1e3, (b - begin) * 1e3) for a, b in spans], end - begin
    return best[0], best[1] * 1e3


def autoregressive_timeline(m=8, n=1000):
    """Bars: the network at work for a density; for samples, by the slide's formula; for samples, every unit once."""
    flow = randomize(nf.GaussianAutoregressive(m, (256, 256), "tanh", rng=0), 0)
    z = nf.StandardNormal(m).sample(n, rng=0)
    runs = (("density z = f(x)\none pass", BLUE, lambda: flow.forward(z), flow.net, "vjp"),
            (f"samples x = g(z)\n{m} passes", ORANGE, lambda: flow.inverse_by_passes(z), flow.net, "vjp"),
            ("the same samples,\nevery unit once", GREEN, lambda: flow.inverse(z), ByDegree, "params_after"))
    figure = new_figure(3.0)
    ax = figure.subplots()
    timelines = [timeline(*run) for _, _, *run in runs]
    letter = 0.02 * max(total for _, total in timelines)         # the width that a label needs
    for row, ((_, colour, *_), (spans, total)) in enumerate(zip(runs, timelines)):
        ax.barh(row, [b - a for a, b in spans], left=[a for a, _ in spans], height=0.6, color=colour, edgecolor="white")
        for j, (a, b) in enumerate(spans, 1):
            if b - a > letter:                                   # x_1 waits for nothing, and its last bar is a line
                ax.text((a + b) / 2, row, r"all $\mu_j, \sigma_j$" if len(spans) == 1 else f"$x_{j}$", ha="center",
                        va="center", fontsize=9.5, color="white")
        ax.plot([total, total], [row - 0.36, row + 0.36], color="black", linewidth=1.2)
    ax.set_yticks(range(len(runs)), [run[0] for run in runs])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel(f"milliseconds; bars: the network at work on {n} samples; black: done", fontsize=10)
    ax.tick_params(labelsize=9)
    return figure


FIGURES = {"autoregressive_timeline": autoregressive_timeline}

if __name__ == "__main__":
    redraw(FIGURES)
