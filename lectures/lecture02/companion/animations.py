"""The three animations of the players: a flow step by step, a grid that it warps, and its training.

All of them show one small flow, four Gaussian autoregressive layers that learn two moons in a training of `steps`
steps. Each function returns a `matplotlib.animation.FuncAnimation` of about `frames` frames.
"""
import functools

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize

import nfnumpy as nf
from nfnumpy.plot import BLUE, COLOURS, ORANGE, draw_points, new_figure
from nfnumpy.plot_flows import grid_lines, grid_of, words
from nfnumpy.targets import Moons

WHERE = np.array([[-3.2, 3.2]] * 2)                              # of data and of noise
RADIUS = 2.2                                                     # of the noise that is warped: 91 % of all samples
MOONS = Moons(noise=0.1)


def moons(n, rng):
    """Two moons, moved to the origin and scaled to about the size of the noise, ``(n, 2)``."""
    return 1.5 * (MOONS.sample(n, rng) - [0.5, 0.25])


@functools.cache
def course(steps, frames):
    """``[(step, held-out loss in nats, theta)]`` at (at most) `frames` steps of a training, and the model at its end.

    The steps are spread evenly in their square root: most happens early.
    """
    rng = np.random.default_rng(0)
    layers = [nf.GaussianAutoregressive(2, (48, 48), "tanh", order, rng=rng) for order in ["natural", "reversed"] * 2]
    model = nf.NormalizingFlow(nf.Composition(layers))
    adam, held_out, kept = nf.Adam(model.theta, lr=5e-3), moons(2000, rng), []
    shown = {round(steps * (k / (frames - 1)) ** 2) for k in range(frames)}
    for step in range(steps + 1):
        if step in shown:
            kept.append((step, -model.log_prob(held_out).mean(), model.theta.copy()))
        _, gradient = nf.negative_log_likelihood(model, moons(256, rng))
        adam.lr = 5e-3 * (1 - step / (steps + 1))                # to zero, so that the last frames are at rest
        adam.step(gradient)
    model.theta = kept[-1][2]
    return kept, model


def stepping(frames=25, steps=1500, n=800):
    """Data on their way to noise: `trajectory`, with straight lines from one stop to the next.

    The colour of a point is the log-determinant of the steps so far: how much volume has grown around it.
    """
    _, model = course(steps, frames)
    x = moons(n, 1)
    stops, log_dets = [x], [np.zeros(n)]
    for h, log_det_k in model.flow.trajectory(x):
        stops.append(h)
        log_dets.append(log_dets[-1] + log_det_k)
    figure = new_figure(4.6, width=5.6)
    ax = figure.subplots()
    size = np.abs(log_dets[-1]).max()
    dots = ax.scatter(*x.T, c=log_dets[0], cmap=COLOURS, norm=Normalize(-size, size), s=9)
    half = 1.05 * np.percentile(np.abs(stops), 99.5)              # a few samples stray far on their way
    framed(ax, [[-half, half]] * 2)
    figure.colorbar(dots, ax=ax, label=r"$\log |\det \mathbf{J}|$ of the steps so far, nats")
    last = len(stops) - 1
    between = max(1, (frames - 1) // last)

    def show(frame):
        k, part = divmod(frame, between)
        t = part / between
        dots.set_offsets(stops[k] if not part else (1 - t) * stops[k] + t * stops[k + 1])
        dots.set_array(log_dets[k] if not part else (1 - t) * log_dets[k] + t * log_dets[k + 1])
        words(ax, "data x" if frame == 0 else f"between steps {k} and {k + 1}" if part else
              f"after $f_{k}$: " + ("noise z" if k == last else f"$h_{k}$"), ("", ""))

    return film(figure, show, range(last * between + 1))


def warping(frames=25, steps=1500, cells=90):
    """A grid of the noise as g warps it, each cell in the colour of log abs det J_g at its middle.

    Every frame is a flow of its own: the trained parameters times t, from the identity at t = 0 to the whole at t = 1.
    """
    _, model = course(steps, frames)
    flow, theta = model.flow, model.theta.copy()
    corners, squares = disc(cells)
    middles, lines = corners[squares].mean(axis=1), grid_lines(RADIUS, points=321)
    size = np.abs(flow.inverse(middles)[1]).max()
    figure = new_figure(4.6, width=5.6)
    ax = figure.subplots()
    mesh = ax.add_collection(PolyCollection(corners[squares], array=np.zeros(len(squares)), cmap=COLOURS,
                                            norm=Normalize(-size, size), edgecolors="face", linewidths=0.4))
    drawn = ax.add_collection(LineCollection(lines, colors="white", linewidths=0.7))
    framed(ax, WHERE)
    figure.colorbar(mesh, ax=ax, label=r"$\log |\det \mathbf{J}_g|$, nats: positive where volume grows")

    def show(t):
        flow.theta = t * theta
        mesh.set_verts(flow.inverse(corners)[0][squares])
        mesh.set_array(flow.inverse(middles)[1])
        drawn.set_segments(flow.inverse(lines.reshape(-1, 2))[0].reshape(lines.shape))
        flow.theta = theta
        words(ax, rf"parameters $t\,\theta$, t = {t:.2f}" + (": g is the identity" if t == 0 else ""), ("", ""))

    return film(figure, show, np.linspace(0, 1, frames))


def disc(cells):
    """Corners ``(k, 2)`` of a square grid, and the four that belong to each cell inside a circle, ``(k', 4)``."""
    corners = grid_of(RADIUS * np.array([[-1, 1]] * 2), cells + 1)
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    squares = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    return corners, squares[(corners[squares] ** 2).sum(axis=2).max(axis=1) < RADIUS ** 2]


def training(frames=25, steps=1500, n=500, points=81):
    """Density and samples as training goes on, on one scale for all frames; the noise behind the samples is fixed."""
    kept, model = course(steps, frames)
    z, grid = model.base.sample(n, 2), grid_of(WHERE, points)
    figure = new_figure(3.7, width=6.8)
    left, right = figure.subplots(1, 2, sharey=True)
    top = np.exp(model.log_prob(grid)).max()
    image = left.imshow(np.zeros((points, points)), origin="lower", extent=WHERE.ravel(), cmap=COLOURS, vmin=0,
                        vmax=top)
    draw_points(right, moons(n, 3), WHERE, BLUE)
    dots, = right.plot(*z.T, ".", color=ORANGE, markersize=3)
    framed(left, WHERE)
    framed(right, WHERE)

    def show(frame):
        step, loss, theta = kept[frame]
        model.theta = theta
        image.set_data(np.exp(model.log_prob(grid)).reshape(points, points))
        dots.set_data(*model.flow.inverse(z)[0].T)
        model.theta = kept[-1][2]
        words(left, f"step {step}: density, {loss:.2f} nats held out", ("", ""))
        words(right, "samples (orange) over data (blue)", ("", ""))

    return film(figure, show, range(len(kept)))


def film(figure, show, frames):
    """The animation; the first frame's layout holds for all, so that nothing trembles."""
    show(frames[0])
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return FuncAnimation(figure, show, frames=frames, init_func=lambda: (), cache_frame_data=False)


def framed(ax, where):
    """The range of each axis, one unit of both as long."""
    ax.set_aspect("equal")
    ax.set_xlim(where[0])
    ax.set_ylim(where[1])
