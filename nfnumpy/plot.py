"""Every picture is a function here: data and models in, a `matplotlib.figure.Figure` out; saving it is the caller's.

No pyplot, so no global state and no display. Densities are drawn in viridis, lines and points in the colours of Okabe
and Ito: both can be told apart without colour vision. Figures are 9 inches wide, 900 pixels at 100 dots an inch.

>>> import nfnumpy as nf
>>> figure = density(nf.maf(dim=2, rng=0), nf.datasets.load("moons", n=100, rng=0)[0])
>>> figure.savefig("density.png")                                # doctest: +SKIP
"""
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"         # Okabe and Ito, and grey
YELLOW, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"            # three more of theirs, where three are not enough
COLOURS = "viridis"
WIDTH = 9.0                                                      # inches
MOST_POINTS = 2000                                               # more become a blot
MOST_COLUMNS = 4


def density(model, x, columns=("x1", "x2"), title="Learned density"):
    """A 2-D density p(x), as a heat map over the range of the rows of x ``(n, 2)``.

    Arguments: `model`, anything with `log_prob`; `columns`, names for the axes. Returns a Figure.
    """
    figure = new_figure(5.5, width=6.5)
    ax = figure.subplots()
    image = draw_density(ax, model, limits(x))
    figure.colorbar(image, ax=ax, label="p(x)")
    label(ax, title, columns)
    return figure


def samples(x, data, columns=("x1", "x2"), title="Samples against data"):
    """Samples x ``(n, 2)`` beside data ``(n', 2)``, on the same axes. Returns a Figure."""
    figure = new_figure(4.4)
    for ax, points, colour, words in zip(figure.subplots(1, 2), (data, x), (BLUE, ORANGE), ("Data", "Samples")):
        draw_points(ax, points, limits(data), colour)
        label(ax, words, columns)
    figure.suptitle(plain(title))
    return figure


def learning_curve(history, title="Learning curve"):
    """Training and held-out negative log-likelihood against steps, from the `History` of `nf.fit`. Returns a Figure."""
    figure = new_figure(3.6)
    draw_learning_curve(figure.subplots(), history, title)
    return figure


def marginals(data, x, columns, chosen=None):
    """Pairwise marginals of some columns: samples x ``(n, m)`` over data ``(n', m)``; histograms on the diagonal.

    Arguments: `columns`, all m names; `chosen`, indices of the columns to show, by default `columns_to_show`.
    Returns a Figure.
    """
    figure = new_figure(WIDTH)
    draw_marginals(figure, data, x, columns, columns_to_show(data) if chosen is None else chosen)
    return figure


def comparison(rows):
    """One row a data set: the data, then the learned density and samples of each model, side by side.

    Arguments: `rows`, a list of ``(name of the data, data (n, 2), columns, models)`` with `models` a list of
    ``(name, model, samples (n', 2))``, as many in each row. Returns a Figure.
    """
    panels = 1 + 2 * len(rows[0][3])
    figure = new_figure(2.3 * len(rows), width=2.3 * panels)
    axes = figure.subplots(len(rows), panels, squeeze=False)
    for line, (data_name, data, columns, models) in zip(axes, rows):
        where = limits(data)
        draw_points(line[0], data, where, BLUE)
        label(line[0], f"{data_name}: data", columns)
        for (name, model, x), ax, beside in zip(models, line[1::2], line[2::2]):
            draw_density(ax, model, where)
            draw_points(beside, x, where, ORANGE)
            label(ax, f"{name}: density", (columns[0], ""))
            label(beside, f"{name}: samples", (columns[0], ""))
        for ax in line[1:]:
            ax.tick_params(labelleft=False)
    return figure


def report(history, model, data, x, columns, title=""):
    """One page on a fit: the learning curve, the density where it can be drawn, and samples against data.

    Arguments: `history` of `nf.fit`; the `model`; some of its training rows `data` ``(n, m)``; samples `x` from it
    ``(n', m)``; the m names of the columns; a `title`, whose lines after the first stand below the picture's top.
    Returns a Figure: for m = 1 and 2 with the density itself, beyond with pairwise marginals of up to four columns.
    """
    m = data.shape[1]
    if m > 2:
        figure = new_figure(12.0)
        top, below = figure.subfigures(2, 1, height_ratios=(1, 3))
        draw_learning_curve(top.subplots(), history)
        draw_marginals(below, data, x, columns, columns_to_show(data))
    elif m == 2:
        figure = new_figure(8.2)
        axes, where = figure.subplots(2, 2), limits(data)
        draw_learning_curve(axes[0, 0], history)
        figure.colorbar(draw_density(axes[0, 1], model, where), ax=axes[0, 1], label="p(x)")
        draw_points(axes[1, 0], data, where, BLUE)
        draw_points(axes[1, 1], x, where, ORANGE)
        for ax, words in ((axes[0, 1], "Learned density"), (axes[1, 0], "Data"), (axes[1, 1], "Samples of the model")):
            label(ax, words, columns)
    else:
        figure = new_figure(4.2)
        axes, (low, high) = figure.subplots(1, 2), limits(data)[0]
        draw_learning_curve(axes[0], history)
        draw_histograms(axes[1], data[:, 0], x[:, 0], (low, high))
        grid = np.linspace(low, high, 400)
        axes[1].plot(grid, np.exp(model.log_prob(grid[:, None])), color=GREEN, label="learned density")
        axes[1].legend(frameon=False, fontsize=8)
        label(axes[1], "Density", (columns[0], "p(x)"))
    figure.suptitle(plain(title, 120), fontsize=10)
    return figure


