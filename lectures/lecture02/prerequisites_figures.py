"""The pictures of `prerequisites.md`: determinants as areas, a density by formula, inverse Jacobians, failures.

    python lectures/lecture02/prerequisites_figures.py [name ...]        redraws them into figures/, in seconds
"""
import numpy as np
from matplotlib.patches import Polygon

import nfnumpy as nf
from nfnumpy import plot_flows
from nfnumpy.plot import BLUE, GREEN, GREY, ORANGE, new_figure
from nfnumpy.testing import jacobian, randomize

from drawing import redraw, words_on

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def smooth_flow(dim=2):
    """Two Gaussian autoregressive layers with random parameters and the order reversed between them."""
    return randomize(nf.maf(dim, steps=2, hidden=(16,), activation="tanh", rng=0).flow, rng=3)


def square(at, side, points=50):
    """The boundary of a square with its lower left corner at `at`, ``(4 points, 2)``, counterclockwise."""
    t = np.linspace(0, 1, points, endpoint=False)[:, None]
    return np.concatenate([at + side * ((1 - t) * a + t * b) for a, b in zip(CORNERS, np.roll(CORNERS, -1, axis=0))])


def area(boundary):
    """The area inside a closed curve ``(n, 2)`` by the shoelace formula.

    >>> float(area(CORNERS))
    1.0
    """
    x1, x2 = boundary.T
    return abs(x1 @ np.roll(x2, -1) - x2 @ np.roll(x1, -1)) / 2


def prerequisites_square(at=np.array([0.3, -0.4]), sides=(0.8, 0.4, 0.1)):
    """Squares at one corner and their images under a flow: the smaller, the more a parallelogram of area |det J|."""
    flow, figure = smooth_flow(), new_figure(3.4)
    flow.theta *= 0.6                                            # gentler, so that a side of 0.1 is small already
    left, *others = figure.subplots(1, 1 + len(sides), width_ratios=[1.15] + [1] * len(sides))
    J = jacobian(lambda x: flow.forward(x)[0], at[None])[0]
    for side, colour in zip(sides, (BLUE, GREEN, ORANGE)):
        left.add_patch(Polygon(square(at, side), facecolor=colour, alpha=0.35, edgecolor=colour, linewidth=1.5))
    left.set_xlim(at[0] - 0.1, at[0] + 0.9)
    left.set_ylim(at[1] - 0.1, at[1] + 0.9)
    left.set_aspect("equal")
    words_on(left, "x: three squares", ("x1", "x2"))
    z0 = flow.forward(at[None])[0][0]
    for ax, side, colour in zip(others, sides, (BLUE, GREEN, ORANGE)):
        image = flow.forward(square(at, side))[0]
        straight = z0 + side * CORNERS @ J.T
        ax.add_patch(Polygon(image, facecolor=colour, alpha=0.35, edgecolor=colour, linewidth=1.5))
        ax.add_patch(Polygon(straight, fill=False, edgecolor="black", linewidth=1.3, linestyle="--"))
        both = np.concatenate([image, straight])
        middle, half = (both.max(axis=0) + both.min(axis=0)) / 2, 0.58 * np.ptp(both, axis=0).max()
        ax.set_xlim(middle[0] - half, middle[0] + half)
        ax.set_ylim(middle[1] - half, middle[1] + half)
        ax.set_aspect("equal")
        words_on(ax, f"z: side {side:g}\narea x {area(image) / side ** 2:.3f}", ("z1", ""))
    figure.suptitle(f"dashed: the parallelogram J makes of the square; |det J| = {abs(np.linalg.det(J)):.3f}",
                    fontsize=10.5)
    return figure


def logit_normal(scale=1.7):
    """x = sigmoid(scale z + 0.3) with z standard normal: a model on (0, 1) whose density the formula gives."""
    return nf.NormalizingFlow(nf.Composition([nf.flows.Logit((1,), alpha=1e-6), nf.Standardize([0.3], [scale])]))


