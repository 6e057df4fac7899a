"""The lecture pages: links and figures exist, and counted claims hold. (Their code blocks run as doctests by themselves.)"""
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import nfnumpy as nf

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "lectures").rglob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_figures_exist(page):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))   # f[k](x) in code is no link
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_mathematics_is_what_github_renders(page):
    """Displays are fenced; inside a line Markdown eats a backslash before punctuation, and }_ or * starts emphasis."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
    assert "$$" not in text
    inline = re.findall(r"\$[^$]*\$", text)
    assert not [formula for formula in inline if re.search(r"[}\])|]_|\\[^a-zA-Z]|\*|\n", formula)]


PAGES_IN_ORDER = ["recap", "kl", "zoo", "prerequisites", "fitting", "composition", "linear", "autoregressive",
                  "expressivity", "coupling", "images", "summary"]


def test_the_pages_are_numbered_and_lead_from_one_to_the_next():
    neighbours = zip([None, *PAGES_IN_ORDER], PAGES_IN_ORDER, [*PAGES_IN_ORDER[1:], None])
    for number, (before, name, after) in enumerate(neighbours, 1):
        text = (ROOT / "lectures" / "lecture02" / f"{name}.md").read_text(encoding="utf-8")
        assert f"*Page {number} of 12" in text[:300]
        wanted = [(str(k), f"{other}.md") for k, other in ((number - 1, before), (number + 1, after)) if other]
        assert re.findall(r"\[(\d+)\. [^]]*\]\((\w+\.md)\)", text.splitlines()[-1]) == wanted


def test_every_slide_is_named_on_a_page():
    slides = ["Recap of previous lecture", "Outline", "Generative models zoo", "Normalizing flows prerequisites",
              "Jacobian determinant", "Fitting normalizing flows", "Composition of normalizing flows",
              "Normalizing flows (NF)", "Normalizing flows", "Jacobian structure", "Linear normalizing flows",
              "Gaussian autoregressive model", "Gaussian autoregressive NF", "RealNVP", "Image partitioning", "Glow samples", "Summary"]
    heads = [" ".join(page.read_text(encoding="utf-8")[:400].split()) for page in PAGES]
    assert not [slide for slide in slides if not any(f'"{slide}"' in head for head in heads)]


SCRIPTS = sorted(path.stem for path in (ROOT / "lectures" / "lecture02").glob("*_figures.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_figure_of_a_script_has_its_file(name):
    """FIGURES maps a figure's name to the function that draws it; what the functions draw is in `figures/`."""
    figures = importlib.import_module(name).FIGURES
    files = {path.stem for path in (ROOT / "figures").iterdir()}
    assert figures and all(map(callable, figures.values())) and not figures.keys() - files


def test_no_figure_is_drawn_twice_or_by_nobody():
    names = [name for script in SCRIPTS for name in importlib.import_module(script).FIGURES]
    assert sorted(names) == sorted(path.stem for path in (ROOT / "figures").iterdir() if path.stem != "tour")


@pytest.mark.parametrize("name, density, sample", [("MAF", 1, 6), ("IAF", 6, 1), ("RealNVP", 1, 1)])
def test_who_is_sequential(name, density, sample):
    who = importlib.import_module("who_is_sequential")
    assert who.passes(who.ONE_LAYER[name], dim=6) == (density, sample)
    assert who.ONE_LAYER[name](6).passes == (density, sample)


@pytest.mark.parametrize("dim, hidden", [(1, (3,)), (2, (8,)), (5, (7, 6)), (4, ())])
@pytest.mark.parametrize("kind", ["ar", "coupling"])
def test_one_screen_is_the_package(kind, dim, hidden):
    """Density, samples and gradients of the plain functions and of the library: equal to a few rounding errors."""
    one, rng = importlib.import_module("one_screen"), np.random.default_rng(0)
    flow = {"ar": nf.GaussianAutoregressive, "coupling": nf.Coupling}[kind](dim, hidden, "tanh", rng=rng)
    nf.testing.randomize(flow, rng)
    weights = [(getattr(flow.net, f"W{k}"), getattr(flow.net, f"b{k}")) for k in range(flow.net.depth)]
    x, model = rng.standard_normal((6, dim)), nf.NormalizingFlow(flow)
    np.testing.assert_allclose(getattr(one, f"{kind}_log_prob")(x, weights), model.log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(getattr(one, f"{kind}_sample")(x, weights), flow.inverse(x)[0], rtol=1e-12, atol=1e-12)
    _, gradient = nf.negative_log_likelihood(model, x)
    plain = np.concatenate([part.ravel() for pair in getattr(one, f"{kind}_gradient")(x, weights) for part in pair])
    np.testing.assert_allclose(plain, gradient, rtol=1e-10, atol=1e-12)


def test_one_screen_is_short_and_imports_only_numpy():
    source = (ROOT / "lectures" / "lecture02" / "one_screen.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 120
    assert re.findall(r"^\s*(?:import|from) (.*)", source, re.M) == ["numpy as np"]
