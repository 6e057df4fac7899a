"""Pictures of images: grids of whole grey values, and the report of `fit` on images. See `nfnumpy.plot`.

One channel is drawn as ink on paper, as MNIST's files mean it: 0 is paper, the highest grey value is ink; three
channels are red, green and blue. Paper is a light grey, so that the white gaps between images can be seen.

>>> grid(np.zeros((6, 8, 8, 1), int), grey_levels=17).get_size_inches()
array([9., 6.])
"""
import math

import numpy as np

from nfnumpy.plot import WIDTH, draw_learning_curve, new_figure, plain

PAPER = 0.94


def grid(images, grey_levels, columns=None, title=""):
    """Images ``(n, height, width, channels)`` side by side, `columns` in a row (by default about as many as rows).

    Returns a Figure.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows, (height, width) = math.ceil(len(images) / columns), images.shape[1:3]
    figure = new_figure(WIDTH * rows * (height + 1) / (columns * (width + 1)) + 0.3 * bool(title))
    draw_images(figure.subplots(), as_colours(images, grey_levels), columns, plain(title, 120))
    return figure


def report(history, samples, held_out, grey_levels, title=""):
    """One page on a fit: the learning curve in bits per dimension; below, samples beside held-out images.

    Arguments: `history`, of `nf.fit` with its values in bits; `samples` and `held_out`, whole grey values
    ``(n, height, width, channels)``. Returns a Figure.
    """
    figure = new_figure(8.2)
    top, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    draw_learning_curve(top.subplots(), history, loss="bits per dimension")
    left, right = below.subplots(1, 2)
    for ax, images, words in ((left, samples, "Samples of the model"), (right, held_out, "Held-out images")):
        draw_images(ax, as_colours(images, grey_levels), math.ceil(math.sqrt(len(images))), words)
    figure.suptitle(plain(title, 140), fontsize=9)
    return figure


def draw_images(ax, colours, columns, title=""):
    """Images, as `as_colours` gives them, side by side in one `ax`, without a frame; in the title $ is mathematics."""
    ax.imshow(mosaic(colours, columns), interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def as_colours(images, grey_levels, ink=(0.0, 0.0, 0.0)):
    """Red, green and blue, 0 to 1, ``(n, height, width, 3)``, of whole grey values ``(n, height, width, channels)``.

    `ink` is the colour of the highest grey value. With another number of channels than 3 the first one is drawn.
    """
    share = np.asarray(images, np.float64) / (grey_levels - 1)
    return share if share.shape[-1] == 3 else PAPER + share[..., :1] * (np.array(ink) - PAPER)


def mosaic(colours, columns):
    """Colours ``(n, height, width, 3)`` as one picture, `columns` in a row, white in gaps and where none is left.

    >>> mosaic(np.zeros((5, 8, 8, 3)), columns=3).shape
    (19, 28, 3)
    """
    n, height, width, _ = colours.shape
    rows = math.ceil(n / columns)
    cells = np.ones((rows * columns, height + 1, width + 1, 3))
    cells[:n, 1:, 1:] = colours
    picture = cells.reshape(rows, columns, height + 1, width + 1, 3).swapaxes(1, 2)
    return np.pad(picture.reshape(rows * (height + 1), columns * (width + 1), 3), [(0, 1), (0, 1), (0, 0)],
                  constant_values=1.0)
