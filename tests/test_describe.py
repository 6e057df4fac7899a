"""Models that explain themselves: what print shows is what the flows are, the structure of the Jacobian included."""
import html.parser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.describe import HEADER, rows
from nfnumpy.flows import Logit, MultiScale, Squeeze
from nfnumpy.testing.zoo import BUILDERS

seeds = st.integers(0, 2 ** 32 - 1)
few = settings(max_examples=5)                                   # for each of some forty flows


def matrix(flow, seed):
    """J_f at a random x, by a complex step: ``(m, m)``."""
    x = np.random.default_rng(seed).standard_normal((1, *flow.x_shape))
    return nf.testing.jacobian(lambda x: flow.forward(x)[0], x)[0]


def order_of(flow):
    """The order of coordinates in which a triangular flow is lower triangular."""
    if isinstance(flow, nf.Inverse):
        return order_of(flow.flow)
    if isinstance(flow, nf.Composition):
        return order_of(next(step for step in flow.flows if step.jacobian == "triangular"))
    natural = np.arange(np.prod(flow.x_shape))
    backwards = not getattr(flow, "lower", True) or getattr(flow, "reverse", False)
    return getattr(flow, "order", natural[::-1] if backwards else natural)


def fits(structure, J, flow):
    """Whether the Jacobian has a structure, by its definition; zeros are zeros up to rounding."""
    there = np.abs(J) > 1e-12 * np.abs(J).max()
    beside = there & ~np.eye(len(J), dtype=bool)
    if structure == "permutation":
        return bool((there.sum(axis=0) == 1).all() and (there.sum(axis=1) == 1).all() and (J[there] == 1).all())
    if structure == "diagonal":
        return not beside.any()
    if structure == "triangular":
        order = order_of(flow)
        return not np.triu(there[np.ix_(order, order)], 1).any()
    if structure == "block triangular":                          # who moves the others is not moved
        return not (beside.any(axis=0) & beside.any(axis=1)).any()
    if structure == "block diagonal":
        pixel = np.arange(len(J)) // flow.x_shape[-1]
        return not there[pixel[:, None] != pixel].any()
    return structure == "full"


@pytest.mark.parametrize("name", BUILDERS)
@few
@given(dim=st.integers(1, 6), seed=seeds)
def test_the_stated_structure_is_that_of_the_jacobian(name, dim, seed):
    flow = nf.testing.randomize(BUILDERS[name](dim, np.random.default_rng(seed)), seed)
    if flow.jacobian == "full":
        return                                                   # which promises nothing: see the next test
    assert fits(flow.jacobian, matrix(flow, seed), flow)


@pytest.mark.parametrize("name", BUILDERS)
def test_no_flow_has_more_structure_than_it_states(name):
    """With random parameters: of six coordinates a flow is not diagonal, say, by accident."""
    flow = nf.testing.randomize(BUILDERS[name](6, np.random.default_rng(1)), 1)
    finer = {"permutation": [], "diagonal": ["permutation"], "full": ["permutation", "diagonal", "block triangular"]}
    J = matrix(flow, 1)
    for other in finer.get(flow.jacobian, ["permutation", "diagonal"]):
        assert not fits(other, J, flow), other
    if flow.jacobian == "full":                                  # triangular in no order
        paths = np.linalg.matrix_power((np.abs(J) > 1e-12) & ~np.eye(len(J), dtype=bool), len(J))
        assert paths.any()


def test_a_composition_is_what_its_steps_leave():
    build = {"D": lambda: nf.Standardize([0.0, 0.0], [2.0, 3.0]), "T": lambda: nf.Triangular(2),
             "U": lambda: nf.Triangular(2, lower=False), "P": lambda: nf.Permutation([1, 0])}
    for steps, expected in (("DD", "diagonal"), ("DT", "triangular"), ("TD", "triangular"), ("PP", "permutation"),
                            ("PD", "full"), ("TU", "full"), ("PT", "full")):
        flow = nf.Composition([build[letter]() for letter in steps])
        assert flow.jacobian == nf.Inverse(flow).jacobian == expected


@pytest.mark.parametrize("name", BUILDERS)
def test_rows_follow_the_samples_through_the_flow(name):
    """Read from top to bottom, each step takes the shape that the one before it gave; numbers add up."""
    for flow in (BUILDERS[name](4, np.random.default_rng(0)), nf.Inverse(BUILDERS[name](4, np.random.default_rng(0)))):
        table = rows(flow)
        assert table[0].x_shape == flow.x_shape and table[0].z_shape == flow.z_shape
        for k, row in enumerate(table):
            below = []
            for other in table[k + 1:]:
                if other.depth <= row.depth:
                    break
                if other.depth == row.depth + 1:
                    below.append(other)
            if below:
                for value in ("n_params", "forward", "inverse"):
                    assert getattr(row, value) == sum(getattr(step, value) for step in below)
                assert [int(step.layer.split()[0]) for step in below] == list(range(1, len(below) + 1))
            if below and "MultiScale" not in row.layer:          # there, a part leaves between the levels
                before, after = [step.x_shape for step in below], [step.z_shape for step in below]
                assert [row.x_shape, *after] == [*before, row.z_shape]
        assert (table[0].n_params, (table[0].forward, table[0].inverse)) == (flow.n_params, flow.passes)


def test_print_shows_nested_flows_indented_and_repr_stays_as_it_was():
    model = nf.NormalizingFlow(MultiScale([nf.Composition([Squeeze((4, 4, 1)), nf.ActNorm((2, 2, 4))]),
                                           nf.Inverse(Logit((2, 2, 2)))]))
    lines = str(model).splitlines()
    assert [line[:18].rstrip() for line in lines[3:]] == [
        "MultiScale", "  1 Composition", "    1 Squeeze", "    2 ActNorm", "  2 Inverse(Logit)"]
    assert repr(model) == f"NormalizingFlow({model.flow!r}, {model.base!r})"


class Cells(html.parser.HTMLParser):
    """The text of each cell, and every tag with its attributes."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data):
        if data.strip("\n"):
            self.cells[-1] += data


@pytest.mark.parametrize("build", [lambda: nf.glow((4, 4, 1), 2, 1, 4, grey_levels=17, rng=0),
                                   lambda: nf.iaf(3, 2, rng=0)])
def test_the_notebook_shows_what_print_shows(build):
    model, page = build(), Cells()
    page.feed(model._repr_html_())
    title, header, _, *lines = str(model).splitlines()
    assert page.cells[:1 + len(HEADER)] == [title, *HEADER] and header.split() == " ".join(HEADER).split()
    body = page.cells[1 + len(HEADER):]
    assert [" ".join(body[k:k + 6]).split() for k in range(0, len(body), 6)] == [line.split() for line in lines]
    assert {tag for tag, _ in page.tags} == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert all(set(attributes) <= {"style"} for _, attributes in page.tags)


def test_the_notebook_s_table_is_escaped():
    class Strange(nf.StandardNormal):
        def __repr__(self):
            return "<script>&"

    page = nf.NormalizingFlow(nf.Permutation([0]), Strange((1,)))._repr_html_()
    assert "&lt;script&gt;&amp;" in page and "<script>" not in page and "1 -&gt; 1" in page
