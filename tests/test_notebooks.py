"""The pages as notebooks: of valid form, with all code and text of the pages, and showing what they say when run."""
import ast
import base64
import configparser
import contextlib
import doctest
import io
import json
import re
import sys
from pathlib import Path

import pytest
from companion import notebook, pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = pages.lecture_pages()
CHECKER = doctest.OutputChecker()
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("some place") / "notebooks"
    written = notebook.write(made)
    assert sorted(written) == sorted(made.iterdir()) and len(written) == len(PAGES) and all(written.values())
    return made


def read(folder, page):
    return json.loads((folder / notebook.file_name(page)).read_text(encoding="utf-8"))


def cells_of(folder, page, kind):
    return [cell for cell in read(folder, page)["cells"] if cell["cell_type"] == kind]


def is_text(value):
    """The format's multi-line text: a list of lines with their ends, of which only the last may have none."""
    return isinstance(value, list) and all(isinstance(line, str) and line.endswith("\n") for line in value[:-1])


OUTPUTS = {
    "execute_result": {"output_type", "execution_count", "metadata", "data"},
    "stream": {"output_type", "name", "text"},
    "error": {"output_type", "ename", "evalue", "traceback"},
}


def check_form(book):
    """What the schema of format 4.5 requires, and nothing that it does not know."""
    assert book.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert {"name", "display_name"} <= book["metadata"]["kernelspec"].keys()
    assert book["metadata"]["language_info"]["name"] == "python"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in book["cells"]:
        assert is_text(cell["source"]) and isinstance(cell["metadata"], dict)
        if cell["cell_type"] == "markdown":
            assert cell.keys() - {"attachments"} == {"id", "cell_type", "metadata", "source"}
        else:
            assert cell["cell_type"] == "code"
            assert cell.keys() == {"id", "cell_type", "metadata", "source", "outputs", "execution_count"}
            assert cell["execution_count"] is None
        for output in cell.get("outputs", ()):
            assert output.keys() == OUTPUTS[output["output_type"]]
            assert is_text(output.get("text", [])) and all(map(is_text, output.get("data", {}).values()))
            assert output.get("name", "stdout") == "stdout" and output.get("execution_count") is None


@pytest.mark.parametrize("page", PAGES)
def test_its_form_is_valid(folder, page):
    check_form(read(folder, page))


# Code

def shown(cell):
    """``(kind, text)`` of what a cell shows; None for nothing."""
    if not cell["outputs"]:
        return None
    output, = cell["outputs"]
    if output["output_type"] == "error":
        return "error", f"{output['ename']}: {output['evalue']}\n"
    if output["output_type"] == "stream":
        return "stream", "".join(output["text"])
    return "execute_result", "".join(output["data"]["text/plain"]) + "\n"


@pytest.mark.parametrize("page", PAGES)
def test_the_cells_are_the_examples_of_the_page(folder, page):
    """So what the doctests of the pages show is shown for the notebooks as well; none is lost, none is changed."""
    cells = cells_of(folder, page, "code")
    examples = doctest.DocTestParser().get_examples(re.sub(r"^```\w*$", "", pages.read(page), flags=re.M))
    source = [re.sub(" *# doctest:.*", "", example.source) for example in examples]
    ours = ["".join(cell["source"]) + "\n" for cell in cells]
    if ours and ours[0].startswith("import pathlib\n"):
        del cells[0], ours[0]
    assert "".join(ours) == "".join(source)
    wanted = [example.exc_msg or example.want for example in examples if example.want]
    assert [shown(cell)[1] for cell in cells if cell["outputs"]] == wanted
    for example, cell in zip([example for example in examples if example.want], [c for c in cells if c["outputs"]]):
        assert "".join(cell["source"]).endswith(re.sub(" *# doctest:.*", "", example.source).rstrip("\n"))
        assert (cell["metadata"] == {"tags": ["raises-exception"]}) == bool(example.exc_msg)


def run(source, names):
    """Run a cell as Jupyter does: ``(kind, text)`` of what it shows, as in `shown`."""
    body, printed = ast.parse(source).body, io.StringIO()
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module(body, []), "cell", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}\n"
    if value is not None:
        return "execute_result", f"{value!r}\n"
    return ("stream", printed.getvalue()) if printed.getvalue() else None


