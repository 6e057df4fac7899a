"""What a flow does, in pictures: its Jacobians, the two terms of its log-density, data as noise, noise step by step.

Each function takes anyone's flow or model and returns a `matplotlib.figure.Figure`; `animation` returns an animation.
Data are blue, samples of a model orange, noise green. See `nfnumpy.plot`.

>>> import nfnumpy as nf
>>> model = nf.realnvp(dim=2, steps=4, rng=0)
>>> len(steps(model, n=50, rng=0).axes)                          # 5 + 5 pictures and a scale of colours
11
"""
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from nfnumpy.composition import Composition
from nfnumpy.plot import BLUE, COLOURS, GREEN, ORANGE, draw_points, new_figure
from nfnumpy.testing.derivatives import jacobian

GRID_RADIUS = 2.5                                                # of the noise: all but 4 % of a plane's samples


def jacobians(flow, x, title=""):
    """J_f at one sample x ``(m,)``, J_g at its z, and their product, which the inverse function theorem says is I."""
    x = np.asarray(x)[None]
    z, _ = flow.forward(x)
    J_f, J_g = (jacobian(lambda a, f=f: f(a)[0], at)[0] for f, at in ((flow.forward, x), (flow.inverse, z)))
    size = np.abs([J_f, J_g]).max()
    figure = new_figure(3.3)
    for ax, A, name in zip(figure.subplots(1, 3), (J_f, J_g, J_g @ J_f),
                            (r"$\mathbf{J}_f = \partial z / \partial x$", r"$\mathbf{J}_g = \partial x / \partial z$",
                             r"$\mathbf{J}_g\,\mathbf{J}_f$")):
        A = np.where(np.abs(A) < 1e-12, 0.0, A)                  # what is left of a zero by rounding
        image = draw_matrix(ax, A, name, size)
        for (i, j), entry in np.ndenumerate(A if len(A) <= 5 else []):
            ax.text(j, i, f"{entry:.2f}" if entry else "0", ha="center", va="center", fontsize=9,
                    color="white" if entry < 0.2 * size and entry else "black")
    figure.colorbar(image, ax=figure.axes, shrink=0.75, label="entries; white: 0")
    figure.suptitle(title, fontsize=10.5)
    return figure


