"""What a film of a training shows of each kind of model.

A view looks at a model, which gives the arrays of a frame; when it has all frames it draws the axes and scales for the
whole film once, and then only moves what changes. Data are blue, samples orange, the density viridis or green, as in
`nfnumpy.plot`. See `nfnumpy.callbacks.Animation`, and `nfnumpy.gif` for the file.
"""
import math

import numpy as np

from nfnumpy import plot, plot_images
from nfnumpy.history import unit_of

ROWS, IMAGES = 1000, 36                                          # samples in a frame
MOST_CELLS = 64                                                  # whole numbers a side whose probabilities are mapped


def view_of(model, x, n=None, seed=0):
    """The view that suits a model of samples like the rows of x: `Plane`, `Line`, `Pairs` or `Images`.

    >>> import nfnumpy as nf
    >>> x = np.random.default_rng(0).standard_normal((20, 2))
    >>> type(view_of(nf.maf(dim=2, rng=0), x)).__name__
    'Plane'
    """
    if not hasattr(model, "sample"):
        raise TypeError(f"model: expected one with sample, to be drawn, got a {type(model).__name__}")
    shape, levels = x.shape[1:], getattr(model, "grey_levels", None)
    if levels is not None:                                       # the autoregressive MLP takes images flattened
        shape = getattr(model, "info", {}).get("image_shape", shape)
    if len(shape) == 3:
        return Images(model, x, n or IMAGES, seed, tuple(shape))
    kind = {1: Line, 2: Plane}.get(math.prod(shape), Pairs)
    return (Pairs if kind is Plane and levels is not None and levels > MOST_CELLS else kind)(model, x, n or ROWS, seed)


class Rows:
    """What the views of rows ``(n, m)`` share: some data, samples of one noise, the probabilities of whole numbers."""

    size = (9.0, 3.4)                                            # inches

    def __init__(self, model, x, n, seed):
        rng, self.seed, self.n = np.random.default_rng(seed), seed, n
        self.levels = getattr(model, "grey_levels", None)
        x = x.reshape(len(x), -1).astype(np.float64)
        self.x = x[np.sort(rng.permutation(len(x))[:max(n, 500)])]
        self.spread = rng.random((2, max(n, len(self.x)), x.shape[1])) - 0.5
        self.where = np.array([[-0.5, self.levels - 0.5]] * x.shape[1]) if self.levels else plot.limits(self.x)
        self.data = self.in_cells(self.x, 0)

    def in_cells(self, x, which):
        """Whole numbers at random within their cells, the same at each call: many on one spot can be seen."""
        return x + self.spread[which, :len(x)] if self.levels else x

    def samples(self, model):
        """The same noise, as the model of this moment sees it."""
        return self.in_cells(model.sample(self.n, self.seed).reshape(self.n, -1), 1).astype(np.float32)

    def centres(self, side, points):
        """The middles of `points` intervals on one side of `where`, or all its whole numbers."""
        low, high = self.where[side]
        return np.arange(self.levels) if self.levels else low + (np.arange(points) + 0.5) * (high - low) / points

    def density(self, model, grid):
        """p at the rows of a grid, float32."""
        log_p = np.concatenate([model.log_prob(grid[i:i + 4096]) for i in range(0, len(grid), 4096)])
        return np.exp(np.minimum(log_p.astype(np.float64), 80)).astype(np.float32)       # e^88 is float32's largest


class Plane(Rows):
    """Two columns: data, density and samples side by side."""

    def look(self, model):
        """p on a grid ``(points, points)``, samples ``(n, 2)``."""
        grid = np.stack(np.meshgrid(*(self.centres(j, 100) for j in (0, 1))), axis=-1)
        return self.density(model, grid.reshape(-1, 2)).reshape(grid.shape[:2]), self.samples(model)

    def draw(self, figure, frames):
        """Axes and scales; colours end where those of the last frame's still would, see `nfnumpy.plot.draw_density`."""
        axes, last = figure.subplots(1, 3), np.nan_to_num(frames[-1][0])
        plot.draw_points(axes[0], self.data, self.where, plot.BLUE)
        top = np.percentile(last, 99.8) or last.max() or 1.0
        self.map = axes[1].imshow(last, origin="lower", extent=self.where.ravel(), aspect="auto", cmap=plot.COLOURS,
                                  vmin=0, vmax=top)
        plot.draw_points(axes[2], frames[-1][1], self.where, plot.ORANGE)
        self.dots = axes[2].lines[0]
        words = "Probability" if self.levels else "Density"
        for ax, title in zip(axes, ("Data", words, "Samples")):
            plot.label(ax, title, ("", ""))

    def show(self, p, samples):
        """One frame."""
        self.map.set_data(p)
        self.dots.set_data(*samples[:plot.MOST_POINTS].T)


class Line(Rows):
    """One column: histograms of data and samples, and the density."""

    size = (6.4, 3.6)

    def look(self, model):
        """p on a grid ``(points,)``, samples ``(n, 1)``."""
        return self.density(model, self.centres(0, 400)[:, None]), self.samples(model)

    def draw(self, figure, frames):
        """Axes that end a little above data and the last density."""
        ax = figure.subplots()
        self.edges = _edges(self.where[0], self.levels)
        heights = _heights(self.data[:, 0], self.edges)
        ax.stairs(heights, self.edges, fill=True, color=plot.BLUE, alpha=0.25, label="data")
        self.stairs = ax.stairs(heights, self.edges, color=plot.ORANGE, linewidth=1.2, label="samples")
        how = {"drawstyle": "steps-mid"} if self.levels else {}
        self.line, = ax.plot(self.centres(0, 400), frames[-1][0], color=plot.GREEN, linewidth=1.4,
                             label="probability" if self.levels else "density", **how)
        ax.set_xlim(self.where[0])
        ax.set_ylim(0, 1.25 * max(heights.max(), np.percentile(np.nan_to_num(frames[-1][0]), 99)) or 1.0)
        ax.legend(frameon=False, fontsize=8, loc="upper right")
        plot.label(ax, "", ("", ""))

    def show(self, p, samples):
        """One frame."""
        self.line.set_ydata(p)
        self.stairs.set_data(_heights(samples[:, 0], self.edges))


