"""The adjoint atlas: the page `atlas.md`, made from the "Formulas" sections of the class docstrings.

    python -m lectures.lecture02 atlas          writes the page anew

A "Formulas" section has labels at the margin and lines beside them. The lines are Python, for one sample, and
``tests/test_atlas.py`` runs them against the class that they describe::

    Formulas
    --------
    f:             z = (x - mean) / scale
    g:             x = scale * z + mean
    log abs det:   log_det = -sum(log(scale))
    adjoint of f:  grad_x = grad_z / scale
    adjoint of g:  grad_z = scale * grad_x
"""
import inspect
import pathlib
import re

import nfnumpy as nf
from nfnumpy import flows
from nfnumpy.commands.common import written_whole
from nfnumpy.flows.linear_map import LinearMap
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.velocity import Velocity

PAGE = pathlib.Path(__file__).with_name("atlas.md")
ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOW_LABELS = ("where", "f", "g", "log abs det", "adjoint of f", "adjoint of g")
NET_LABELS = ("where", "forward", "adjoint")

CHAPTERS = {
    "Each coordinate by itself, or in another order":
        [nf.Permutation, nf.Standardize, nf.Diagonal, nf.ActNorm, flows.Logit],
    "Linear flows": [LinearMap, nf.Dense, nf.Triangular, nf.PLU, nf.QR],
    "Linear flows on images": [nf.Conv1x1, nf.MaskedConv, nf.EmergingConv, flows.Squeeze],
    "Transformers": [nf.Additive, nf.Affine, nf.RationalQuadratic, nf.MixtureOfLogistics],
    "Autoregressive and coupling flows": [nf.GaussianAutoregressive, nf.Coupling, flows.ImageCoupling],
    "Flows of one unit": [nf.Planar, nf.Radial],
    "Continuous-time flows": [nf.ContinuousFlow],
    "Flows made of flows": [nf.Composition, nf.Inverse, flows.MultiScale],
    "Conditioner networks": [nf.MLP, nf.MADE, Conv2d, Velocity],
}

INTRODUCTION = """\
# The adjoint atlas

Every layer of the package on one page: $z = f(x)$, its inverse $x = g(z)$, $\\log\\lvert\\det J_f\\rvert$, and what a
gradient becomes on its way back through either direction. `python -m lectures.lecture02 atlas` makes this page from the
docstrings of the classes, and [test_atlas.py](../../tests/test_atlas.py) runs every line of it against the code: with
random parameters and inputs, the values and gradients that the formulas give are those of the layer.

How to read a row:

- The lines are Python, and they are about **one sample**. For a batch, gradients of parameters are summed over samples.
- `grad_z` is the gradient of a scalar loss with respect to `z`, and so on for every other name. `grad_log_det` is the
  loss's derivative with respect to the log-determinant.
- `adjoint of f` is the closure that `forward_vjp` returns: it takes `grad_z` and `grad_log_det`. `adjoint of g` is
  that of `inverse_vjp`: it takes `grad_x`, and `grad_log_det` of the log-determinant of *g*, which is always
  $\\log\\lvert\\det J_g\\rvert = -\\log\\lvert\\det J_f\\rvert$, taken at the same pair of $x$ and $z$.
- `*` is elementwise, `@` a matrix product, `outer(a, b)` is $a b^\\top$, `solve(A, y)` is $A^{-1} y$, `diag(A)` the
  diagonal of $A$, and `sum(v)` the sum of all entries of $v$. `J(y, x)` is the Jacobian matrix of `y` with respect
  to `x`, all other inputs fixed.
- `strictly_lower(A)` are the entries of $A$ below the diagonal, row by row, `strictly_upper(A)` those above it.
  `sum_pixels` sums over everything but the channels. `softmax(a)` is $e^a$ divided by its sum, `softplus(a)` is
  $\\log(1 + e^a)$.
- Other names that no line defines are parameters and constants of the class. Its docstring, behind the link to the
  source, has the derivations.

## At a glance
"""


