"""The picture of `zoo.md`: the models of this lecture among the generative models.

    python lectures/lecture02/zoo_figures.py        redraws it into figures/
"""
from matplotlib.patches import FancyBboxPatch

from nfnumpy.plot import BLUE, GREY, new_figure

from drawing import redraw

# name: (column, row, name of the parent, whether this package has it)
TREE = {"generative models": (0, 3.5, None, False),
        "with a likelihood": (1, 2.5, "generative models", False),
        "samples only": (1, 7, "generative models", False),
        "exact": (2, 1.5, "with a likelihood", False),
        "a bound": (2, 5.5, "with a likelihood", False),
        "autoregressive models": (3, 0, "exact", True),
        "normalizing flows": (3, 2.5, "exact", True),
        "variational autoencoders": (3, 5, "a bound", False),
        "diffusion models": (3, 6, "a bound", False),
        "adversarial networks (GAN)": (3, 7, "samples only", False),
        "MADE, causal CNN": (4, 0, "autoregressive models", True),
        "linear: PLU, QR, 1x1 conv": (4, 1, "normalizing flows", True),
        "Gaussian AR: MAF, IAF": (4, 2, "normalizing flows", True),
        "coupling: RealNVP": (4, 3, "normalizing flows", True),
        "with 1x1 conv: Glow": (4, 4, "normalizing flows", True)}
LEFT = (0.0, 1.75, 3.5, 4.75, 7.35)                              # where each column begins
WIDTHS = (1.45, 1.5, 0.85, 2.2, 1.95)


def zoo():
    """A tree, from left to right; filled: what this package has."""
    figure = new_figure(3.9)
    ax = figure.subplots()
    for name, (column, row, parent, here) in TREE.items():
        left, width = LEFT[column], WIDTHS[column]
        ax.text(left + width / 2, row, name, ha="center", va="center", fontsize=9.5,
                color="white" if here else "black")
        ax.add_patch(_box(left, row, width, BLUE if here else "white"))
        if parent:
            above, start, _, _ = TREE[parent]
            x = LEFT[above] + WIDTHS[above]
            middle = (x + left) / 2
            ax.plot([x, middle, middle, left], [start, start, row, row], color=BLUE if here else GREY, linewidth=1.4,
                    zorder=0)
    ax.set_xlim(-0.05, LEFT[-1] + WIDTHS[-1] + 0.05)
    ax.set_ylim(7.6, -0.6)
    ax.set_axis_off()
    return figure


def _box(left, row, width, colour):
    return FancyBboxPatch((left, row - 0.34), width, 0.68, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour,
                          edgecolor=BLUE if colour == BLUE else GREY, linewidth=1.2, zorder=1)


FIGURES = {"zoo": zoo}

if __name__ == "__main__":
    redraw(FIGURES)
