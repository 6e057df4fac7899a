"""The pages as notebooks: what a page says as Markdown, its code as cells to run and to change.

    python -m lectures.lecture02 notebook DIR

The pages stay the only source. A block of code becomes a cell for each value that it shows, so that a notebook that is
run shows what the page shows. The outputs of the page are kept as those of the cells: someone who only reads needs
them, and the doctests have checked them. Where the page leaves something out with three dots, so does the output until
the cell is run.

Format 4.5 of Jupyter's notebooks, https://nbformat.readthedocs.io. Figures are attachments, inside the file.
"""
import ast
import base64
import doctest
import json
import os
import pathlib
import re
from urllib.parse import quote

from companion import pages
from companion.markdown import FENCE

from nfnumpy.files import written_whole

NEEDS_CHECKOUT = re.compile(r"(?:from|import) (lectures|{})\b".format(
    "|".join(sorted(path.stem for path in (pages.ROOT / pages.LECTURE).glob("[a-z]*.py")))))
OF_THE_TESTS = re.compile(r"^>>> (?:from|import) (hypothesis|pytest)\b", re.M)   # what nfnumpy[test] installs
RUNS = "raises-exception"                                        # Jupyter's tag of a cell that is meant to fail
METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"}}


def write(folder, force=False):
    """Write a notebook of each page of the lecture into `folder`, which is made if need be.

    A notebook that is there and has the cells of its page, run or not, stays as it is, with its outputs. `force`
    replaces every one. Returns ``{path: whether it was written}`` in the order of the pages. Raises FileExistsError,
    before anything is written, with the path of the first file that says something else than its page.
    """
    folder = pathlib.Path(folder)
    books = {folder / file_name(page): notebook(page, folder.resolve()) for page in pages.lecture_pages()}
    there = [] if force else [path for path in books if path.exists()]
    for path in there:
        if said(path.read_bytes()) != said(json.dumps(books[path])):
            raise FileExistsError(path)
    folder.mkdir(parents=True, exist_ok=True)
    for path, book in books.items():
        if path not in there:
            with written_whole(path) as aside:
                aside.write_text(json.dumps(book, ensure_ascii=False, indent=1) + "\n", encoding="utf-8",
                                 newline="\n")
    return {path: path not in there for path in books}


