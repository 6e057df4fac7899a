"""The pictures of `linear.md`: what each linear flow reaches, the decompositions as heat maps, how errors grow.

    python lectures/lecture02/linear_figures.py [name ...]        redraws them into figures/, in half a minute

The functions that do not draw return numbers, which the page quotes and `tests/test_linear_claims.py` checks. What a
linear flow costs is in `cost_figures.py`.
"""
import math

import numpy as np
from scipy.optimize import minimize

import nfnumpy as nf
from nfnumpy.flows.linear import linear_flow
from nfnumpy.plot import BLUE, GREEN, GREY, ORANGE, YELLOW, new_figure
from nfnumpy.plot_flows import draw_matrix
from nfnumpy.testing import jacobian, randomize

from drawing import redraw


# Jacobian structure

def structure_figure(m=8):
    """Jacobians of real flows at one x: a permutation, a diagonal, an autoregressive flow, a full matrix."""
    rng = np.random.default_rng(0)
    autoregressive = randomize(nf.GaussianAutoregressive(m, (32,), "tanh", rng=0), 1)
    flows = {"1. permutation\nlog|det J| = 0: nothing to do": nf.Permutation(rng.permutation(m)),
             "2. $z_j$ of $x_j$ alone\na sum of m numbers": randomize(nf.Diagonal(m), 3),
             "3. $z_j$ of $x_{1:j}$\na sum of m numbers": autoregressive,
             "no structure\nLU: $O(m^3)$ operations": nf.Dense(m, W=rng.standard_normal((m, m)) / 1.5)}
    x, figure = rng.standard_normal((1, m)), new_figure(3.5)
    for ax, (title, flow) in zip(figure.subplots(1, 4), flows.items()):
        image = draw_matrix(ax, jacobian(lambda a, flow=flow: flow.forward(a)[0], x)[0], title)
        ax.title.set_fontsize(10.5)
    figure.colorbar(image, ax=figure.axes, location="bottom", shrink=0.4, aspect=40, extend="both",
                    label=r"$\partial z_a / \partial x_b$; white: exactly 0")
    return figure


# A 1x1 convolution learns which channels should condition which

def pairs(n, rng):
    """Four channels: x_2 is a noisy parabola in x_1, and x_4 one in x_3; each with mean 0 and, nearly, variance 1."""
    x = np.random.default_rng(rng).standard_normal((n, 4))
    x[:, 1::2] = (x[:, ::2] ** 2 - 1) / math.sqrt(2) + 0.2 * x[:, 1::2]
    return x


def after_mixing(linear, seed, n=4000):
    """A linear flow on the channels and one coupling layer behind it, fitted to `pairs`."""
    flow = nf.Composition([linear, nf.Coupling(4, (32, 32), "tanh", rng=seed)])
    model = nf.NormalizingFlow(flow)
    nf.fit(model, pairs(n, 0), rng=0, max_steps=1500, lr=5e-3, patience=50, progress=False)
    return model


def permutation_figure(starts=3):
    """W before one coupling layer: none, the right permutation by hand, a learned one, with log p of new data.

    The learned one is the best, on the training data, of several random starts.
    """
    new, old = pairs(4000, 1), pairs(4000, 0)
    learned = max((after_mixing(linear_flow(4, "dense", rng=seed), seed) for seed in range(starts)),
                  key=lambda model: model.log_prob(old).mean())
    models = {"no mixing": after_mixing(nf.Permutation([0, 1, 2, 3]), 0),
              "permuted by hand": after_mixing(nf.Permutation([0, 2, 1, 3]), 0), "W learned": learned}
    figure = new_figure(3.3)
    for ax, (name, model) in zip(figure.subplots(1, 3), models.items()):
        W = jacobian(lambda x, model=model: model.flow.flows[0].forward(x)[0], new[:1])[0]
        image = ax.imshow(np.abs(W), cmap="Blues", vmin=0, vmax=1)
        ax.set_title(f"{name}: log p = {model.log_prob(new).mean():.2f} nats", fontsize=10.5)
        for (i, j), entry in np.ndenumerate(W):
            ax.text(j, i, f"{entry:.2f}" if entry else "0", ha="center", va="center", fontsize=10,
                    color="white" if abs(entry) > 0.5 else "black")
        ax.axhline(1.5, color="black", linewidth=1.5)
        ax.set_xticks(range(4), ["$x_1$", "$x_2$", "$x_3$", "$x_4$"])
        ax.set_yticks([0.5, 2.5], ["conditions", "is moved"], rotation=90, va="center")
        ax.tick_params(length=0)
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="size of the entry")
    return figure


# What each parametrization reaches