def formulas(cls):
    """``{label: [lines]}`` of the class's "Formulas" section; lines keep their indentation beyond the margin.

    A class without a section of its own has that of the first parent with one; a ValueError where there is none.

    >>> formulas(nf.Standardize)["adjoint of f"]
    ['grad_x = grad_z / scale']
    """
    rows = {}
    for line in section(cls)[0].splitlines():
        label, text = re.fullmatch(r"(?:([a-z][a-z ]*):| ) *(.*)", line).groups()
        if label:
            rows[label], column = [], line.index(text)
            last = rows[label]
        last.append(line[column:])
    return rows


def section(cls):
    """The lines of the "Formulas" section, and the paragraph after it: what the names mean, or what the lines cost.

    >>> section(nf.Inverse)[1], section(nf.Permutation)[1].split(",")[0]
    ('', 'J_f = P')
    """
    found = re.search(r"^Formulas\n-+\n(.*?)\n\n(?!\w+\n-+\n)(.*?)\n\n|^Formulas\n-+\n(.*?)\n\n()",
                      inspect.getdoc(owner(cls)) + "\n\n", re.M | re.S)
    lines, paragraph = (group for group in found.groups() if group is not None)
    return lines, paragraph


def owner(cls):
    """The class itself, or its first parent, that has a "Formulas" section in its own docstring.

    >>> owner(flows.ImageCoupling).__name__
    'Coupling'
    """
    for ancestor in cls.__mro__:
        if "\nFormulas\n" in inspect.cleandoc(ancestor.__dict__.get("__doc__") or ""):
            return ancestor
    raise ValueError(f"{cls.__name__}: expected a section \"Formulas\" in its docstring, or in a parent's, found none")


def source_link(cls):
    """A Markdown link to the line of the class."""
    path = pathlib.Path(inspect.getsourcefile(cls)).resolve().relative_to(ROOT)
    line = inspect.getsourcelines(cls)[1]
    return f"[`{path.name}`, line {line}](../../{path.as_posix()}#L{line})"


def summary(cls):
    """The docstring's first sentence, names of other classes linked where the atlas has them."""
    return inspect.getdoc(cls).split("\n\n")[0].replace("\n", " ")


def cell(lines):
    """Lines of code in one cell of a Markdown table."""
    return "<br>".join(f"`{line}`" for line in lines)


def page():
    """The text of `atlas.md`."""
    text = [INTRODUCTION, "| layer | log abs det J<sub>f</sub> | source |", "| --- | --- | --- |"]
    for layers in list(CHAPTERS.values())[:-1]:
        text += [f"| {link(cls)} | {cell(formulas(cls)['log abs det'])} | {source_link(cls)} |" for cls in layers]
    for title, layers in CHAPTERS.items():
        text += ["", f"## {title}"]
        for cls in layers:
            text += ["", f"### {cls.__name__}", "", as_markdown(summary(cls)), f"Source: {source_link(cls)}."]
            if owner(cls) is not cls:
                same = re.search(r"^(The formulas are those of .*?):*\n\n", inspect.getdoc(cls), re.M | re.S)
                text += ["", as_markdown(same.group(1).rstrip(".")) + "."]
                continue
            text += ["", "| | for one sample |", "| --- | --- |"]
            text += [f"| {label.replace(' ', '&nbsp;')} | {cell(lines)} |" for label, lines in formulas(cls).items()]
            text += ["", as_markdown(section(cls)[1])] if section(cls)[1] else []
    return "\n".join(text) + "\n"


def link(cls):
    """A link to the class's section on the page."""
    return f"[{cls.__name__}](#{cls.__name__.lower()})"


def as_markdown(text):
    """Plain text of a docstring as Markdown: what would be markup is escaped, and classes on the page become links.

    >>> as_markdown("x_1 of `Affine`")
    'x\\\\_1 of [Affine](#affine)'
    """
    here = {cls.__name__: link(cls) for layers in CHAPTERS.values() for cls in layers}
    parts = re.split(r"(`+.*?`+)", text)
    parts[::2] = [re.sub(r"([_*\[\]<>])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [here.get(part.strip("`"), part) for part in parts[1::2]]
    return "".join(parts)


def write():
    """Write the page, in one step; its path."""
    with written_whole(PAGE) as aside:
        aside.write_text(page(), encoding="utf-8", newline="\n")
    return PAGE


