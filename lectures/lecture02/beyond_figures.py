"""The picture of `beyond.md`: stacks of planar flows, fitted to four energies as in the paper that introduced both.

    python lectures/lecture02/beyond_figures.py      redraws it into figures/, and fits two more seeds: about two minutes
"""
import numpy as np

import nfnumpy as nf
from nfnumpy.energies import ENERGIES
from nfnumpy.plot import COLOURS, new_figure

from drawing import on_grid, redraw, words_on
from kl_figures import WHERE, fit_reverse

DEPTHS = (2, 8, 32)


def planar_stack(depth, rng=0):
    """`depth` planar flows on the plane, one after another, under a standard-normal base."""
    rng = np.random.default_rng(rng)
    return nf.NormalizingFlow(nf.Composition([nf.Planar(2, rng) for _ in range(depth)]))


def fitted(target, depth, seed, steps=5000, n=256):
    """The stack after `steps` steps of Adam on the reverse KL, and KL(p, pi) in nats on 20 000 fresh samples."""
    model = fit_reverse(planar_stack(depth, seed), target, steps, n, lr=0.01, rng=seed, warm_up=0.5)
    return model, nf.reverse_kl(model, target, 20_000, np.random.default_rng(1))[0] + target.log_z


def beyond_planar(seeds=1):
    """U1 to U4, below each what planar flows learned of it, with KL(p, pi) of seed 0; prints that of all. A Figure."""
    figure = new_figure(9.2)
    axes = figure.subplots(1 + len(DEPTHS), len(WHERE))
    for column, (name, where) in zip(axes.T, WHERE.items()):
        target = ENERGIES[name]()
        pi = np.exp(on_grid(target, where)[2] - target.log_z)
        draw(column[0], pi, pi, where, f"target: {name.upper()}")
        for ax, depth in zip(column[1:], DEPTHS):
            model, kl = fitted(target, depth, seed=0)
            for seed in range(1, seeds):
                print(f"{name}, {depth} planar flows, seed {seed}: {fitted(target, depth, seed)[1]:.3f} nats, seed 0: {kl:.3f}")
            draw(ax, np.exp(on_grid(model, where)[2]), pi, where, f"{depth} flows: {kl:.2f} nats")
    for ax in axes[:, 0]:
        ax.set_ylabel("x2", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("x1", fontsize=10)
    for ax in axes[:-1].ravel():
        ax.tick_params(labelbottom=False)
    return figure


def draw(ax, p, pi, where, title):
    """A density in the colours of the target above it: what is brighter than the target's peak is cut."""
    ax.imshow(p, origin="lower", extent=where, aspect="auto", cmap=COLOURS, vmin=0, vmax=1.1 * pi.max())
    words_on(ax, title, ("", ""))


FIGURES = {"beyond_planar": beyond_planar}

if __name__ == "__main__":
    redraw({"beyond_planar": lambda: beyond_planar(seeds=3)})