def draw_matrix(ax, A, title="", size=1.5):
    """Entries from -size to size in viridis, exact zeros left white: the zero pattern is what the eye gets first."""
    image = ax.imshow(np.ma.masked_equal(A, 0.0), cmap=COLOURS, norm=Normalize(-size, size))
    ax.set_title(title, fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    return image


def terms(model, where):
    """log p(x) = log p(f(x)) + log abs det J_f on a plane: the base term, the volume term, and their sum.

    The white contour, the same in all three, is where log p(x) is 4 nats below its highest value.

    Arguments: `model`, a `NormalizingFlow` of two dimensions; `where` ``(2, 2)``, the range of each axis.
    """
    x = grid_of(where, 161)
    z, log_det = model.flow.forward(x)
    base = model.base.log_prob(z)
    log_p = base + log_det
    figure = new_figure(3.5)
    for ax, values, name in zip(figure.subplots(1, 3, sharey=True), (base, log_det, log_p), (
            r"base term $\log p(\mathbf{f}(\mathbf{x}))$", r"volume term $\log |\det \mathbf{J}_f|$",
            r"their sum $\log p(\mathbf{x})$")):
        # below e^-8 of the peak nothing is drawn apart; the volume term, which has no peak, is shown whole
        low = np.percentile(values, 1) if values is log_det else values.max() - 8
        image = ax.imshow(values.reshape(161, 161), origin="lower", extent=np.ravel(where), aspect="auto", cmap=COLOURS,
                          vmin=low, vmax=np.percentile(values, 99.8))
        ax.contour(*(np.linspace(*side, 161) for side in where), log_p.reshape(161, 161), levels=[log_p.max() - 4],
                   colors="white", linestyles="solid", linewidths=1.2)
        figure.colorbar(image, ax=ax, location="bottom", label="nats", extend="min", pad=0.02, shrink=0.9)
        words(ax, name, ("", "x2" if values is base else ""))
    return figure


def normalizing(models, x):
    """Data x ``(n, 2)``, and what each model's f makes of them: noise, if the model is right.

    Arguments: `models`, a list of ``(title, model)``. The rings of the noise hold 50 and 95 % of a standard normal.
    """
    figure = new_figure(9.0 / (len(models) + 1) + 0.4)
    first, *others = figure.subplots(1, len(models) + 1)
    draw_points(first, x, _square(x), BLUE)
    first.set_aspect("equal")
    words(first, "Data x", ("x1", "x2"))
    for ax, (title, model) in zip(others, models):
        draw_points(ax, model.flow.forward(x)[0], np.array([[-3.6, 3.6]] * 2), GREEN)
        turn = np.linspace(0, 2 * np.pi, 200)
        for share in (0.5, 0.95):
            r = np.sqrt(-2 * np.log(1 - share))                  # P(|z| < r) = 1 - exp(-r^2 / 2) in the plane
            ax.plot(r * np.cos(turn), r * np.sin(turn), color="black", linewidth=1)
            ax.text(0, r + 0.06, f"{share:.0%}", ha="center", fontsize=8, bbox={"color": "white", "pad": 0.5})
        ax.set_aspect("equal")
        words(ax, title, ("z1", "z2"))
    return figure


def steps(model, n=1000, rng=0):
    """Noise on its way to data: samples, and a grid coloured by log abs det J_g so far, after each step of the flow.

    Arguments: `model` of two dimensions; `n` samples. Compositions inside a composition are taken apart. A ValueError for
    another number of dimensions.
    """
    samples, lines = _way(model, n, rng)
    names = ["noise z"] + [f"after $g_{k}$" for k in range(len(samples) - 1, 1, -1)] + ["after $g_1$: x"]
    figure = new_figure(0.5 + 2 * 9.0 / len(samples))
    axes, norm = figure.subplots(2, len(samples)), _scale_of(lines)
    for k, (above, below) in enumerate(axes.T):
        where = _square(samples[k])
        draw_points(above, samples[k], where, GREEN if k == 0 else ORANGE)
        below.add_collection(_segments(*lines[k], norm))
        below.set_xlim(where[0])
        below.set_ylim(where[1])
        words(above, names[k], ("", ""))
        for ax in (above, below):
            ax.set_aspect("equal")
            ax.tick_params(labelsize=7)
    figure.colorbar(below.collections[0], ax=axes[1], location="bottom", shrink=0.5, aspect=40, extend="both",
                    label=r"$\log |\det \mathbf{J}_g|$ so far, nats: stretched to the right, squeezed to the left")
    return figure


def animation(model, n=600, rng=0, between=9, rest=5):
    """The pictures of `steps` as a film: `between` frames a step, and `rest` frames at every stop.

    Between two stops points go along straight lines, and colours change evenly.
    """
    samples, lines = _way(model, n, rng)
    norm, last = _scale_of(lines), len(samples) - 1
    where = _square(np.concatenate(samples))
    figure = new_figure(3.3, width=6.4)
    left, right = figure.subplots(1, 2)
    for ax in (left, right):
        ax.set_aspect("equal")
        ax.set_xlim(where[0])
        ax.set_ylim(where[1])
    dots, = left.plot(*samples[0].T, ".", markersize=3, alpha=0.7, markeredgewidth=0)
    mesh = right.add_collection(_segments(*lines[0], norm))
    words(right, r"colour: $\log |\det \mathbf{J}_g|$ so far", ("", ""))
    bar = figure.colorbar(mesh, ax=right, shrink=0.8, extend="both")
    bar.ax.tick_params(labelsize=8)
    shares = np.concatenate([[0.0] * rest, *([k + s for s in np.linspace(0, 1, between + 1)[1:]] + [k + 1.0] * rest
                                             for k in range(last))])

    def show(share):
        k = min(int(share), last - 1)
        t = share - k
        dots.set_data(*((1 - t) * samples[k] + t * samples[k + 1]).T)
        dots.set_color(GREEN if share == 0 else ORANGE)
        points, log_det = ((1 - t) * a + t * b for a, b in zip(lines[k], lines[k + 1]))
        mesh.set_segments(_pairs(points))
        mesh.set_array(_middles(log_det))
        words(left, "noise z" if share == 0 else "data x" if share == last else f"step $g_{last - k}$", ("", ""))
        return dots, mesh

    return FuncAnimation(figure, show, frames=shares, init_func=lambda: (dots, mesh), cache_frame_data=False)


def words(ax, title, axis_names):
    """Title, in which $ is mathematics, and axis names."""
    ax.set_title(title, fontsize=10.5)
    ax.set_xlabel(axis_names[0], fontsize=9)
    ax.set_ylabel(axis_names[1], fontsize=9)
    ax.tick_params(labelsize=8)


def grid_of(where, points):
    """``(points^2, 2)``: a grid over `where` ``(2, 2)``, x1 running fastest."""
    return np.stack(np.meshgrid(*(np.linspace(*side, points) for side in where)), axis=-1).reshape(-1, 2)


def grid_lines(radius=GRID_RADIUS, lines=11, points=81):
    """Straight lines of a square grid, cut by a circle: ``(2 lines, points, 2)``."""
    at, along = np.linspace(-0.98, 0.98, lines) * radius, np.linspace(-1, 1, points)
    half = np.sqrt(radius ** 2 - at ** 2)
    upright = np.stack([np.repeat(at[:, None], points, axis=1), half[:, None] * along], axis=-1)
    return np.concatenate([upright, upright[..., ::-1]])


def _way(model, n, rng):
    """After 0, 1, ..., K steps of g: samples ``(n, 2)``, and ``(points of lines, log_det so far)``."""
    if model.flow.z_shape != (2,):
        raise ValueError(f"model: expected one of two dimensions, got samples of shape {model.flow.z_shape}")
    x, line = model.base.sample(n, rng), grid_lines()
    total = np.zeros(line.shape[:2])
    samples, lines = [x], [(line, total)]
    for flow in reversed(list(_steps_of(model.flow))):
        x, _ = flow.inverse(x)
        points, log_det = flow.inverse(lines[-1][0].reshape(-1, 2))
        total = total + log_det.reshape(total.shape)
        samples.append(x)
        lines.append((points.reshape(line.shape), total))
    return samples, lines


def _steps_of(flow):
    if isinstance(flow, Composition):
        for step in flow.flows:
            yield from _steps_of(step)
    else:
        yield flow


def _pairs(points):
    return np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 2)


def _middles(log_det):
    return ((log_det[:, :-1] + log_det[:, 1:]) / 2).ravel()


def _segments(points, log_det, norm):
    return LineCollection(_pairs(points), array=_middles(log_det), cmap=COLOURS, norm=norm, linewidths=1.1)


def _scale_of(lines):
    size = np.percentile(np.abs(lines[-1][1]), 95) or 1.0
    return Normalize(-size, size)


def _square(x):
    """One range for both axes, which holds all but a few samples, ``(2, 2)``."""
    low, high = np.percentile(x, 0.5, axis=0), np.percentile(x, 99.5, axis=0)
    half = 0.62 * (high - low).max()
    return (low + high)[:, None] / 2 + np.array([-half, half])
