"""The pictures of `coupling.md`: layers that do not alternate, and RealNVP as a Gaussian autoregressive flow.

    python lectures/lecture02/coupling_figures.py [name ...]        redraws them into figures/, in seconds
"""
import numpy as np

import nfnumpy as nf
from nfnumpy.plot import BLUE, ORANGE, draw_points, new_figure
from nfnumpy.plot_flows import draw_matrix
from nfnumpy.targets import Moons
from nfnumpy.testing import jacobian, randomize

from drawing import redraw, words_on


def couplings(alternate, steps=8, seed=0):
    """`steps` coupling layers in the plane, whose halves swap roles from layer to layer, or never."""
    return nf.NormalizingFlow(nf.Composition([
        nf.Coupling(2, (64, 64), "tanh", swap=alternate and k % 2 == 1, rng=seed + k) for k in range(steps)]))


def coupling_alternation(n=10_000):
    """Samples of two models with eight layers each, fitted to two moons: roles never swapped, and alternating."""
    x = 1.5 * (Moons(noise=0.1).sample(n, rng=0) - [0.5, 0.25])
    figure, where = new_figure(3.5), np.array([[-3.0, 3.0]] * 2)
    axes = figure.subplots(1, 3)
    draw_points(axes[0], x[:2000], where, BLUE)
    words_on(axes[0], "data", ("x1", "x2"))
    for ax, alternate in zip(axes[1:], (False, True)):
        model = couplings(alternate)
        nf.fit(model, x, rng=0, max_steps=1500, lr=5e-3, patience=100, progress=False)
        draw_points(ax, model.sample(2000, rng=0), where, ORANGE)
        words_on(ax, "alternating" if alternate else "never alternating:\nx1 is the noise itself", ("x1", ""))
    for ax in axes:
        ax.set_aspect("equal")
    return figure


def as_autoregressive(coupling):
    """The Gaussian autoregressive flow that is a given `nf.Coupling` (m at least 2, roles not swapped).

    Nothing of the flow is changed but theta. Its MADE has as many hidden units *of each degree* as the MLP has units.
    Those of degree d = m // 2, which see x_{1:d} and nothing else, get the MLP's weights and biases; all others get
    zeros. So do the outputs mu_j and r_j with j <= d, biases included: mu_j = 0 and log sigma_j = 0.
    """
    m, mlp = coupling.x_shape[0], coupling.net
    d, last = m // 2, mlp.depth - 1
    flow = nf.GaussianAutoregressive(m, [width * (m - 1) for width in mlp.sizes[1:-1]], mlp.activation.__name__)
    made, flow.theta[...] = flow.net, 0.0
    of_degree_d = [np.flatnonzero(degrees == d) for degrees in made.hidden_degrees]
    later = np.concatenate([np.arange(d, m), m + np.arange(d, m)])             # first all mu_j, then all r_j
    below = np.arange(d)                                         # x_1, ..., x_d
    for k, above in enumerate([*of_degree_d, later]):
        getattr(made, f"W{k}")[np.ix_(above, below)] = getattr(mlp, f"W{k}")
        getattr(made, f"b{k}")[above] = getattr(mlp, f"b{k}")
        below = above
    return flow


def coupling_jacobians(m=6):
    """Jacobians at one x: a Gaussian AR flow, a coupling layer, and the AR flow whose theta makes it the same."""
    ar = randomize(nf.GaussianAutoregressive(m, (32,), "tanh", rng=0), 1)
    coupling = randomize(nf.Coupling(m, (16,), "tanh", rng=0), 5)
    flows = {"Gaussian AR flow": ar, "coupling layer, d = 3": coupling,
             r"Gaussian AR flow with $\mu_j = \log\sigma_j = 0$" "\nfor j <= 3, the others given $x_{1:3}$ only":
             as_autoregressive(coupling)}
    x, figure = np.random.default_rng(0).standard_normal((1, m)), new_figure(3.6)
    for ax, (title, flow) in zip(figure.subplots(1, 3), flows.items()):
        J = jacobian(lambda a, flow=flow: flow.forward(a)[0], x)[0]
        image = draw_matrix(ax, J, title)
        ax.title.set_fontsize(10.5)
        ax.set_xticks(range(m), [f"$x_{j}$" for j in range(1, m + 1)])
        ax.set_yticks(range(m), [f"$z_{j}$" for j in range(1, m + 1)])
        ax.tick_params(length=0)
    figure.colorbar(image, ax=figure.axes, location="bottom", shrink=0.4, aspect=40, extend="both",
                    label=r"$\partial z_a / \partial x_b$; white: exactly 0")
    return figure


FIGURES = {"coupling_alternation": coupling_alternation, "coupling_jacobians": coupling_jacobians}

if __name__ == "__main__":
    redraw(FIGURES)
