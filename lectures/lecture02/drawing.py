"""What the scripts `*_figures.py` share: how a picture is saved, and densities on a grid.

Each script ends in a dictionary ``FIGURES = {name: function}``. The function takes no arguments and returns a
`matplotlib.figure.Figure`, saved as ``figures/name.png``, or an animation, saved as ``figures/name.gif``.
"""
import pathlib
import sys

import numpy as np
from matplotlib.animation import Animation, PillowWriter

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "figures"
DPI = 120                                                        # 9 inches make 1080 pixels, in print 6 inches at 180


def save(drawn, name, folder=FOLDER):
    """Write a Figure as ``name.png`` or an animation as ``name.gif``, whole or not at all; returns the path.

    The same drawing gives the same bytes: neither a date nor matplotlib's version goes into the file.
    """
    path = folder / f"{name}.{'gif' if isinstance(drawn, Animation) else 'png'}"
    aside = path.with_name(f".{path.name}")                      # takes its place when all went well
    try:
        if isinstance(drawn, Animation):
            drawn.save(aside, writer=PillowWriter(fps=8), dpi=70)
        else:
            drawn.savefig(aside, dpi=DPI, metadata={"Software": None})
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def redraw(figures, names=None):
    """Draw and save the figures named on the command line, or all of a script's ``FIGURES``."""
    for name in names or sys.argv[1:] or figures:
        print(save(figures[name](), name).name, flush=True)


def on_grid(density, where, points=201):
    """x1, x2 ``(points,)`` and log_prob ``(points, points)``, a row for each x2, over (left, right, bottom, top)."""
    x1, x2 = np.linspace(where[0], where[1], points), np.linspace(where[2], where[3], points)
    grid = np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2)
    return x1, x2, density.log_prob(grid).reshape(points, points)


def words_on(ax, title, axis_names):
    """Title and axis names in the sizes that all of the lecture's pictures have."""
    ax.set_title(title, fontsize=10.5)
    ax.set_xlabel(axis_names[0], fontsize=10)
    ax.set_ylabel(axis_names[1], fontsize=10)
    ax.tick_params(labelsize=8)
