"""Which pages the companion has, in which order, and where their links lead.

A place is named by its path from the checkout's root, ``nfnumpy/flow.py``, with a part of it after a colon,
``lectures/lecture02/kl.md:questions`` or ``nfnumpy/flow.py:L12``: in the single page these names are the anchors.
"""
import pathlib
import posixpath
import re

from companion.markdown import blocks, plain, slug

ROOT = pathlib.Path(__file__).resolve().parents[3]
LECTURE = "lectures/lecture02"
BESIDE = ("lectures/properties.md", "lectures/numerics.md", "lectures/speed.md")  # pages beside the lecture's folder
LINK = re.compile(r"`+[^`]*`+|(!?)\[((?:[^\[\]`]|`[^`]*`)*)\]\(([^()\s]*)\)")


def read(path):
    """The text of a file of the checkout, by its path from the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def lecture_pages():
    """The slide map, the numbered pages in the lecture's order, the folder's others by name, and those beside it.

    >>> lecture_pages()[:3]
    ['lectures/lecture02/README.md', 'lectures/lecture02/recap.md', 'lectures/lecture02/kl.md']
    """
    paths = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / LECTURE).glob("*.md"))
    slide_map = f"{LECTURE}/README.md"
    number = {path: re.search(r"\*Page (\d+) of \d+", read(path)[:400]) for path in paths}
    numbered = sorted((path for path in paths if number[path]), key=lambda path: int(number[path].group(1)))
    others = [path for path in paths if not number[path] and path != slide_map]
    return [slide_map, *numbered, *others, *BESIDE]


def all_pages():
    """`lecture_pages`, how to teach them, and every other page that one of these links to, in the links' order."""
    pages = [*lecture_pages(), "lectures/README.md"]
    for page in pages:                                           # grows on the way
        pages += [path for path in dict.fromkeys(path for _, path, _ in links(page))
                  if path.endswith(".md") and path not in pages]
    return pages


def links(page):
    """``(is image, path, part)`` of each link of a page that leads into the checkout."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)
    for found in LINK.finditer(text):
        if found[3] is not None and not is_external(found[3]):
            yield bool(found[1]), *resolve(page, found[3])


def is_external(target):
    """Whether an address leads out of the checkout: it has a scheme, as in ``https:``."""
    return re.match(r"[a-z][a-z0-9+.-]*:", target) is not None


def resolve(page, target):
    """The path from the root, and the part of it, that `target` on `page` means. A ValueError if no file is there.

    >>> resolve("lectures/lecture02/kl.md", "../../nfnumpy/flow.py#L12"), resolve("README.md", "#how-exact")
    (('nfnumpy/flow.py', 'L12'), ('README.md', 'how-exact'))
    """
    path, _, part = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if path.startswith("../") or not (ROOT / path).is_file():
        raise ValueError(f"{page}: expected a link to a file of the checkout, got {target}")
    return path, part


def anchor(path, part=""):
    """The name of a place in the single page.

    >>> anchor("nfnumpy/flow.py", "L12")
    'nfnumpy/flow.py:L12'
    """
    return f"{path}:{part}" if part else path


def headings(page):
    """``(level, plain text, slug)`` of each heading of a page, the slugs as GitHub makes them."""
    taken = []
    for kind, content in blocks(read(page)):
        if kind == "heading":
            title = plain(content[1])
            taken.append(slug(title, taken))
            yield content[0], title, taken[-1]


def title(page):
    """The page's first heading.

    >>> title("lectures/lecture02/composition.md")
    'Composition, and what a normalizing flow is'
    """
    return next(text for _, text, _ in headings(page))
