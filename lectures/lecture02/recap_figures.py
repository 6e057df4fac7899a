"""The recap in pictures: divergence, MADE's masks, one pixel after another, what a causal convolution sees, digits.

    python lectures/lecture02/recap_figures.py [name ...]

redraws them into figures/. ``recap_digits`` trains three models, for a minute; the others take seconds.
"""
import functools
import time

import numpy as np
from matplotlib.colors import ListedColormap

import nfnumpy as nf
from nfnumpy.autoregressive_models import AutoregressiveCNN, AutoregressiveMLP
from nfnumpy.discrete import log_softmax
from nfnumpy.plot import BLUE, ORANGE, new_figure

from drawing import redraw, words_on

# Okabe and Ito's palette, which colour-blind people can tell apart; light to dark, for grey printing as well.
LATER, UNREACHED, SEEN, BLIND, CENTRE = range(5)
COLOURS = ListedColormap(["#f2f2f2", "#c9c9c9", "#56b4e9", "#d55e00", "#000000"])
NAMES = {CENTRE: "the pixel x_j", SEEN: "seen", UNREACHED: "earlier, needs more layers",
         BLIND: "earlier, blind spot: out of reach at any depth", LATER: "later"}


def divergence_figure():
    """Two densities, and the integrand of KL(pi, p): negative in places, positive as a whole."""
    x = np.linspace(-5, 7, 2401)
    log_pi, log_p = (nf.Gaussian([mean], [[std ** 2]]).log_prob(x[:, None]) for mean, std in ((0.0, 1.0), (1.0, 1.5)))
    integrand, step = np.exp(log_pi) * (log_pi - log_p), x[1] - x[0]
    figure = new_figure(3.2)
    left, right = figure.subplots(1, 2)
    left.plot(x, np.exp(log_pi), color=BLUE, linewidth=2)
    left.plot(x, np.exp(log_p), color=ORANGE, linewidth=2, linestyle="--")
    left.text(-0.9, 0.33, r"$\pi$", color=BLUE, fontsize=13, ha="right")
    left.text(2.2, 0.2, "p", color=ORANGE, fontsize=13)
    words_on(left, r"the data's $\pi$ and a model p", ("x", "density"))
    for sign, colour in ((1, BLUE), (-1, ORANGE)):
        part = np.maximum(sign * integrand, 0)
        right.fill_between(x, 0, sign * part, color=colour, alpha=0.5, linewidth=0)
        right.text(-0.4 if sign > 0 else 3.4, 0.1 if sign > 0 else -0.06, f"{sign * part.sum() * step:+.3f}",
                   fontsize=11, ha="center", va="center")
    right.plot(x, integrand, color="black", linewidth=1)
    words_on(right, rf"$\pi\,\log(\pi / p)$: the areas sum to {integrand.sum() * step:.3f} nats", ("x", ""))
    return figure


def masks_figure(m=4, width=6):
    """MADE's masks with the degrees beside them, and their product: the number of paths from input to output."""
    net = nf.MADE(np.arange(1, m + 1), (width, width), rng=0)
    degrees = [net.degrees, *net.hidden_degrees, net.degrees]
    figure = new_figure(3.3)
    axes = figure.subplots(1, 4)
    for k, ax in enumerate(axes[:3]):
        grid_of_numbers(ax, getattr(net, f"mask{k}"), degrees[k], degrees[k + 1])
    grid_of_numbers(axes[3], net.mask2 @ net.mask1 @ net.mask0, degrees[0], degrees[3])
    for ax, words in zip(axes, ("input to hidden:\nto degree >= own", "hidden to hidden:\nto degree >= own",
                                "hidden to output:\nto degree > own", "their product:\nnumber of paths")):
        ax.set_title(words, fontsize=10.5)
    axes[0].set_ylabel("degree of the unit above", fontsize=10)
    axes[0].set_xlabel("degree of the unit below", fontsize=10)
    return figure


def grid_of_numbers(ax, A, below, above):
    """A matrix of whole numbers: blue where not 0, with its numbers in it and the degrees of columns and rows."""
    ax.imshow(A > 0, cmap=ListedColormap(["white", "#56b4e9"]), vmin=0, vmax=1)
    for (i, j), number in np.ndenumerate(A.astype(int)):
        ax.text(j, i, number, ha="center", va="center", fontsize=9, color="black" if number else "0.6")
    ax.set_xticks(range(len(below)), below)
    ax.set_yticks(range(len(above)), above)
    ax.tick_params(length=0, labelsize=9)