@pytest.mark.parametrize("name", ["homework_conventions", "prerequisites", "linear"])
def test_a_notebook_that_is_run_shows_what_it_says(folder, name, monkeypatch):
    """In its own folder, the checkout found by its first cell alone; all kinds of output are among these pages."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path) not in (ROOT, ROOT / pages.LECTURE)])
    for module in list(sys.modules):
        if module.split(".")[0] in ("lectures", "prerequisites_figures", "drawing"):
            monkeypatch.delitem(sys.modules, module)
    names = {}
    for cell in cells_of(folder, f"{pages.LECTURE}/{name}.md", "code"):
        got, expected = run("".join(cell["source"]), names), shown(cell)
        if expected is None:
            assert got is None or got[0] == "execute_result", (cell["source"], got)
        else:
            assert got[0] == expected[0], (cell["source"], got)
            assert CHECKER.check_output(expected[1], got[1], FLAGS), (cell["source"], got, expected)


def test_a_checkout_that_is_not_there_is_named(folder, monkeypatch, tmp_path):
    """From a deeper folder: from one higher up, as many .. as in the cell may end at the root, and so in the right place."""
    deeper = tmp_path / "a" / "b" / "c"
    deeper.mkdir(parents=True)
    monkeypatch.chdir(deeper)
    cell = cells_of(folder, f"{pages.LECTURE}/prerequisites.md", "code")[0]
    kind, text = run("".join(cell["source"]), {})
    assert kind == "error"
    assert text.startswith("FileNotFoundError: checkout: expected the folder that holds lectures/lecture02, got ")


def test_which_pages_need_the_checkout(folder):
    """Those that import a script of the lecture; the others run wherever nfnumpy is installed."""
    needed = {page for page in PAGES
              if any("checkout" in "".join(cell["source"]) for cell in cells_of(folder, page, "code"))}
    scripts = {path.stem for path in (ROOT / pages.LECTURE).glob("*.py")} | {"lectures"}
    importing = {page for page in PAGES for name in re.findall(r"^>>> (?:from|import) (\w+)", pages.read(page), re.M)
                 if name in scripts}
    assert needed == importing and 3 < len(needed) < len(PAGES) / 2


def test_what_else_a_page_needs_is_said_with_the_command_that_installs_it(folder):
    """By its imports: whatever is not Python's, nfnumpy's, a script of the lecture or installed along with nfnumpy."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    along, of_the_tests = (set(re.findall(r"^\w+", setup[section][key], re.M)) for section, key in (
        ("options", "install_requires"), ("options.extras_require", "test")))
    scripts = {path.stem for path in (ROOT / pages.LECTURE).glob("*.py")} | {"lectures"}
    needing = []
    for page in PAGES:
        code = "\n".join("".join(cell["source"]) for cell in cells_of(folder, page, "code"))
        imported = {name.split(".")[0] for node in ast.walk(ast.parse(code))
                    for name in ([node.module] if isinstance(node, ast.ImportFrom) else
                                 [alias.name for alias in node.names] if isinstance(node, ast.Import) else ())}
        beside = imported - along - scripts - sys.stdlib_module_names - {"nfnumpy"}
        assert beside <= of_the_tests, page
        first = "".join(cells_of(folder, page, "markdown")[0]["source"])
        assert f"They need {' and '.join(['nfnumpy', *sorted(beside)])} installed (`python" in first
        assert ("pip install -e .`" in first) == (not beside)
        assert all(('pip install -e ".[test]"`' in text) == bool(beside) for text in (first, pages.read(page)[:400]))
        needing += [page] * bool(beside)
    assert needing == ["lectures/properties.md"]
    readme = " ".join(pages.read("lectures/README.md").split())
    assert '[three hunts](properties.md), which needs Hypothesis too, `python -m pip install -e ".[test]"`' in readme


# What is there already

@pytest.fixture
def two(tmp_path, monkeypatch):
    """A folder with the notebooks of two pages, the second of them as Jupyter saves it when it has been run."""
    monkeypatch.setattr(pages, "lecture_pages", lambda: ["lectures/properties.md", "lectures/lecture02/kl.md"])
    fresh, ran = notebook.write(tmp_path)
    book = json.loads(ran.read_text(encoding="utf-8"))
    for k, cell in enumerate(book["cells"]):
        cell["metadata"] = {"scrolled": True}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": k, "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"}]}
    book["metadata"]["language_info"]["version"] = "3.11.7"
    book["cells"].append({"id": "b0a5", "cell_type": "code", "metadata": {}, "source": "", "outputs": [],
                          "execution_count": None})
    ran.write_text(json.dumps(book), encoding="utf-8")
    return fresh, ran


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_notebook_that_was_only_run_stays_as_it_is_and_a_missing_one_is_written(two, tmp_path):
    before = contents(tmp_path)
    two[0].unlink()
    assert notebook.write(tmp_path) == {two[0]: True, two[1]: False} and contents(tmp_path) == before
    assert notebook.write(tmp_path) == {two[0]: False, two[1]: False} and contents(tmp_path) == before
    assert notebook.write(tmp_path, force=True) == {two[0]: True, two[1]: True}
    assert contents(tmp_path)["properties.ipynb"] == before["properties.ipynb"]
    assert contents(tmp_path)["kl.ipynb"] != before["kl.ipynb"]
    check_form(read(tmp_path, "lectures/lecture02/kl.md"))