def said(text):
    """What a reader may have changed in a notebook: of each cell its kind, text and figures. None for another file.

    To run a notebook changes outputs, counts and metadata, and leaves an empty cell at the end: that is no change here.

    >>> said('{"cells": [{"cell_type": "code", "source": ["1 + ", "1"], "execution_count": 3}]}')
    [('code', '1 + 1', {})]
    """
    try:
        cells = [(cell["cell_type"], "".join(cell["source"]), cell.get("attachments", {}))
                 for cell in json.loads(text)["cells"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return [cell for cell in cells if cell[1].strip()]


def file_name(page):
    """The notebook's name: the page's own, but that of the slide map is said.

    >>> file_name("lectures/lecture02/kl.md"), file_name("lectures/lecture02/README.md")
    ('kl.ipynb', 'slide_map.ipynb')
    """
    return pathlib.PurePosixPath(page).stem.replace("README", "slide_map") + ".ipynb"


def notebook(page, folder):
    """The notebook of a page, as the dictionary that its JSON is, with links that hold from `folder`."""
    text = pages.read(page)
    checkout = relative(pages.ROOT, folder)
    beside = list(dict.fromkeys(OF_THE_TESTS.findall(text)))
    cells = list(first_cells(page, checkout, NEEDS_CHECKOUT.search(text), beside))
    for kind, part in parts_of(text):
        if kind == "code":
            cells += code_cells(part)
        elif part.strip():
            cells.append(markdown_cell(part.strip("\n"), page, folder))
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k}"
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def first_cells(page, checkout, needed, beside=()):
    """What the notebook is made from and what it needs; and, where it needs the checkout, how that is found.

    `beside` names the packages that it imports and that only nfnumpy's tests need.

    >>> cell, = first_cells("lectures/properties.md", "..", None, ["hypothesis"])
    >>> print("".join(cell["source"]))
    *Made from [properties.md](../lectures/properties.md). Run the cells in order. They need nfnumpy and hypothesis
    installed (`python -m pip install -e ".[test]"` in nfnumpy's checkout) and nothing else.*
    """
    name = pathlib.PurePosixPath(page).name
    install = 'python -m pip install -e ".[test]"' if beside else "python -m pip install -e ."
    text = (f"*Made from [{name}]({quote(checkout)}/{page}). Run the cells in order. They need "
            f"{' and '.join(['nfnumpy', *beside])} installed (`{install}` in nfnumpy's checkout)")
    if not needed:
        yield markdown(text + " and nothing else.*")
        return
    yield markdown(text + " and the checkout itself, from which they import scripts of the lecture: if you move the "
                   "notebook, change the path in the next cell.*")
    yield code(f"""import pathlib
import sys

checkout = pathlib.Path({json.dumps(checkout)}).resolve()        # from the folder of this notebook
if not (checkout / "{pages.LECTURE}").is_dir():
    raise FileNotFoundError(f"checkout: expected the folder that holds {pages.LECTURE}, got {{checkout}}")
sys.path[:0] = [str(checkout), str(checkout / "{pages.LECTURE}")]""", [])


def parts_of(text):
    r"""``("text", Markdown)`` and ``("code", an interactive session)``, in order; other fenced blocks stay in the text.

    >>> list(parts_of("A\n```python\n>>> 1\n1\n```\nB"))
    [('text', 'A'), ('code', '>>> 1\n1'), ('text', 'B')]
    """
    kept, lines = [], text.split("\n")
    at = 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if not fence:
            kept.append(lines[at])
            at += 1
            continue
        end = lines.index("```", at + 1)
        body = lines[at + 1:end]
        if fence[1] == "python" and any(line.startswith(">>>") for line in body):
            yield "text", "\n".join(kept)
            yield "code", "\n".join(body)
            kept = []
        else:
            kept += ["$$", *body, "$$"] if fence[1] == "math" else lines[at:end + 1]
        at = end + 1
    yield "text", "\n".join(kept)


def code_cells(session):
    """Cells without prompts, each up to a value that is shown."""
    source = ""
    for example in doctest.DocTestParser().get_examples(session):
        source += re.sub(r" *# doctest:.*", "", example.source)
        if example.want:
            yield code(source.rstrip("\n"), [output(example)], [RUNS] * bool(example.exc_msg))
            source = ""
    if source:
        yield code(source.rstrip("\n"), [])


def output(example):
    """The output that the page shows, as Jupyter stores it: an error, the value of an expression, or printed text."""
    if example.exc_msg:
        name, _, message = example.exc_msg.strip().partition(": ")
        return {"output_type": "error", "ename": name, "evalue": message,
                "traceback": example.exc_msg.strip().split("\n")}
    if is_value(example.source):
        return {"output_type": "execute_result", "execution_count": None, "metadata": {},
                "data": {"text/plain": lines_of(example.want.rstrip("\n"))}}
    return {"output_type": "stream", "name": "stdout", "text": lines_of(example.want)}


def is_value(source):
    """Whether what `source` shows is its value: it is an expression, and no call of print.

    >>> is_value("1 + 1"), is_value("print(1)"), is_value("for k in x: print(k)")
    (True, False, False)
    """
    last = ast.parse(source).body[-1]
    printing = isinstance(getattr(last, "value", None), ast.Call) and getattr(last.value.func, "id", "") == "print"
    return isinstance(last, ast.Expr) and not printing


def markdown_cell(text, page, folder):
    """A cell of Markdown: links lead on from `folder`, to other notebooks where there are some; figures are inside."""
    attachments = {}

    def led(found):
        if found[3] is None or pages.is_external(found[3]):      # code, or a link to the web
            return found[0]
        path, part = pages.resolve(page, found[3])
        if found[1]:
            name = pathlib.PurePosixPath(path)
            data = base64.b64encode((pages.ROOT / path).read_bytes()).decode("ascii")
            attachments[name.name] = {f"image/{name.suffix[1:]}": data}
            return f"![{found[2]}](attachment:{name.name})"
        return f"[{found[2]}]({address(path, part, page, folder)})"

    cell = markdown(pages.LINK.sub(led, text))
    return {**cell, "attachments": attachments} if attachments else cell


def address(path, part, page, folder):
    """Where a link to a place of the checkout leads from a notebook in `folder`.

    Jupyter's anchors are the headings' words with hyphens for spaces, not GitHub's.

    >>> address("lectures/lecture02/coupling.md", "its-jacobian", "lectures/lecture02/kl.md", pages.ROOT)
    'coupling.ipynb#Its-Jacobian'
    >>> address("nfnumpy/flow.py", "L12", "lectures/lecture02/kl.md", pages.ROOT / "notebooks")
    '../nfnumpy/flow.py#L12'
    """
    if path not in pages.lecture_pages():
        return quote(relative(pages.ROOT / path, folder)) + (f"#{part}" if part else "")
    if part:
        titles = {slug: title for _, title, slug in pages.headings(path)}
        if part not in titles:
            raise ValueError(f"{page}: expected a heading of {path}, got #{part}")
        part = "#" + titles[part].replace(" ", "-")
    return ("" if path == page and part else file_name(path)) + part


def relative(path, folder):
    """The way from `folder` to `path`, with slashes; where there is none (another drive of Windows), the whole path."""
    try:
        path = os.path.relpath(path, folder)
    except ValueError:
        pass
    return pathlib.Path(path).as_posix()


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": lines_of(text)}


def code(source, outputs, tags=()):
    return {"cell_type": "code", "execution_count": None, "metadata": {"tags": list(tags)} if tags else {},
            "outputs": outputs, "source": lines_of(source)}


def lines_of(text):
    """The format's way to store text: lines with their ends."""
    return text.splitlines(keepends=True)
