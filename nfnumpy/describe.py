"""A model in words: its layers in order, as plain rows; ``print(model)`` and notebooks show the same ones."""
import html
from typing import NamedTuple

from nfnumpy.composition import Composition, Inverse
from nfnumpy.flows.multiscale import MultiScale

HEADER = ("layer", "x -> z", "parameters", "Jacobian", "passes of f", "passes of g")
NUMBERS = (2, 4, 5)                                              # columns that are right-aligned


class Row(NamedTuple):
    """One flow of a model.

    Attributes
    ----------
    depth : int
        0 is the model's flow, 1 its steps, and so on.
    layer : str
        The class, in ``Inverse(...)`` if the flow is read backwards. Steps are counted from 1, as on the slides.
    x_shape, z_shape : tuple of int
        Shapes of one sample before and after.
    n_params : int
        Numbers in theta, those of the rows below included.
    jacobian : str
        The structure of J_f, see `nfnumpy.Flow`.
    forward, inverse : int
        Passes of conditioners, one after another, that f and g take.
    """

    depth: int
    layer: str
    x_shape: tuple
    z_shape: tuple
    n_params: int
    jacobian: str
    forward: int
    inverse: int


def rows(flow):
    """A `Row` for the flow, followed by those of its steps in the order in which f applies them.

    >>> import nfnumpy as nf
    >>> [(row.depth, row.layer, row.jacobian) for row in rows(nf.maf(dim=2, steps=1, rng=0).flow)]
    [(0, 'Composition', 'triangular'), (1, '1 GaussianAutoregressive', 'triangular')]
    """
    return list(_rows(flow, 0, "", False))


def _rows(flow, depth, number, backwards):
    while isinstance(flow, Inverse):
        flow, backwards = flow.flow, not backwards
    turn = -1 if backwards else 1
    name = f"Inverse({type(flow).__name__})" if backwards else type(flow).__name__
    yield Row(depth, number + name, *(flow.x_shape, flow.z_shape)[::turn], flow.n_params, flow.jacobian,
              *flow.passes[::turn])
    for k, step in enumerate(_steps(flow)[::turn], start=1):     # (f_2 f_1)^-1 = f_1^-1 f_2^-1
        yield from _rows(step, depth + 1, f"{k} ", backwards)


def _steps(flow):
    return flow.flows if isinstance(flow, Composition) else flow.levels if isinstance(flow, MultiScale) else []


def text(model):
    """What ``print(model)`` shows: a title, and a line for each flow, its steps indented below it.

    >>> import nfnumpy as nf
    >>> print(text(nf.realnvp(dim=3, steps=2, hidden=(8,), rng=0)))
    NormalizingFlow, base density StandardNormal(shape=(3,))
    layer         x -> z  parameters  Jacobian          passes of f  passes of g
    ----------------------------------------------------------------------------
    Composition   3 -> 3          94  full                        2            2
      1 Coupling  3 -> 3          52  block triangular            1            1
      2 Coupling  3 -> 3          42  block triangular            1            1
    """
    table = [HEADER, *(_cells(row, "  ") for row in rows(model.flow))]
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = ["  ".join(cell.rjust(width) if k in NUMBERS else cell.ljust(width)
                       for k, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in table]
    return "\n".join([_title(model), lines[0], "-" * max(map(len, lines)), *lines[1:]])


def as_html(model):
    """The same as an HTML table, for notebooks, which look for ``_repr_html_``."""
    def line(cells, tag):
        return "<tr>" + "".join(f'<{tag} style="text-align: {"right" if k in NUMBERS else "left"}">'
                                f"{html.escape(cell)}</{tag}>" for k, cell in enumerate(cells)) + "</tr>"

    body = [line(_cells(row, "\N{NO-BREAK SPACE}" * 4), "td") for row in rows(model.flow)]
    return "\n".join([f"<table>\n<caption>{html.escape(_title(model))}</caption>",
                      f"<thead>{line(HEADER, 'th')}</thead>", "<tbody>", *body, "</tbody>\n</table>"])


def _title(model):
    settings = "".join(f", {key} = {value!r}" for key, value in model.config().items() if key not in ("flow", "base"))
    return f"{type(model).__name__}, base density {model.base!r}{settings}"


def _cells(row, indent):
    shapes = " -> ".join(" x ".join(map(str, shape)) for shape in (row.x_shape, row.z_shape))
    numbers = f"{row.n_params:,}", str(row.forward), str(row.inverse)
    return indent * row.depth + row.layer, shapes, numbers[0], row.jacobian, *numbers[1:]
