"""Image flows in pictures: how an image is cut in two, and what a Glow that has seen digits makes of them.

    python lectures/lecture02/images_figures.py [name ...]

trains a Glow on the digits (a minute or two) and draws ``figures/images_*.png``. Nothing is kept but the pictures.
"""
import functools

import numpy as np
from matplotlib.colors import ListedColormap

import nfnumpy as nf
from nfnumpy.flows.partitions import Checkerboard, Halves
from nfnumpy.flows.squeeze import Squeeze
from nfnumpy.plot import BLUE, ORANGE, new_figure
from nfnumpy.plot_images import as_colours, draw_images

from drawing import redraw

INK = (0.0, 0.447, 0.698)                                        # Okabe and Ito's blue: drawn by the model
BLOCK = ListedColormap(["#BBBBBB", "#56B4E9", "#CC79A7", "#F0E442"])           # places in a block: neither of these


def partitions_figure():
    """Above: checkerboard masks, both parities. Below: squeeze, and which of its channels condition, both parities."""
    figure = new_figure(6.4)
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
    for ax, swap in zip(above.subplots(1, 2), (False, True)):
        mask = Checkerboard((8, 8, 1), swap).mask[..., 0]
        cells(ax, mask, ListedColormap([ORANGE, BLUE]), title=f"Checkerboard, swap={swap}")
    handles = [above.axes[0].fill([0], [0], color=colour, label=words)[0] for colour, words in
               ((BLUE, "conditions: $x_1$, left as it is"), (ORANGE, "is transformed: $x_2$"))]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)

    image = np.arange(16).reshape(4, 4)
    z = Squeeze((4, 4, 1)).forward(image[None, :, :, None] * 1.0)[0][0].astype(int)
    where = np.add.outer(2 * (np.arange(4) % 2), np.arange(4) % 2)             # the place 2 dy + dx inside a block
    left, right = below.subfigures(1, 2, width_ratios=(1, 1.9))
    cells(left.subplots(), where, BLOCK, image, "An image of 4 x 4 x 1, ...")
    axes = right.subplots(3, 4, height_ratios=(3, 1, 1), gridspec_kw={"hspace": 0.1})
    for k in range(4):
        cells(axes[0, k], np.full((2, 2), k), BLOCK, z[:, :, k], f"channel {k}")
    for swap, row in zip((False, True), axes[1:]):
        conditioning = Halves(4, swap).split(np.arange(4))[0]
        for k, ax in enumerate(row):
            cells(ax, [[int(k in conditioning)]], ListedColormap([ORANGE, BLUE]), vmax=1, aspect="auto")
        row[0].set_ylabel(f"swap={swap}", rotation=0, ha="right", va="center", fontsize=9)
    right.suptitle("... squeezed to 2 x 2 x 4, and its channelwise partition", fontsize=10)
    return figure


def cells(ax, codes, colours, numbers=None, title="", vmax=None, aspect="equal"):
    """A grid of coloured cells, with numbers in them if wanted."""
    codes = np.asarray(codes)
    ax.pcolormesh(codes, cmap=colours, vmin=0, vmax=colours.N - 1 if vmax is None else vmax, edgecolors="white",
                  linewidth=1.5)
    for (i, j), number in np.ndenumerate([] if numbers is None else numbers):
        ax.text(j + 0.5, i + 0.5, number, ha="center", va="center", fontsize=10)
    ax.set(aspect=aspect, xticks=[], yticks=[], ylim=(len(codes), 0))
    ax.set_frame_on(False)
    ax.set_title(title, fontsize=10)


def samples_figure(model, held_out, temperatures=(0.5, 0.7, 1.0), n=80, columns=10):
    """Samples at each temperature, and held-out digits."""
    figure = new_figure(8.0)
    axes = figure.subplots(2, 2).ravel()
    for ax, temperature in zip(axes, temperatures):
        drawn = model.sample(n, rng=0, temperature=temperature)
        draw_images(ax, as_colours(drawn, 17, INK), columns, f"Samples of Glow at temperature {temperature:g}")
    draw_images(axes[-1], as_colours(held_out[:n], 17), columns, "Held-out digits")
    return figure


def interpolation_figure(model, first, second, points=9):
    """From one digit to another, a pair a row: through the latent space, and mixed pixel by pixel."""
    z1, z2 = (model.flow.forward(nf.datasets.dequantize(images, rng=0))[0] for images in (first, second))
    # cos z1 + sin z2 of two independent standard-normal vectors is one again: the way stays where the model lives
    angles = np.linspace(0, np.pi / 2, points)
    through = [grey(model.flow.inverse((np.cos(a) * z1 + np.sin(a) * z2).astype(z1.dtype))[0]) for a in angles]
    mixed = [np.rint((1 - t) * first + t * second) for t in np.linspace(0, 1, points)]
    figure = new_figure(0.5 * len(first) + 0.4)
    left, right = figure.subplots(1, 2)
    for ax, steps, words in ((left, through, "Through Glow's latent space"), (right, mixed, "Pixel by pixel")):
        colours = [as_colours(images, 17, INK if 0 < k < points - 1 else (0, 0, 0)) for k, images in enumerate(steps)]
        draw_images(ax, np.stack(colours, axis=1).reshape(-1, 8, 8, 3), points, f"{words}, from black to black")
    return figure


