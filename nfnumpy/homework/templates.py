"""What students get: each exercise's template with a first line that says what it is, as files or as one notebook."""
import ast
import json
import re

FIRST_LINE = "# nfnumpy homework: exercise {slug}, pack {pack} {version}, variant {variant} (keep this line)"
PATTERN = re.compile(r"^# nfnumpy homework: exercise (\w+), pack (\w+) (\d+), variant (\d+)", re.MULTILINE)


def template(pack, slug):
    """The text of an exercise in a pack: its variant, the parts that the pack asks for, and the points.

    >>> from nfnumpy.homework.packs import Pack
    >>> template(Pack("classroom"), "gaussian_ar").splitlines()[0]
    '# nfnumpy homework: exercise gaussian_ar, pack classroom ..., variant 0 (keep this line)'
    """
    exercise, points = pack.exercises[slug], pack.points[slug]
    text = exercise.template_of(pack.variant_of(slug))
    for node in reversed(ast.parse(text).body):
        if getattr(node, "name", None) in set(exercise.parts) - set(points):
            lines = text.splitlines(keepends=True)
            text = "".join(lines[:node.lineno - 1]).rstrip() + "\n" + "".join(lines[node.end_lineno:])
    first = FIRST_LINE.format(slug=slug, pack=pack.name, version=pack.version, variant=pack.variant)
    return (f"{first}\n# Points: {', '.join(f'{part} {value:g}' for part, value in points.items())}. "
            f"About {exercise.minutes} minutes for all of the exercise.\n{text.rstrip()}\n")


def notebook(pack):
    """All exercises of a pack as one Jupyter notebook, a text."""
    cells = [markdown(f"# {pack.title}\n\nKeep the first line of each cell: it says which exercise the cell is. "
                      "Cells of your own may stand anywhere; when it is graded, definitions, imports and assignments "
                      "are run, loops and pictures are not.")]
    for slug, exercise in pack.exercises.items():
        cells += [markdown(f"## {exercise.title}"), code(template(pack, slug))]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n"


def markdown(text):
    """A notebook's Markdown cell, format 4."""
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(text):
    """A notebook's code cell, format 4, not yet run."""
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [],
            "source": text.rstrip("\n").splitlines(keepends=True)}


def headers(text):
    """``[(exercise, pack, version, variant)]`` of all first lines in a text."""
    return [(slug, pack, int(version), int(variant)) for slug, pack, version, variant in PATTERN.findall(text)]


def bound_names(text):
    """``{name: its last definition}`` at the top level of a source, or None if it does not parse.

    >>> sorted(bound_names("def f(): pass\\ng = f"))
    ['f', 'g']
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.Assign):
            names.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update({(alias.asname or alias.name).split(".")[0]: node for alias in node.names})
    return names


def started(cells, parts, templates):
    """The parts that are more than the template: another syntax tree, docstrings and comments aside.

    >>> text = "def f(x):\\n    raise NotImplementedError\\n"
    >>> started([text], ["f"], [text]), started(["def f(x): return x"], ["f"], [text])
    ([], ['f'])
    """
    found, broken = {}, False
    for cell in cells:
        names = bound_names(cell)
        broken = broken or names is None
        found.update(names or {})
    if broken:
        return list(parts)
    given = [bound_names(text) for text in templates]
    try:
        return [part for part in parts if part not in found or not (
            is_empty(found[part]) or any(part in names and bare(found[part]) == bare(names[part]) for names in given))]
    except RecursionError:                                       # an expression nested hundreds of levels deep
        return list(parts)


def is_empty(node):
    """Whether a function's body is nothing: pass, an ellipsis, NotImplementedError."""
    if not isinstance(node, ast.FunctionDef):
        return False
    return all(isinstance(statement, ast.Pass)
               or isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
               or isinstance(statement, ast.Raise) and "NotImplementedError" in ast.dump(statement)
               for statement in node.body)


def bare(node):
    """A definition's syntax without docstrings, as text."""
    node = ast.parse(ast.unparse(node)).body[0]
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(inner) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.dump(node)
