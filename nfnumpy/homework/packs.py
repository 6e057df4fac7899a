"""The exercises and packs in ``lectures/homework``: found beside the package, loaded once."""
import ast
import functools
import importlib.util
import json
import math
import pathlib

from nfnumpy.homework.exercise import Exercise

LECTURES = pathlib.Path(__file__).parents[2] / "lectures" / "homework"


def folder():
    """The folder of the exercises, or a ValueError that says where it would be."""
    if not (LECTURES / "points.json").is_file():
        raise ValueError(f"the homework is not here: {LECTURES} is missing; it comes with a clone of the repository, "
                         "not with the installed package alone")
    return LECTURES


def slugs():
    """The names of all exercises, sorted."""
    return sorted(path.stem for path in (folder() / "checks").glob("*.py") if path.stem != "__init__")


@functools.cache
def exercise(slug):
    """The `Exercise` of that name."""
    if slug not in slugs():
        raise ValueError(f"{slug}: there is no such exercise; there are {', '.join(slugs())}")
    spec = importlib.util.spec_from_file_location(f"homework_checks_{slug}", folder() / "checks" / f"{slug}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.EXERCISE
    if not isinstance(found, Exercise):
        raise TypeError(f"checks/{slug}.py: EXERCISE must be an Exercise")
    found.slug, found.template = slug, (folder() / f"{slug}.py").read_text(encoding="utf-8")
    missing = set(found.parts) - set(parts_of(found.template))
    if missing:
        raise ValueError(f"{slug}.py has no {', '.join(sorted(missing))}")
    return found


def parts_of(text):
    """The names of the functions and classes of a source text, in order."""
    return [node.name for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


def load_points(path=None):
    """The points file, checked: a ValueError names what is wrong in it, since teachers edit it."""
    path = pathlib.Path(path) if path else folder() / "points.json"
    try:
        points = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: this is no JSON: line {error.lineno}: {error.msg}") from error
    for name, credit in points["credit"].items():
        if not number(credit) or not 0 <= credit <= 1:
            raise ValueError(f"{path}: credit: {name}: expected a number from 0 to 1, got {credit!r}")
    for pack, content in points["packs"].items():
        for slug, parts in content["exercises"].items():
            for part, value in parts.items():
                if part not in exercise(slug).parts:
                    raise ValueError(f"{path}: {pack}: {slug}: there is no part {part}; there are "
                                     f"{', '.join(exercise(slug).parts)}")
                if not number(value) or value < 0:
                    raise ValueError(f"{path}: {pack}: {slug}: {part}: expected points from 0 up, got {value!r}")
    return points


def number(value):
    """Whether this is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Pack:
    """What is handed out together: `name`, `version`, `variant`, and `points`, ``{exercise: {part: points}}``."""

    def __init__(self, name, variant=0, points=None):
        points = points or load_points()
        if name not in points["packs"]:
            raise ValueError(f"--pack: expected one of {', '.join(points['packs'])}, got {name!r}")
        content = points["packs"][name]
        self.name, self.variant, self.credits = name, variant, points["credit"]
        self.version, self.title, self.points = content["version"], content["title"], content["exercises"]
        self.exercises = {slug: exercise(slug) for slug in self.points}

    @property
    def total(self):
        """All points of the pack."""
        return sum(sum(parts.values()) for parts in self.points.values())

    def variant_of(self, slug):
        """The variant that an exercise is asked in: the pack's, or the slides' where the exercise has not that many."""
        return self.variant if self.variant in self.exercises[slug].variants else 0
