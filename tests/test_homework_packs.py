"""The packs as they are handed out: every exercise is in one, points are those that the course counts."""
import ast
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "lectures" / "homework"
PACKS = json.loads((FOLDER / "points.json").read_text(encoding="utf-8"))["packs"]
EXERCISES = sorted(path.stem for path in FOLDER.glob("*.py"))


def parts(slug):
    """Names of an exercise's functions and classes."""
    tree = ast.parse((FOLDER / f"{slug}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_a_week_has_thirteen_points():
    assert sum(sum(points.values()) for points in PACKS["week"]["exercises"].values()) == 13


@pytest.mark.parametrize("slug", EXERCISES)
def test_every_part_is_in_some_pack(slug):
    given = {part for pack in PACKS.values() for part in pack["exercises"].get(slug, ())}
    assert given == parts(slug)


def test_packs_ask_for_nothing_else():
    assert {slug for pack in PACKS.values() for slug in pack["exercises"]} == set(EXERCISES)