def levels_figure(model, images, draws=6, temperature=0.7):
    """What each level holds: one of the pieces of z is drawn anew, the others are those of a real digit."""
    multi_scale = model.flow.flows[1]
    pieces = multi_scale.pieces(model.flow.forward(nf.datasets.dequantize(images, rng=0))[0])
    rng, figure = np.random.default_rng(0), new_figure(0.56 * len(images) + 0.5)
    for level, ax in enumerate(figure.subplots(1, len(pieces))):
        colours = [as_colours(images, 17)]
        for _ in range(draws):
            noise = temperature * rng.standard_normal(pieces[level].shape, dtype=pieces[level].dtype)
            z = multi_scale.join([noise if k == level else piece for k, piece in enumerate(pieces)])
            colours.append(as_colours(grey(model.flow.inverse(z)[0]), 17, INK))
        height, width, channels = pieces[level].shape[1:]
        draw_images(ax, np.stack(colours, axis=1).reshape(-1, 8, 8, 3), draws + 1,
                    f"$z_{level + 1}$ of the black digit drawn anew: {height} x {width} x {channels} numbers")
    return figure


def nearest_figure(samples, held_out, train, columns=14, k=3):
    """Samples and held-out digits, each above its k nearest training images."""
    figure = new_figure(6.4)
    for ax, images, ink, words in zip(figure.subplots(2, 1), (samples, held_out), (INK, (0.835, 0.369, 0.0)),
                                      ("Samples (blue)", "Held-out digits (orange)")):
        rows, distances = nearest(images, train, k)
        shown = [as_colours(images[:columns], 17, ink), *(as_colours(train[rows[:columns, j]], 17) for j in range(k))]
        draw_images(ax, np.concatenate(shown), columns,
                    f"{words} above their {k} nearest training images; median distance of the nearest "
                    f"{np.median(distances[:, 0]):.1f}")
    return figure


def grey(x):
    """Real-valued images as whole grey values, as `GreyImageFlow.sample` gives them."""
    return np.clip(np.floor(x), 0, 16)


def nearest(images, train, k):
    """Indices ``(n, k)`` of the k training images nearest to each image, and their Euclidean distances."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (images, train))
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    rows = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return rows, np.sqrt(np.maximum(np.take_along_axis(squares, rows, axis=1), 0))


def agreement(images, train, labels, k=5, most=4):
    """Whether at least `most` of the k nearest training images show the same digit, ``(n,)``."""
    votes = labels[nearest(images, train, k)[0]][..., None] == np.arange(10)
    return votes.sum(axis=1).max(axis=1) >= most


@functools.cache
def trained():
    """``model, train, test, one_each``: a Glow, the digits it was trained on, those held out, one of each digit."""
    images, labels = nf.datasets.digits()
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(images))                          # a fifth is held out, as by `fit digits`
    (test, rest), (test_labels, rest_labels) = ((a[rows[:359]], a[rows[359:]]) for a in (images, labels))
    model = nf.glow((8, 8, 1), levels=2, steps=8, width=32, grey_levels=17, activation="tanh", rng=0, dtype=np.float32)
    history = nf.fit(model, rest, rng=rng, max_steps=2000, batch_size=128, lr=4e-3, weight_decay=0.5, patience=30)
    bits = nf.bits_per_dim(model, test, rng=0)
    print(f"Glow: {bits.mean():.3f} +- {bits.std() / np.sqrt(len(bits)):.3f} bits per dimension on {len(test)} "
          f"held-out digits, {history.seconds:.0f} s, best at step {history.best_step}")
    for words, x in (("held-out digits", test), *((f"samples at temperature {t:g}", model.sample(1000, 0, t))
                                                  for t in (0.5, 0.7, 1.0))):
        four, five = (agreement(x, rest, rest_labels, most=most).mean() for most in (4, 5))
        print(f"{words}: the 5 nearest training images agree on the digit for {five:.1%}, at least 4 for {four:.1%}")

    one_each = test[[np.argmax(test_labels == digit) for digit in range(10)]]
    return model, rest, test, one_each


def glow_samples():
    """`samples_figure` of the trained Glow."""
    model, _, test, _ = trained()
    return samples_figure(model, test)


def interpolation():
    """`interpolation_figure` from each digit to the third before it."""
    model, _, _, one_each = trained()
    return interpolation_figure(model, one_each, np.roll(one_each, 3, axis=0))


def levels():
    """`levels_figure` of one digit of each kind."""
    model, _, _, one_each = trained()
    return levels_figure(model, one_each)


def nearest_neighbours():
    """`nearest_figure` of as many samples as there are held-out digits."""
    model, train, test, _ = trained()
    return nearest_figure(model.sample(len(test), 0, temperature=0.7), test, train)


FIGURES = {"images_partitions": partitions_figure, "images_glow_samples": glow_samples,
           "images_interpolation": interpolation, "images_levels": levels, "images_nearest": nearest_neighbours}

if __name__ == "__main__":
    redraw(FIGURES)