def prerequisites_density(n=200_000):
    """The density of x = g(z) by the formula on a histogram of g(z), and what comes out without the determinant."""
    model, figure = logit_normal(), new_figure(3.5)
    left, right = figure.subplots(1, 2)
    z = np.linspace(-3.5, 3.5, 400)
    left.hist(model.base.sample(n, rng=0)[:, 0], np.linspace(-3.5, 3.5, 71), density=True, color=GREEN, alpha=0.3)
    left.plot(z, np.exp(model.base.log_prob(z[:, None])), color=GREEN, linewidth=2)
    words_on(left, "noise z, standard normal", ("z", "density"))
    x = np.linspace(0.002, 0.998, 500)
    right.hist(model.sample(n, rng=0)[:, 0], np.linspace(0, 1, 71), density=True, color=ORANGE, alpha=0.3,
               label="histogram of g(z)")
    right.plot(x, np.exp(model.log_prob(x[:, None])), color=ORANGE, linewidth=2,
               label=r"$p(f(x))\,|\det J_f|$")
    right.plot(x, np.exp(model.base.log_prob(model.flow.forward(x[:, None])[0])), color=GREY, linestyle="--",
               label=r"$p(f(x))$ alone")
    right.set_ylim(0, 2.6)
    right.legend(frameon=False, fontsize=9, loc="upper center")
    words_on(right, "x = g(z) = sigmoid(1.7 z + 0.3)", ("x", ""))
    return figure


def prerequisites_jacobians():
    """`nfnumpy.plot_flows.jacobians` of two autoregressive layers in four dimensions."""
    x = np.random.default_rng(0).standard_normal(4)
    return plot_flows.jacobians(smooth_flow(4), x)


def prerequisites_conditions(n=100_000):
    """Left: det J > 0 everywhere, and yet two points with one image. Right: a bijection with an infinite density."""
    figure = new_figure(3.5)
    first, second, right = figure.subplots(1, 3, width_ratios=(0.5, 1, 1.25))
    for turn, colour, hatch in ((0, BLUE, ""), (1, ORANGE, "//")):
        at = np.array([0.1, 0.4 + 2 * np.pi * turn])
        boundary = square(at, 0.8)
        first.add_patch(Polygon(boundary, facecolor=colour, alpha=0.5, edgecolor=colour))
        image = np.exp(boundary[:, :1]) * np.concatenate([np.cos(boundary[:, 1:]), np.sin(boundary[:, 1:])], axis=1)
        second.add_patch(Polygon(image, facecolor=colour if turn == 0 else "none", alpha=0.5 if turn == 0 else 1.0,
                                 edgecolor=colour, hatch=hatch, linewidth=1.5))
    for ax, where in ((first, (-1, 2, -0.5, 8.5)), (second, (-0.2, 2.6, -0.2, 2.6))):
        ax.set_xlim(*where[:2])
        ax.set_ylim(*where[2:])
        ax.set_aspect("equal")
    words_on(first, "x: two squares,\n$2\\pi$ apart", ("x1", "x2"))
    words_on(second, r"$z = e^{x_1}(\cos x_2, \sin x_2)$:" "\none image, det J > 0", ("z1", "z2"))
    z = nf.StandardNormal(1).sample(n, rng=0)[:, 0]
    bins, x = np.linspace(-2, 2, 81), np.linspace(-2, 2, 2000)        # an even number of points: never x = 0 itself
    right.hist(z ** 3, bins, weights=np.full(n, 1 / n / (bins[1] - bins[0])), color=ORANGE, alpha=0.3)
    root = np.cbrt(x)
    right.plot(x, np.exp(-root ** 2 / 2) / np.sqrt(2 * np.pi) / (3 * root ** 2), color=ORANGE, linewidth=2)
    right.set_ylim(0, 3)
    words_on(right, "$x = z^3$: a bijection;\n$p(x)$ is infinite at 0", ("x", "density"))
    return figure


FIGURES = {"prerequisites_square": prerequisites_square, "prerequisites_density": prerequisites_density,
           "prerequisites_jacobians": prerequisites_jacobians, "prerequisites_conditions": prerequisites_conditions}

if __name__ == "__main__":
    redraw(FIGURES)