@functools.cache
def digits_split():
    """``rest, test``: four fifths of the digits, and the fifth that `nf.datasets.load` holds out."""
    images, _ = nf.datasets.digits()
    rows = np.random.default_rng(0).permutation(len(images))
    return images[rows[359:]], images[rows[:359]]


@functools.cache
def trained_mlp():
    """``bits, model``: an `AutoregressiveMLP` trained on the digits."""
    model = AutoregressiveMLP(64, 17, rng=0, dtype=np.float32)
    return train(model, *digits_split(), max_steps=1200, batch_size=128, lr=2e-3, weight_decay=0.6), model


def sampling_figure(pixels=(3, 12, 20, 27, 36, 44, 51, 59)):
    """One digit, pixel by pixel: what is there already, and the distribution of the pixel that comes next."""
    _, model = trained_mlp()
    samples = model.sample(20, rng=1)
    x = samples[[np.argmax(model.log_prob(samples))]]            # the likeliest of a few: it looks like a digit
    probabilities = np.exp(log_softmax(model.logits_vjp(x)[0]))[0]
    figure = new_figure(2.8)
    axes = figure.subplots(2, len(pixels), height_ratios=(1.15, 1))
    for j, (image, bars) in zip(pixels, axes.T):
        colours = ink(x.reshape(8, 8, 1))
        colours.reshape(64, 3)[j:] = 1.0
        image.imshow(colours, interpolation="nearest")
        image.plot(j % 8, j // 8, "s", markersize=8, markerfacecolor="none", color="#d55e00", markeredgewidth=1.8)
        image.set(xticks=[], yticks=[])
        image.set_title(f"$x_{{{j + 1}}}$", fontsize=10.5)
        bars.bar(np.arange(17), probabilities[j], color=["#d55e00" if k == x[0, j] else "#56b4e9" for k in range(17)])
        bars.set(ylim=(0, 1.02), xticks=[0, 8, 16], yticks=[0, 0.5, 1])
        bars.tick_params(labelsize=8, labelleft=j == pixels[0])
    axes[1, 0].set_ylabel("probability", fontsize=9)
    figure.supxlabel("grey value; orange: the one that is drawn", fontsize=10)
    return figure


def seen_from(size, pixel, kind, kernel_size, depth):
    """One code a pixel (LATER .. CENTRE): what the logits of `pixel` can see through `depth` causal convolutions."""
    def field(depth):
        model = AutoregressiveCNN((*size, 1), 2, 1, depth, kind, kernel_size, rng=0)
        at = pixel if kind == "2d" else (0, np.ravel_multi_index(pixel, size))
        return model.net.receptive_field(*at).reshape(size)

    codes = np.full(size, BLIND)
    codes[field(sum(size) + size[0] * size[1] * (kind == "1d"))] = UNREACHED         # deep enough for every path
    codes[field(depth)] = SEEN
    codes.ravel()[np.ravel_multi_index(pixel, size):] = LATER
    codes[pixel] = CENTRE
    return codes


def receptive_field_figure(size=(8, 11), pixel=(6, 4), depths=(1, 2, 3, 6)):
    """Rows: kinds of convolution; columns: depths."""
    rows = [("2d", 3, "two-dimensional, 3 x 3"), ("2d", 5, "two-dimensional, 5 x 5"),
            ("1d", 9, "over the sequence, 9 taps")]
    figure = new_figure(6.4)
    axes = figure.subplots(len(rows), len(depths), squeeze=False)
    for (kind, kernel_size, name), row in zip(rows, axes):
        for depth, ax in zip(depths, row):
            codes = seen_from(size, pixel, kind, kernel_size, depth)
            ax.pcolormesh(codes, cmap=COLOURS, vmin=0, vmax=4, edgecolors="white", linewidth=1)
            for i, j in np.argwhere(codes == BLIND):
                ax.text(j + 0.5, i + 0.5, "x", ha="center", va="center", color="white", fontsize=7)
            ax.set(aspect="equal", xticks=[], yticks=[], ylim=(size[0], 0))
            ax.set_title(f"{depth} layer{'s' if depth > 1 else ''}: {(codes == SEEN).sum()} of "
                         f"{np.ravel_multi_index(pixel, size)} seen", fontsize=10)
        row[0].set_ylabel(name)
    handles = [axes[0, 0].fill([0], [0], color=COLOURS(code), label=label)[0] for code, label in NAMES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("What the distribution of a pixel can depend on: type A first, then type B")
    return figure


def mosaic(rgb, columns):
    """Images ``(n, height, width, 3)`` side by side, `columns` in a row, with white gaps."""
    cells = np.pad(rgb, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1.0)
    rows, (height, width) = len(cells) // columns, cells.shape[1:3]
    return cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


def ink(images, drawn=False):
    """Grey values 0..16 of images ``(n, height, width, 1)`` as colours: black ink, blue where `drawn` by a model."""
    colour = np.where(np.broadcast_to(drawn, images.shape), [0.0, 0.447, 0.698], 0.0)    # Okabe and Ito's blue
    return 0.94 - (images / 16) * (0.94 - colour)                # paper is light grey, so that gaps can be seen


def train(model, train_images, test_images, **how):
    """Fit on images or on their flattened form, and say what came of it: bits per dimension on held-out ones."""
    start = time.perf_counter()
    history = nf.fit(model, train_images.reshape(-1, *model.x_shape), rng=0, **how)
    seconds, bits = time.perf_counter() - start, model.bits_per_dim(test_images.reshape(-1, *model.x_shape)).mean()
    start = time.perf_counter()
    model.sample(100, rng=0)
    print(f"{type(model).__name__}: {bits:.3f} bits per dimension, {bits * 64 * np.log(2):.2f} nats on "
          f"{len(test_images)} held-out digits; {model.n_params} parameters, best at step {history.best_step} of "
          f"{history.step[-1]} ({history.stopped}), {seconds:.0f} s; 100 samples: {time.perf_counter() - start:.3f} s",
          flush=True)
    return bits


def digits_figure(models, real, columns=12, rows=5):
    """Left: real digits and each model's samples. Right: held-out digits, and completions of their lower halves.

    `models` is ``[(name, bits, model)]``, `real` held-out images, at least ``(rows + 1) * columns``.
    """
    halves = real[rows * columns:(rows + 1) * columns]
    known = np.broadcast_to(np.arange(8)[:, None, None] < 4, (8, 8, 1))  # the upper half: first in raster order
    figure = new_figure(2.2 * (len(models) + 1))
    axes = figure.subplots(len(models) + 1, 2)
    show(axes[0, 0], ink(real[:rows * columns]), columns, "Real digits, held out")
    show(axes[0, 1], ink(np.concatenate([halves, halves * known])), columns, "Others, and their halves that are given")
    for (name, bits, model), (left, right) in zip(models, axes[1:]):
        samples = model.sample(rows * columns, rng=0).reshape(-1, 8, 8, 1)
        show(left, ink(samples), columns, f"{name}: samples ({bits:.2f} bits per pixel, held out)")
        given = np.tile(halves, (rows, 1, 1, 1))
        completed = model.complete(given.reshape(-1, *model.x_shape), known.reshape(model.x_shape), rng=1)
        completed = completed.reshape(given.shape)
        show(right, ink(completed, drawn=~known), columns, f"{name}: the lower halves drawn, in blue")
    return figure


def show(ax, rgb, columns, title):
    ax.imshow(mosaic(rgb, columns), interpolation="nearest")
    ax.set_title(title, fontsize=9.5, loc="left")
    ax.set_anchor("NW")
    ax.axis("off")


def trained_digits_figure():
    """`digits_figure` of an MLP and two CNNs, each trained on four fifths of the digits."""
    rest, test = digits_split()
    cnns = [
        ("CNN over the sequence",
         AutoregressiveCNN((8, 8, 1), 17, depth=6, kind="1d", kernel_size=9, rng=0, dtype=np.float32),
         dict(max_steps=1500, batch_size=64, lr=1e-2, weight_decay=1.0)),
        ("CNN, two-dimensional", AutoregressiveCNN((8, 8, 1), 17, rng=0, dtype=np.float32),
         dict(max_steps=1500, batch_size=64, lr=1e-2, weight_decay=1.0))]
    trained = [(name, train(model, rest, test, **how), model) for name, model, how in cnns]
    return digits_figure([("MLP", *trained_mlp()), *trained], test)


FIGURES = {"recap_divergence": divergence_figure, "recap_sampling": sampling_figure, "recap_masks": masks_figure,
           "recap_receptive_field": receptive_field_figure, "recap_digits": trained_digits_figure}

if __name__ == "__main__":
    redraw(FIGURES)
