"""The pictures of `composition.md`: a four-step flow from noise to data, as a still and as a film.

    python lectures/lecture02/composition_figures.py [name ...]        redraws them into figures/, in half a minute
"""
import functools

import nfnumpy as nf
from nfnumpy import plot_flows
from nfnumpy.targets import Moons

from drawing import redraw


@functools.cache
def four_steps(n=10_000):
    """Four Gaussian autoregressive layers, the order reversed from each to the next, fitted to two moons."""
    layers = [nf.GaussianAutoregressive(2, (64, 64), "tanh", order, rng=seed)
              for seed, order in enumerate(["natural", "reversed"] * 2)]
    model = nf.NormalizingFlow(nf.Composition(layers))
    moons = Moons(noise=0.1)
    nf.fit(model, 1.5 * (moons.sample(n, rng=0) - [0.5, 0.25]), rng=0, max_steps=2500, lr=5e-3, patience=100,
           progress=False)
    return model


def composition_steps():
    """Samples and grid after each step: `nfnumpy.plot_flows.steps`."""
    return plot_flows.steps(four_steps(), n=1500, rng=0)


def composition_flow():
    """The same as a film: `nfnumpy.plot_flows.animation`."""
    return plot_flows.animation(four_steps(), rng=0)


FIGURES = {"composition_steps": composition_steps, "composition_flow": composition_flow}

if __name__ == "__main__":
    redraw(FIGURES)
