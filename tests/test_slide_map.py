"""The slide map: every slide of the lecture is in it, in order, and no pointer of it is dead."""
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAP = ROOT / "lectures" / "lecture02" / "README.md"
COLUMNS = ("slide", "box", "page and section", "code", "property test", "figure")
SILENT = ("title slide", "outline", "picture only")              # boxes of slides that state nothing to run


def rows():
    """The rows of the table, each a dictionary by column; a slide's number and title stand in its first row only."""
    lines = [line for line in MAP.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    head, *body = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    assert head == COLUMNS
    return [dict(zip(COLUMNS, row)) for row in body if set(row[0]) != {"-"}]


ROWS = rows()
SLIDES = [(int(number), title) for row in ROWS for number, title in re.findall(r"^(\d+)\. (.*)$", row["slide"])]


def links(cell):
    """``(text, path, anchor)`` of each link, the path resolved; text without the backticks of code."""
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)]*)\)", cell):
        path, _, anchor = target.partition("#")
        yield text.strip("`"), (MAP.parent / path).resolve(), anchor


def anchors(page):
    """The anchors that GitHub gives to headings: lower case, no punctuation, hyphens for spaces, repeats numbered."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found, times = [], {}
    for title in re.findall(r"^#+ +(.*?) *$", text, re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        times[slug] = times.get(slug, -1) + 1
        found.append(f"{slug}-{times[slug]}" if times[slug] else slug)
    return found


def names_in(path):
    """Functions and classes of a source file, and ``Class.method``, those inherited within the file too."""
    classes, names = {}, set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inherited = {name for base in node.bases for name in classes.get(getattr(base, "id", None), ())}
            classes[node.name] = inherited | {inner.name for inner in node.body if isinstance(inner, ast.FunctionDef)}
            names |= {f"{node.name}.{name}" for name in classes[node.name]}
    return names


def test_every_slide_is_there_in_order():
    assert [number for number, _ in SLIDES] == list(range(1, 29))
    titles = [title for _, title in SLIDES]
    assert titles.count("Outline") == 6 and titles.count("Recap of previous lecture") == 4
    assert [title for title in titles if title not in ("Outline", "Recap of previous lecture")] == [
        "Deep Generative Models", "Generative models zoo", "Normalizing flows prerequisites", "Jacobian determinant",
        "Fitting normalizing flows", "Composition of normalizing flows", "Normalizing flows (NF)", "Normalizing flows",
        "Jacobian structure", "Linear normalizing flows", "Linear normalizing flows", "Gaussian autoregressive model",
        "Gaussian autoregressive NF", "Gaussian autoregressive NF", "RealNVP", "RealNVP", "Glow samples", "Summary"]


def test_every_box_has_a_page_code_and_a_test():
    for row in ROWS:
        if row["box"] not in SILENT:
            for column in COLUMNS[2:5]:
                assert list(links(row[column])), (row["slide"], row["box"], column)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['slide'][:2]}{row['box']}")
def test_no_pointer_is_dead(row):
    for text, path, anchor in links(row["page and section"]):
        assert path.suffix == ".md" and (not anchor or anchor in anchors(path)), (text, path.name, anchor)
    for text, path, _ in links(row["code"]):
        assert text in names_in(path), (text, path.name)
    for text, path, _ in links(row["property test"]):            # a test's name reads as a sentence
        assert f"test_{text.replace(' ', '_')}" in names_in(path) and path.parent == ROOT / "tests", (text, path.name)
    for text, path, _ in links(row["figure"]):
        assert path.is_file() and path.parent == ROOT / "figures" and path.stem == text


@pytest.mark.parametrize("page", [*sorted((ROOT / "lectures").rglob("*.md")), ROOT / "README.md"],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_of_every_page_are_alive(page):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    for path, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", text):
        target = (page.parent / path).resolve() if path else page
        assert target.suffix != ".md" or anchor in anchors(target), f"{path}#{anchor}"


def test_anchors_are_githubs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Careful: J_f is W, not its [transpose](x.md)\n```\n# no heading\n```\n"
                    "## `LU`\n## LU\n### 1x1 conv.\n")
    assert anchors(page) == ["careful-j_f-is-w-not-its-transpose", "lu", "lu-1", "1x1-conv"]


def test_a_dead_pointer_is_noticed():
    dead = dict.fromkeys(COLUMNS, "") | {"code": "[`no_such_function`](../../nfnumpy/model.py)"}
    with pytest.raises(AssertionError, match="no_such_function"):
        test_no_pointer_is_dead(dead)
