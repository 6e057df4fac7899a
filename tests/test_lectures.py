"""The lecture pages: links and figures exist, and counted claims hold. (Their code blocks run as doctests by themselves.)"""
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "lectures").rglob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_figures_exist(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not dead


def script(name):
    """A script of the lecture, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "lectures" / "lecture02" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name, density, sample", [("MAF", 1, 6), ("IAF", 6, 1), ("RealNVP", 1, 1)])
def test_who_is_sequential(name, density, sample):
    who = script("who_is_sequential")
    assert who.passes(who.ONE_LAYER[name], dim=6) == (density, sample)
    assert who.ONE_LAYER[name](6).passes == (density, sample)
