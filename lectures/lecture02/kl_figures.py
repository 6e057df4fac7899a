"""The pictures of `kl.md`: which modes each direction of the KL covers, and what a flow learns from an energy alone.

    python lectures/lecture02/kl_figures.py [name ...]          redraws them into figures/, in about two minutes
"""
import math
import time

import numpy as np

import nfnumpy as nf
from nfnumpy.energies import ENERGIES, GaussianMixture
from nfnumpy.flows.triangular import Triangular
from nfnumpy.plot import COLOURS, new_figure

from drawing import on_grid, redraw, words_on

MODES = GaussianMixture(means=[[-2.5, -1.0], [2.5, 1.0]], scales=0.8)
WHERE = {"u1": (-4, 4, -4, 4), "u2": (-5.5, 5.5, -4, 4), "u3": (-5.5, 5.5, -4, 4), "u4": (-5.5, 5.5, -6, 4)}


class Tempered:
    """pi^beta with beta from 0 to 1: the same modes, lower walls between them. A target for `reverse_kl` only."""

    def __init__(self, target, beta=1.0):
        self.target, self.beta = target, beta

    def log_prob(self, x):
        return self.beta * self.target.log_prob(x)

    def score(self, x):
        return self.beta * self.target.score(x)                  # d(beta log pi)/dx


def fit_forward(model, target, steps=400, n=512, lr=0.05, rng=0):
    """Minimise KL(pi, p) by Adam, each step on n fresh samples of the target; the rate falls along a cosine."""
    rng, adam = np.random.default_rng(rng), nf.Adam(model.theta)
    for step in range(steps):
        adam.lr = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        adam.step(nf.forward_kl(model, target.sample(n, rng), target)[1])
    return model


def fit_reverse(model, target, steps=400, n=256, lr=0.05, rng=0, warm_up=0.0):
    """Minimise KL(p, pi) by Adam, each step on n fresh samples of the model.

    During the first share `warm_up` of the steps the target is pi^beta, beta rising from 0.05 to 1: early on, while the
    flow still moves freely, it can reach every mode (Rezende and Mohamed do the same, from 0.01).
    """
    rng, adam, tempered = np.random.default_rng(rng), nf.Adam(model.theta), Tempered(target)
    for step in range(steps):
        adam.lr = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        tempered.beta = 1.0 if step >= warm_up * steps else 0.05 + 0.95 * step / (warm_up * steps)
        gradient = nf.reverse_kl(model, tempered, n, rng)[1]
        adam.step(gradient * min(1.0, 5.0 / np.linalg.norm(gradient)))           # one bad batch is not the end
    return model


def affine_flow():
    """The most general 2-D Gaussian as a flow, z = W x + b, started a little to one side of the middle."""
    flow = Triangular(2)
    flow.b = np.array([-0.3, 0.0])
    return nf.NormalizingFlow(flow)


def kl_directions():
    """The same affine flow fitted to two modes by either divergence. Returns a Figure."""
    forward, reverse = fit_forward(affine_flow(), MODES), fit_reverse(affine_flow(), MODES)
    where = (-5.5, 5.5, -4, 4)
    figure = new_figure(2.9)
    axes = figure.subplots(1, 3, sharey=True)
    for ax, p, words in zip(axes, (MODES, forward, reverse), (
            r"target $\pi$: two modes", r"forward KL($\pi, p$): covers both", r"reverse KL($p, \pi$): seeks one")):
        x1, x2, log_p = on_grid(p, where)
        ax.imshow(np.exp(log_p), origin="lower", extent=where, aspect="equal", cmap=COLOURS)
        if p is not MODES:
            ax.contour(x1, x2, np.exp(on_grid(MODES, where)[2]), levels=[0.01, 0.06], colors="white", linewidths=1.0)
        words_on(ax, words, ("x1", "x2" if p is MODES else ""))
    return figure


def energies(steps=5000, n=256, seed=0):
    """U1 to U4, and below each what RealNVP learned of it by reverse KL, without a single sample. Returns a Figure."""
    figure = new_figure(5.2)
    axes = figure.subplots(2, 4)
    for (above, below), name in zip(axes.T, WHERE):
        target, where, start = ENERGIES[name](), WHERE[name], time.monotonic()
        model = nf.realnvp(2, steps=8, hidden=(32, 32), activation="tanh", rng=seed)
        fit_reverse(model, target, steps, n, lr=0.01, rng=seed, warm_up=0.5)
        kl = nf.reverse_kl(model, target, 20_000, np.random.default_rng(1))[0] + target.log_z
        print(f"{name}: KL(p, pi) = {kl:.3f} nats after {steps} steps, {time.monotonic() - start:.0f} s")
        pi, p = (np.exp(on_grid(density, where)[2]) for density in (target, model))
        for ax, values, top in ((above, pi, math.exp(target.log_z)), (below, p, 1.0)):
            ax.imshow(values / top, origin="lower", extent=where, aspect="auto", cmap=COLOURS, vmin=0,
                      vmax=1.1 * pi.max() / math.exp(target.log_z))
        words_on(above, f"target: {name.upper()}", ("", "x2" if name == "u1" else ""))
        words_on(below, f"learned, KL = {kl:.3f} nats", ("x1", "x2" if name == "u1" else ""))
        above.tick_params(labelbottom=False)
    return figure


FIGURES = {"kl_directions": kl_directions, "energies": energies}

if __name__ == "__main__":
    redraw(FIGURES)