def rotation(degrees):
    """The matrix that turns the plane by an angle.

    >>> rotation(90).round(12) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def mirrored(degrees):
    """The same with its second column negated: a reflection, determinant -1."""
    return rotation(degrees) * [1, -1]


def families():
    """``{name: (make, from_rotation, from_reflection)}``: flows in the plane, and how far they stay from a target.

    ``make(target)`` is a flow of the family; ``from_rotation(degrees)`` and ``from_reflection(degrees)`` are the
    distances (Frobenius) from its closure, in closed form; `linear.md` derives them.
    """
    def frozen_at(start):
        constants = nf.PLU(2, W=start)
        return lambda target: nf.PLU(2, perm=constants.perm, signs=constants.signs)

    def zero(degrees):
        return 0.0

    def one(degrees):
        return 1.0

    return {
        "P = I, positive diagonal": (frozen_at(np.eye(2)), lambda degrees: max(0.0, -rotation(degrees)[0, 0]), one),
        "P L U, frozen at 120 degrees": (frozen_at(rotation(120)), lambda degrees: max(0.0, -rotation(degrees)[1, 0]),
                                         one),
        "P L U, frozen at the target": (lambda target: frozen_at(target)(target), zero, zero),
        "Q R with det W > 0": (lambda target: nf.QR(2, sign=1, rng=0), zero, one),
        "dense": (lambda target: nf.Dense(2, rng=0), zero, zero)}


def nearest(flow, target, starts=6, rng=0):
    """The smallest Frobenius distance from `target` that descent on theta finds, from several random starts.

    The flow's own gradients lead the way: the rows of z = f(I) are the columns of W. An infimum that is not reached
    lies where log_diagonal runs away, which bounds stop at -12.
    """
    rng, eye = np.random.default_rng(rng), np.eye(len(target))

    def loss(theta):
        flow.theta = theta
        (z, _), vjp = flow.forward_vjp(eye)
        difference = z - flow.b - target.T
        grad = flow.named(vjp(2 * difference, 0.0)[1])
        grad["b"][...] = 0                                       # the bias has nothing to do with W
        return (difference ** 2).sum(), np.concatenate([part.ravel() for part in grad.values()])

    bounds = [(-12.0, 12.0) if name == "log_diagonal" else (None, None)
              for name, part in flow.named().items() for _ in range(part.size)]
    best = math.inf
    for _ in range(starts):
        result = minimize(loss, rng.standard_normal(flow.n_params), jac=True, method="L-BFGS-B", bounds=bounds,
                          options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30})
        best = min(best, math.sqrt(result.fun))
    return best


def reach_figure():
    """Angle against distance to the nearest matrix of each family: curves in closed form, dots by descent on theta."""
    figure = new_figure(4.6)
    axes = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    angles = np.arange(0, 361)
    styles = {"P = I, positive diagonal": (ORANGE, 2.2, "-"), "P L U, frozen at 120 degrees": (BLUE, 2.2, "--"),
              "P L U, frozen at the target": (BLUE, 2.2, ":"), "Q R with det W > 0": (GREEN, 5.0, "-"),
              "dense": ("0.8", 11.0, "-")}
    for number, (ax, target) in enumerate(zip(axes, (rotation, mirrored))):
        for name in reversed(styles):                            # the widest first: lines that coincide stay visible
            (make, *closed_forms), (colour, width, dashes) = families()[name], styles[name]
            distance = closed_forms[number]
            ax.plot(angles, [distance(t) for t in angles], color=colour, linewidth=width, linestyle=dashes)
            if number == 0:
                dots = [t for t in range(0, 361, 30) if distance(t) > 0.01]
                found = [nearest(make(target(t)), target(t), starts=3) for t in dots]
                ax.plot(dots, found, "o", color=colour, markersize=6)
        ax.set_xticks([0, 90, 180, 270, 360])
        ax.set_xlabel("angle, degrees", fontsize=10)
        ax.tick_params(labelsize=9)
        ax.set_ylim(-0.17, 1.25)
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    first, second = axes
    first.set_ylabel("distance from W to the nearest reachable matrix", fontsize=10)
    first.set_title("W a rotation, det W = 1 (dots: by descent on theta)", fontsize=11)
    second.set_title("W a reflection, det W = -1", fontsize=11)
    first.plot([120, 120], [0, 0.5], color=ORANGE, linewidth=1, linestyle=":")
    first.plot(120, 0.5, "o", color=ORANGE, markersize=10)
    first.text(108, 0.5, "120 degrees:\n1/2 away", color=ORANGE, fontsize=10, ha="right", va="center")
    first.text(212, 1.06, "P = I, positive diagonal", color=ORANGE, fontsize=10, ha="right")
    first.text(234, 1.06, "P L U, frozen at 120°", color=BLUE, fontsize=10, ha="left")
    first.text(180, -0.11, "always 0: P L U frozen at W itself, Q R, dense", fontsize=10, ha="center", color="0.2")
    second.text(180, 1.06, "Q R with det W > 0, and both P L U\nfrozen at a rotation", fontsize=10, ha="center",
                color="0.2")
    second.text(180, -0.11, "P L U frozen at W itself, dense", fontsize=10, ha="center", color="0.2")
    return figure


# The decompositions, seen

def factors_figure(m=8):
    """One W, and beside it the factors of P L U and Q R, and Q's reflections; white is exactly zero."""
    W = np.random.default_rng(4).standard_normal((m, m))
    plu, qr = nf.PLU(m, W=W), nf.QR(m, W=W)
    H = [reflection(v) for v in qr.V]
    rows = (((W, "W"), (np.eye(m)[plu.perm], "= P"), (plu.L, "L"), (plu.U, "U")),
            ((W, "W"), (qr.Q, "= Q"), (qr.R, "R")),
            ((qr.Q, "Q"), (H[0], r"= $H_1$"), (H[1], r"$H_2$ ..."), (H[4], r"$H_5$ ...")))
    figure = new_figure(7.2)
    axes = figure.subplots(3, 4)
    for line, matrices in zip(axes, rows):
        for ax, entry in zip(line, matrices):
            image = draw_matrix(ax, *entry)
    axes[1, 3].set_axis_off()
    place = axes[1, 3].inset_axes([0.05, 0.5, 0.9, 0.08])
    bar = figure.colorbar(image, cax=place, orientation="horizontal", extend="both")
    bar.ax.set_title("entries; white: exactly 0", fontsize=10)
    return figure