class Pairs(Rows):
    """More columns: pairs of up to four of them, samples over data; histograms on the diagonal."""

    size = (6.4, 6.2)

    def __init__(self, model, x, n, seed):
        super().__init__(model, x, n, seed)
        self.chosen = plot.columns_to_show(self.x)
        names = getattr(model, "info", {}).get("columns")
        self.names = names if names and len(names) == x.shape[1] else [f"x{j + 1}" for j in range(self.x.shape[1])]

    def look(self, model):
        """Samples of the chosen columns ``(n, k)``."""
        return self.samples(model)[:, self.chosen],

    def draw(self, figure, frames):
        """The lower triangle of pairs; axes are those of the data."""
        k, data, where = len(self.chosen), self.data[:, self.chosen], self.where[self.chosen]
        axes, self.dots, self.stairs = figure.subplots(k, k, squeeze=False), {}, {}
        for (i, j), ax in np.ndenumerate(axes):
            if j > i:
                ax.set_axis_off()
                continue
            if i == j:
                edges = _edges(where[i], self.levels)
                heights = _heights(data[:, i], edges)
                ax.stairs(heights, edges, fill=True, color=plot.BLUE, alpha=0.25, label="data")
                self.stairs[i] = edges, ax.stairs(heights, edges, color=plot.ORANGE, linewidth=1.2, label="samples")
                ax.set_xlim(where[i])
                ax.set_ylim(0, 1.4 * heights.max())
            else:
                plot.draw_points(ax, data[:, [j, i]], where[[j, i]], plot.BLUE)
                plot.draw_points(ax, frames[-1][0][:, [j, i]], where[[j, i]], plot.ORANGE)
                self.dots[i, j] = ax.lines[1]
            names = [plot.plain(self.names[self.chosen[side]], 16) for side in (j, i)]
            plot.label(ax, "", (names[0] if i == k - 1 else "", names[1] if j == 0 and i else ""))
            ax.tick_params(labelbottom=i == k - 1, labelleft=j == 0 and i > 0, left=i != j)
        axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1.1, 1.0), frameon=False, fontsize=9).set_in_layout(False)

    def show(self, samples):
        """One frame."""
        for (i, j), dots in self.dots.items():
            dots.set_data(*samples[:plot.MOST_POINTS, [j, i]].T)
        for i, (edges, stairs) in self.stairs.items():
            stairs.set_data(_heights(samples[:, i], edges))


class Images:
    """Images: samples beside data; grey values as ink on paper, real numbers on the data's range."""

    size = (7.2, 4.0)

    def __init__(self, model, x, n, seed, shape):
        self.n, self.seed, self.shape, self.levels = n, seed, shape, getattr(model, "grey_levels", None)
        self.where = x.min(), x.max()
        rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:n])
        self.data = self.colours(x[rows])

    def colours(self, x):
        """Samples as colours ``(n, height, width, 3)``."""
        x = x.reshape(-1, *self.shape)
        if self.levels is None:
            low, high = self.where
            x = np.clip(np.nan_to_num((x - low) / ((high - low) or 1.0)), 0, 1)
        return plot_images.as_colours(x, self.levels or 2)

    def look(self, model):
        """Samples as one picture in bytes ``(height, width, 3)``."""
        return _bytes(self.picture(self.colours(model.sample(self.n, self.seed)))),

    def picture(self, colours):
        """Side by side, about as many in a row as rows."""
        return plot_images.mosaic(colours, math.ceil(math.sqrt(len(colours))))

    def draw(self, figure, frames):
        """Two pictures without axes."""
        axes = figure.subplots(1, 2)
        for ax, picture, title in zip(axes, (_bytes(self.picture(self.data)), frames[-1][0]), ("Data", "Samples")):
            self.image = ax.imshow(picture, interpolation="nearest")
            ax.set_title(title, fontsize=10)
            ax.axis("off")

    def show(self, picture):
        """One frame."""
        self.image.set_data(picture)


def caption(state, note=""):
    """The title of a frame: the step, the latest held-out value, and of which step that is if of another one."""
    history, (unit, nats) = state.history, unit_of(state.model)
    step, value, at = state.step, history.valid[-1], history.step[-1]
    if note:
        step, value, at = history.best_step, history.best_valid, history.best_step
    words = f"step {step:>{len(str(state.max_steps))}} of {state.max_steps}   held-out {value / nats:7.3f} {unit}"
    return words + (f"   {note}" if note else f" at step {at}" if at != step else "")


def _edges(where, levels):
    return np.arange(levels + 1) - 0.5 if levels else np.linspace(*where, 31)


def _heights(values, edges):
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    return np.histogram(inside, edges)[0] / (max(len(values), 1) * (edges[1] - edges[0]))


def _bytes(picture):
    return np.round(255 * picture).astype(np.uint8)
