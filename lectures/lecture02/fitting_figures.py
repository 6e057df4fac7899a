"""The pictures of `fitting.md`: the two terms of a log-density, and data that a trained flow has made into noise.

    python lectures/lecture02/fitting_figures.py [name ...]        redraws them into figures/, in half a minute
"""
import copy
import functools

import nfnumpy as nf
from nfnumpy import plot_flows
from nfnumpy.targets import Moons

from drawing import redraw

MOONS = Moons(noise=0.1)


@functools.cache
def before_and_after():
    """A RealNVP behind the data's standardisation, untrained and trained on 5,000 points of two moons."""
    x = MOONS.sample(5000, rng=0)
    model = nf.realnvp(2, steps=6, hidden=(64, 64), activation="tanh", rng=0).standardized(x)
    before = copy.deepcopy(model)
    nf.fit(model, x, rng=0, max_steps=2500, lr=5e-3, patience=100, progress=False)
    return before, model


def fitting_terms():
    """`nfnumpy.plot_flows.terms` of the trained model."""
    return plot_flows.terms(before_and_after()[1], ((-1.6, 2.6), (-1.1, 1.6)))


def fitting_normalizing():
    """`nfnumpy.plot_flows.normalizing`: the same 2,000 points of data, before and after training."""
    before, after = before_and_after()
    return plot_flows.normalizing([("z = f(x) before training", before), ("z = f(x) after training", after)],
                                  MOONS.sample(2000, rng=1))


FIGURES = {"fitting_terms": fitting_terms, "fitting_normalizing": fitting_normalizing}

if __name__ == "__main__":
    redraw(FIGURES)