def reflection(v):
    """H = I - 2 v v^T / (v^T v), as a matrix."""
    return np.eye(len(v)) - 2 * np.outer(v, v) / (v @ v)


# How the inverse of a masked convolution amplifies errors

def tapped(tap, width=24, dtype=np.float64):
    """A `MaskedConv` on one row of pixels: z_j = x_j + tap x_{j-1}, log_det 0 whatever the tap."""
    flow = nf.MaskedConv((1, width, 1), 3, rng=0, dtype=dtype)
    flow.taps[...] = 0
    flow.taps[0] = tap                                           # K_01, the pixel to the left
    return flow


def amplification(tap, error):
    """|change of x_j| along the row where z changes by `error` ``(width,)``."""
    flow, z = tapped(tap, len(error)), np.zeros((1, 1, len(error), 1))
    change = flow.inverse(z + np.reshape(error, z.shape))[0] - flow.inverse(z)[0]
    return np.abs(change).ravel()


def emerging_figure(width=24):
    """Left: an error in the first pixel, carried along. Right: an error in every pixel, with the signs that add up."""
    figure = new_figure(4.4)
    left, right = figure.subplots(1, 2)
    taps = ((3.0, ORANGE, "o"), (1.5, YELLOW, "s"), (1.0, GREY, "x"), (0.9, BLUE, "D"), (0.5, GREEN, "^"))
    first, everywhere = np.eye(width)[0], np.ones(width)
    for tap, colour, marker in taps:
        error = amplification(tap, first)
        left.plot(error, color=colour, marker=marker, markersize=4, linewidth=1.4)
        left.text(width - 0.4, error[-1], f"a = {tap:g}", color=colour, fontsize=9.5, va="center")
    for tap, colour, marker in taps[1:]:
        error = amplification(-tap, everywhere)                  # -a: x_j = z_j + a x_{j-1}, all paths add up
        right.plot(error, color=colour, marker=marker, markersize=4, linewidth=1.4)
        if tap < 1:
            right.plot([0, width - 1], [1 / (1 - tap)] * 2, color=colour, linewidth=1.2, linestyle="--")
            right.text(width - 1, 1 / (1 - tap) + 0.3, f"bound 1 / (1 - {tap:g}) = {1 / (1 - tap):.0f}", color=colour,
                       fontsize=9.5, ha="right", va="bottom")
        if tap == 1.5:
            right.text(5.2, 28, "a = 1.5", color=colour, fontsize=9.5, ha="right")
        else:
            right.text(width - 0.4, error[-1], f"a = {tap:g}", color=colour, fontsize=9.5, va="center")
    left.set_yscale("log")
    right.set_ylim(0, 36)
    for ax, words in ((left, "An error of 1 in the first pixel of z"),
                      (right, "An error of 1 in every pixel, worst signs")):
        ax.set_title(words, fontsize=10.5)
        ax.set_xlim(-0.6, width + 3.4)
        ax.set_xticks([0, 5, 10, 15, 20])
        ax.set_xlabel("column j", fontsize=10)
        ax.tick_params(labelsize=9)
    left.set_ylabel("error of x = g(z) in column j", fontsize=10)
    figure.suptitle(r"$z_j = x_j + a\, x_{j-1}$: log_det is 0 for every a", fontsize=11)
    return figure


FIGURES = {"linear_structure": structure_figure, "linear_permutation": permutation_figure,
           "linear_reach": reach_figure, "linear_factors": factors_figure, "linear_emerging": emerging_figure}

if __name__ == "__main__":
    redraw(FIGURES)