def new_figure(height, width=WIDTH):
    """An empty figure, in inches, whose parts keep out of each other's way."""
    return Figure(figsize=(width, height), layout="constrained")


def limits(x, share=0.06):
    """The range of each column and a little more, ``(m, 2)``."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = share * np.where(high > low, high - low, 1.0)
    return np.stack([low - margin, high + margin], axis=1)


def draw_density(ax, model, where, points=160):
    """A heat map of exp(log p) on a grid over `where` ``(2, 2)``; returns the image.

    Colours end at the 99.8th percentile: a single narrow peak would leave the rest of the picture dark.
    """
    centres = [low + (np.arange(points) + 0.5) * (high - low) / points for low, high in where]
    grid = np.stack(np.meshgrid(*centres), axis=-1).reshape(-1, 2)
    p = np.exp(np.minimum(model.log_prob(grid).astype(np.float64), 700)).reshape(points, points)
    top = np.percentile(p, 99.8) or p.max() or 1.0
    return ax.imshow(p, origin="lower", extent=where.ravel(), aspect="auto", cmap=COLOURS, vmin=0, vmax=top)


def draw_points(ax, x, where, colour):
    """Dots, at most `MOST_POINTS` of them, inside `where` ``(2, 2)``."""
    ax.plot(*x[:MOST_POINTS].T, ".", color=colour, markersize=2.5 if len(x) > 500 else 4, alpha=0.6, markeredgewidth=0)
    ax.set_xlim(where[0])
    ax.set_ylim(where[1])


def draw_histograms(ax, data, x, where):
    """Outlines of two histograms as densities, on the same bins."""
    bins = np.linspace(*where, 31)
    for values, colour, words in ((data, BLUE, "data"), (x, ORANGE, "samples")):
        values = values[(values >= where[0]) & (values <= where[1])]
        if len(values):
            ax.hist(values, bins, density=True, histtype="stepfilled", facecolor=to_rgba(colour, 0.15),
                    edgecolor=colour, linewidth=1.2, label=words)
    ax.set_xlim(where)


def draw_learning_curve(ax, history, title="Learning curve", loss="-log p(x), nats"):
    """Both curves, of the `loss` that the history holds, and the step whose parameters were kept."""
    for values, colour, words in ((history.train, BLUE, "training"), (history.valid, ORANGE, "held-out")):
        ax.plot(history.step, values, color=colour, label=words)
    ax.axvline(history.best_step, color=GREY, linestyle=":", label=f"kept: step {history.best_step}")
    finite = np.array([v for v in (*history.train, *history.valid) if np.isfinite(v)])
    low, high = finite.min(), np.percentile(finite, 95)          # a first value far above would flatten the rest
    margin = 0.08 * ((high - low) or 1.0)
    ax.set_ylim(low - margin, high + 2 * margin)
    ax.legend(frameon=False, fontsize=8)
    label(ax, title, ("optimisation step", loss))


def draw_marginals(figure, data, x, columns, chosen):
    """The lower triangle of scatter plots, and histograms on the diagonal."""
    k, where = len(chosen), limits(data)
    axes = figure.subplots(k, k, squeeze=False)
    for row, i in enumerate(chosen):
        for column, j in enumerate(chosen):
            ax = axes[row, column]
            if column > row:
                ax.set_axis_off()
                continue
            if row == column:
                draw_histograms(ax, data[:, i], x[:, i], where[i])
            else:
                draw_points(ax, data[:, [j, i]], where[[j, i]], BLUE)
                draw_points(ax, x[:, [j, i]], where[[j, i]], ORANGE)
            label(ax, "", (columns[j] if row == k - 1 else "", columns[i] if column == 0 and row else ""))
            ax.tick_params(labelbottom=row == k - 1, labelleft=column == 0 and row > 0, left=row != column)
    handles = axes[0, 0].get_legend_handles_labels()
    words = f"{k} of {len(columns)} columns, those that go most with others" if k < len(columns) else "all columns"
    legend = axes[0, k - 1].legend(*handles, title=f"Pairs of columns:\n{words}", loc="upper right", frameon=False)
    legend.set_in_layout(False)                                  # it may be wider than its place: no column makes room


def columns_to_show(x):
    """Indices of at most four columns: all of them, or else those with the strongest correlations to the others."""
    m = x.shape[1]
    if m <= MOST_COLUMNS:
        return np.arange(m)
    spread = x.std(axis=0)
    y = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    strength = ((y.T @ y / len(y)) ** 2).sum(axis=0)
    return np.sort(np.argsort(-strength, kind="stable")[:MOST_COLUMNS])


def label(ax, title, axis_names):
    """Title and axis names in small type, few ticks."""
    ax.set_title(plain(title), fontsize=10)
    ax.set_xlabel(plain(axis_names[0]), fontsize=9)
    ax.set_ylabel(plain(axis_names[1]), fontsize=9)
    ax.tick_params(labelsize=8)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def plain(text, most=40):
    r"""`text` for matplotlib: a dollar sign is a dollar sign, and long names are cut.

    >>> plain("price in $")
    'price in \\$'
    """
    text = " ".join(text.split())
    return (text if len(text) <= most else text[:most - 3] + "...").replace("$", r"\$")