def with_cell(change):
    """The notebook with `change` made to its cells."""
    def changed(text):
        book = json.loads(text)
        change(book["cells"])
        return json.dumps(book)
    return changed


@pytest.mark.parametrize("edit", [
    with_cell(lambda cells: cells[-2]["source"].append(" my own words")),
    with_cell(lambda cells: cells.append({"cell_type": "code", "source": ["1 + 1"]})),
    with_cell(lambda cells: cells.pop(0)),
    with_cell(lambda cells: cells.reverse()),
    with_cell(lambda cells: cells[0].update(cell_type="raw")),
    with_cell(lambda cells: next(cell for cell in cells if "attachments" in cell)["attachments"].update(a={})),
    lambda text: "", lambda text: "my notes", lambda text: "[]", lambda text: '{"cells": 1}', lambda text: text[:-9],
])
def test_a_notebook_that_was_changed_is_not_lost(two, tmp_path, edit):
    """Nothing is written, not even the missing one that comes before it in the pages' order."""
    two[0].unlink()
    two[1].write_text(edit(two[1].read_text(encoding="utf-8")), encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(FileExistsError) as refusal:
        notebook.write(tmp_path)
    assert str(refusal.value) == str(two[1]) and contents(tmp_path) == before
    notebook.write(tmp_path, force=True)
    assert notebook.write(tmp_path) == {two[0]: False, two[1]: False}


def test_the_first_of_the_changed_ones_is_named(two, tmp_path):
    for path in two:
        path.write_text("my notes", encoding="utf-8")
    with pytest.raises(FileExistsError, match="properties.ipynb"):
        notebook.write(tmp_path)


# Text

def in_prose(cell):
    """A cell's text without its code and mathematics."""
    return re.sub(r"```.*?```|`[^`]*`", "", "".join(cell["source"]), flags=re.S)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_are_inside_and_links_lead_on(folder, page):
    for cell in cells_of(folder, page, "markdown"):
        wanted = re.findall(r"!\[[^\]]*\]\(attachment:([^)]*)\)", in_prose(cell))
        assert sorted(cell.get("attachments", {})) == sorted(wanted)
        for name in wanted:
            (kind, data), = cell["attachments"][name].items()
            assert kind == f"image/{name[-3:]}" and base64.b64decode(data) == (ROOT / "figures" / name).read_bytes()
        for target in re.findall(r"\]\(([^)]*)\)", in_prose(cell)):
            path, _, part = target.partition("#")
            if target.startswith(("attachment:", "https://")):
                continue
            assert "%20" in path or " " not in path
            place = folder / (path.replace("%20", " ") or notebook.file_name(page))
            assert place.is_file(), target
            if place.suffix == ".ipynb" and part:
                cells = json.loads(place.read_text(encoding="utf-8"))["cells"]
                text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
                titles = {re.sub(r"[`*$]", "", line).replace(" ", "-") for line in re.findall("^#+ (.*)$", text, re.M)}
                assert part in titles, target


@pytest.mark.parametrize("page", PAGES)
def test_all_text_is_there_and_displays_are_what_jupyter_draws(folder, page):
    text = "\n".join("".join(cell["source"]) for cell in cells_of(folder, page, "markdown")[1:])
    source = pages.read(page)
    assert "```math" not in text and text.count("$$") == 2 * source.count("```math")
    assert re.findall(r"\$\$\n(.*?)\n\$\$", text, re.S) == re.findall(r"```math\n(.*?)\n```", source, re.S)
    prose = re.sub(r"```python\n>>>.*?```|\]\([^)]*\)", "", source, flags=re.S).replace("```math", "```")
    assert re.sub(r"\]\([^)]*\)", "", text).replace("$$", "```").split() == prose.split()


def test_a_link_to_a_heading_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="b.md: expected a heading of lectures/lecture02/kl.md, got #nowhere"):
        notebook.address(f"{pages.LECTURE}/kl.md", "nowhere", "b.md", ROOT)


def test_a_folder_on_another_drive_gets_whole_paths(monkeypatch):
    def no_way(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(notebook.os.path, "relpath", no_way)
    assert notebook.relative(ROOT / "README.md", ROOT) == (ROOT / "README.md").as_posix()
