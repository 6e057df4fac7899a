"""The pictures of `expressivity.md`: a map to uniform noise that always exists, and what one layer cannot do.

    python lectures/lecture02/expressivity_figures.py [name ...]          redraws them into figures/, in about a minute
"""
import numpy as np
from scipy import stats

import nfnumpy as nf
from nfnumpy.energies import Banana, GaussianMixture
from nfnumpy.plot import BLUE, COLOURS, GREEN, ORANGE, new_figure
from nfnumpy.targets import EightGaussians, Moons

from conditional_cdf import ConditionalCDF, to_normal
from drawing import on_grid, redraw, words_on


def conditional_cdf(n=3000):
    """Samples of the moons, their image on the unit square, and that one's under the normal's inverse CDF; a Figure.

    Points keep their colour, that of the moon they come from; the square's vertical lines are carried along, and stay
    vertical.
    """
    moons = Moons(0.1)
    flow = ConditionalCDF(moons, box=((-1.7, 2.7), (-1.2, 1.7)))
    x = moons.sample(n, rng=0)
    u, z = flow.forward(x)[0], to_normal(flow, x)[0]
    upper = nearer_to_the_upper_moon(moons, x)

    levels, along = np.arange(1, 10) / 10, np.linspace(0.002, 0.998, 200)
    figure = new_figure(3.3)
    axes = figure.subplots(1, 3)
    for ax, points, carry, words, names in zip(
            axes, (x, u, z), (lambda u: flow.inverse(u)[0], lambda u: u, stats.norm.ppf),
            ("data x ~ p", "u1 = F1(x1), u2 = F2(x2 | x1)", r"$z_j = \Phi^{-1}(u_j)$: standard normal"), "xuz"):
        for level in levels:                                     # u1 = level: vertical in all three, as J is triangular
            ax.plot(*carry(np.stack([np.full(200, level), along], axis=1)).T, color="0.45", linewidth=0.8, zorder=0)
        ax.plot(*points[upper].T, ".", color=BLUE, markersize=3, markeredgewidth=0)
        ax.plot(*points[~upper].T, ".", color=ORANGE, markersize=3, markeredgewidth=0)
        words_on(ax, words, (f"{names}1", f"{names}2"))
    axes[1].set_xlim(-0.02, 1.02)
    axes[1].set_ylim(-0.02, 1.02)
    axes[2].set_xlim(-3.8, 3.8)
    axes[2].set_ylim(-3.8, 3.8)
    return figure


def nearer_to_the_upper_moon(moons, x):
    arcs = moons.arcs(np.linspace(0, 1, 200))
    squares = ((x[:, None, None] - arcs) ** 2).sum(axis=-1).min(axis=-1)
    return squares[:, 0] < squares[:, 1]


def fitted(flow, x, steps, lr=0.01):
    model = nf.NormalizingFlow(flow).standardized(x)
    nf.fit(model, x, rng=0, max_steps=steps, lr=lr, patience=100, progress=False)
    return model


def one_layer_limits():
    """One layer's marginal of x1; the banana in two orders; a five-step flow's bridge between modes. A Figure."""
    figure = new_figure(6.6)
    axes = figure.subplots(2, 2)
    draw_marginal(axes[0, 0])
    draw_orders(axes[1])
    draw_bridges(axes[0, 1])
    return figure


def draw_marginal(ax, n=20_000):
    x = EightGaussians().sample(n, rng=0)
    model = fitted(nf.GaussianAutoregressive(2, (64,), "tanh", rng=0), x, steps=800)
    y, bins = model.sample(5 * n, rng=1)[:, 0], np.linspace(-5.5, 5.5, 56)
    ax.hist(x[:, 0], bins, density=True, color=BLUE, alpha=0.35, label="data: eight Gaussians")
    ax.hist(y, bins, density=True, histtype="step", color=ORANGE, linewidth=1.4, label="samples of one trained layer")
    t = np.linspace(-5.5, 5.5, 200)
    ax.plot(t, stats.norm.pdf(t, y.mean(), y.std()), color=GREEN, linewidth=1.6, label="a Gaussian")
    ax.set_ylim(0, 0.42)
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    words_on(ax, "One layer: the marginal of x1 stays Gaussian", ("x1", "density"))


def draw_orders(axes, n=20_000):
    banana = Banana(spread=1.5, width=0.4, curvature=0.5)
    x, where = banana.sample(n, rng=0), (-4, 4, -2, 5)
    entropy = -banana.log_prob(x).mean()
    for ax, order in zip(axes, ([0, 1], [1, 0])):
        model = fitted(nf.GaussianAutoregressive(2, (64,), "tanh", order, rng=0), x, steps=1500)
        lost = -model.log_prob(banana.sample(n, rng=1)).mean() - entropy
        print(f"banana in the order {order}: {lost:.3f} nats above the entropy, {entropy:.3f}")
        show(ax, model, where)
        x1, x2, log_p = on_grid(banana, where)
        ax.contour(x1, x2, np.exp(log_p), levels=[0.01, 0.1], colors="white", linewidths=1.0)
        words_on(ax, f"One layer, x{order[0] + 1} first: {lost:.2f} nats lost", ("x1", "x2"))


def draw_bridges(ax, n=20_000):
    target, where = GaussianMixture(means=[[-2.0, 0.0], [2.0, 0.0]], scales=0.5), (-4, 4, -3, 3)
    model = nf.maf(2, steps=5, hidden=(64, 64), activation="tanh", rng=0)
    x, new = target.sample(n, rng=0), target.sample(n, rng=1)
    nf.fit(model, x, rng=0, max_steps=3000, lr=0.003, patience=100, progress=False)
    print(f"maf on two modes: {-model.log_prob(new).mean() + target.log_prob(new).mean():.3f} nats above the entropy")
    for name, density in (("target", target), ("maf", model)):
        x1, x2, log_p = on_grid(density, (-0.5, 0.5, -3, 3))
        share = np.exp(log_p).sum() * (x1[1] - x1[0]) * (x2[1] - x2[0])
        middle = density.log_prob(np.stack([0 * x2, x2], axis=1)).max()
        print(f"    {name}: mass at |x1| < 0.5 is {share:.5f}, highest log p on x1 = 0 is {middle:.2f} nats")
    image = show(ax, model, where, log=True)
    ax.figure.colorbar(image, ax=ax, label="log p(x), nats", extend="min")
    words_on(ax, "Five layers: a bridge between the modes", ("x1", "x2"))


def show(ax, density, where, log=False):
    log_p = on_grid(density, where)[2]
    limits = {"vmin": log_p.max() - 9} if log else {"vmin": 0}   # e^-9: a ten-thousandth of the peak
    values = log_p if log else np.exp(log_p)
    return ax.imshow(values, origin="lower", extent=where, aspect="auto", cmap=COLOURS, **limits)


FIGURES = {"conditional_cdf": conditional_cdf, "one_layer_limits": one_layer_limits}

if __name__ == "__main__":
    redraw(FIGURES)
