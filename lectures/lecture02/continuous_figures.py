"""The picture of `continuous.md`: two moons drift to noise along the field that maximum likelihood found.

    python lectures/lecture02/continuous_figures.py      redraws it into figures/, then prints what the page's tables say

Drawing takes a minute, since the model is trained first; the tables take six.
"""
import functools
import time

import numpy as np

import nfnumpy as nf
from nfnumpy.plot import BLUE, COLOURS, GREEN, new_figure
from nfnumpy.targets import Moons

from drawing import redraw, words_on

LONGER = {"realnvp, larger": 15_000}                             # steps; they take the time of 1000 of the continuous flow
MOONS, SIDE = Moons(noise=0.1), 3.2
TIMES = (0, 1 / 3, 2 / 3, 1)
BUILDERS = {"continuous": lambda rng: nf.continuous(2, (32, 32), rtol=1e-3, atol=1e-3, rng=rng),
            "continuous, 1e-5": lambda rng: nf.continuous(2, (32, 32), rng=rng),
            "maf": lambda rng: nf.maf(2, steps=3, hidden=(16, 16), activation="tanh", rng=rng),
            "realnvp": lambda rng: nf.realnvp(2, steps=4, hidden=(16, 16), activation="tanh", rng=rng),
            "realnvp, larger": lambda rng: nf.realnvp(2, steps=8, hidden=(48, 48), activation="tanh", rng=rng)}


@functools.cache
def fitted(name="continuous", rng=0):
    """The model after 1000 steps of Adam, or `LONGER`, on 5000 standardised points of two moons; and the seconds."""
    x = MOONS.sample(5000, rng=0)
    model, start = BUILDERS[name](rng).standardized(x), time.process_time()
    nf.fit(model, x, rng=rng, max_steps=LONGER.get(name, 1000), lr=1e-2, eval_every=100, patience=150, progress=False)
    return model, time.process_time() - start


def density_at(flow, t, points=161):
    """The density of h(t), on a square grid: that of the noise where the rest of the path ends, times the volume."""
    axis = np.linspace(-SIDE, SIDE, points)
    h = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_det = 0.0
    if t < 1:
        (h, log_det), = flow.trajectory(h, [t, 1])
    return np.exp(nf.StandardNormal((2,)).log_prob(h) + log_det).reshape(points, points)


def continuous_trajectories(n=50):
    """Paths of data to noise, and the density that the points have at four times. Returns a Figure."""
    standardize, flow = fitted()[0].flow.flows
    x, _ = standardize.forward(MOONS.sample(n, rng=4))
    path = np.array([x, *(h for h, _ in flow.trajectory(x, np.linspace(0, 1, 61)))])    # (times, n, 2)
    figure = new_figure(4.7)
    left, right = figure.subfigures(1, 2, width_ratios=(1.04, 1))
    ax = left.subplots()
    ax.plot(*path.transpose(2, 0, 1), color="0.6", linewidth=1.0)
    ax.plot(*path[0].T, "o", color=BLUE, markersize=4.5, label="t = 0: data x")
    ax.plot(*path[-1].T, "^", color=GREEN, markersize=4.5, label="t = 1: noise z")
    ax.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), aspect="equal")
    ax.legend(loc="lower left", fontsize=8.5, framealpha=0.9)
    words_on(ax, "every point follows the same field v(x, t)", ("x1, standardised", "x2, standardised"))
    for ax, t in zip(right.subplots(2, 2, sharex=True, sharey=True).flat, TIMES):
        ax.imshow(density_at(flow, t), origin="lower", extent=(-SIDE, SIDE) * 2, cmap=COLOURS)
        words_on(ax, f"density at t = {('0', '1/3', '2/3', '1')[TIMES.index(t)]}", ("", ""))
    return figure


def measure_fits(seeds=3):
    """Prints what each model learned, on 10,000 fresh points, and the seconds of one core that it took."""
    fresh = MOONS.sample(10_000, rng=2)
    for name in BUILDERS:
        for rng in range(1 if "," in name else seeds):
            model, seconds = fitted(name, rng)
            start = time.process_time()
            log_p = model.log_prob(fresh)
            scored = time.process_time() - start
            gap = MOONS.log_prob(fresh) - log_p                  # its mean estimates KL(pi, p)
            print(f"{name}, {len(model.theta)} parameters, seed {rng}: {-log_p.mean():.3f} nats, KL {gap.mean():.4f} "
                  f"+- {gap.std() / 100:.4f}; {seconds:.1f} s of training, {1000 * scored:.0f} ms for 10,000 densities",
                  flush=True)


def measure_tolerances():
    """Prints evaluations, seconds and errors of the trained flow for 1000 points, as the tolerances shrink."""
    standardize, flow = fitted()[0].flow.flows
    x, flow = standardize.forward(MOONS.sample(1000, rng=3))[0], flow.astype(np.float64)

    def forward(tolerance):
        flow.rtol = flow.atol = tolerance
        return flow.forward(x)

    z, log_det = forward(1e-13)
    for tolerance in (1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11):
        start = time.process_time()
        got, got_log_det = forward(tolerance)
        seconds = time.process_time() - start
        print(f"{tolerance:.0e}: {flow.evaluations(x)} evaluations, {1000 * seconds:.0f} ms, errors "
              f"{np.abs(got - z).max():.1e} of z, {np.abs(got_log_det - log_det).max():.1e} of log_det, round trip "
              f"{np.abs(flow.inverse(got)[0] - x).max():.1e}", flush=True)


FIGURES = {"continuous_trajectories": continuous_trajectories}

if __name__ == "__main__":
    redraw(FIGURES)
    measure_tolerances()
    measure_fits()
