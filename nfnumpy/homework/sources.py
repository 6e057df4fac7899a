"""A file that was handed in, as text: encodings, line ends, notebooks; and the exercises that it belongs to."""
import dataclasses
import io
import json
import re
import tokenize

from nfnumpy.homework.templates import bound_names, headers

# hw (1), hw-1, hw copy
COPY = re.compile(r"^(.*?)(?:[ _]?\((\d+)\)|-(\d{1,2})|[ _-]copy)$", re.IGNORECASE | re.DOTALL)
MAGIC = re.compile(r"^\s*[%!?]|^.*\?\s*$")                        # lines of a notebook that are no Python


@dataclasses.dataclass
class Source:
    """Of one file: its `cells` (one for a .py file), and whether they are run `whole`; `started` is for the judge."""

    name: str
    cells: list
    whole: bool
    copy: int = 0                                                # the number in hw (1).py: the highest is the latest
    started: list = dataclasses.field(default_factory=list)
    beside: dict = dataclasses.field(default_factory=dict)       # the student's other .py files, which it may import

    @property
    def text(self):
        return "\n".join(self.cells)


class Unreadable(ValueError):
    """A file that is no source: the text says why."""


def read_source(name, data):
    """The `Source` in a .py or .ipynb file's bytes, or `Unreadable`.

    >>> read_source("hw (1).py", b"\\xef\\xbb\\xbfx = 1\\r\\n").cells, read_source("hw (1).py", b"").copy
    (['x = 1\\n'], 1)
    """
    stem, _, suffix = name.rpartition(".")
    text = decoded(data, name)
    if suffix.lower() == "ipynb":
        return Source(name, code_cells(text, name), False, clean_stem(stem)[1])
    return Source(name, [text], True, clean_stem(stem)[1])


def decoded(data, name):
    """Text of bytes in the encoding that they say they are in, with plain line ends."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except SyntaxError:
            encoding = "latin-1"
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        text = data.decode("latin-1")
    if "\0" in text:
        raise Unreadable(f"{name} is not a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def code_cells(text, name):
    """The code cells of a notebook, in order, without its own commands (%matplotlib, !pip)."""
    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        sources = ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable(f"{name} is not a notebook of format 4") from error
    def plain(line):
        return "" if MAGIC.match(line) and not line.lstrip().startswith("#") else line

    return ["" if source.lstrip().startswith("%%") else "\n".join(map(plain, source.split("\n"))) for source in sources]


def clean_stem(stem):
    """A file's name without the marks of copies, and their number.

    >>> clean_stem("gaussian_ar (2)"), clean_stem("gaussian_ar-1"), clean_stem("a_copy")
    (('gaussian_ar', 2), ('gaussian_ar', 1), ('a', 1))
    """
    match = COPY.match(stem)
    return (match[1], int(match[2] or match[3] or 1)) if match else (stem, 0)


def exercises_of(source, exercises):
    """The exercises that a source belongs to, and how sure that is: by its first lines, its name, or what it defines.
    """
    marked = [slug for slug, *_ in headers(source.text) if slug in exercises]
    if marked:
        return list(dict.fromkeys(marked)), 2
    stem = clean_stem(source.name.rpartition(".")[0])[0]
    if stem in exercises:
        return [stem], 1
    names = set()
    for cell in source.cells:
        found = bound_names(cell)
        names |= set(re.findall(r"^(?:def|class) (\w+)", cell, re.MULTILINE) if found is None else found)
    return [slug for slug, exercise in exercises.items() if names & set(exercise.parts)], 0


def assign(sources, exercises):
    """``{exercise: source}`` and remarks, from all the sources of one submission: of several for one exercise the
    latest.
    """
    best, remarks = {}, []
    for source in sorted(sources, key=lambda source: source.name):
        slugs, sure = exercises_of(source, exercises)
        if not slugs:
            remarks.append(f"{source.name} belongs to no exercise of the pack")
        for slug in slugs:
            best.setdefault(slug, []).append((sure, source.copy, source.name, source))
    for slug, found in best.items():
        found.sort(key=lambda entry: entry[:3])
        if len(found) > 1:
            others = ", ".join(entry[2] for entry in found[:-1])
            remarks.append(f"{slug} is there more than once: {found[-1][2]} was graded, not {others}")
    return {slug: found[-1][3] for slug, found in best.items()}, remarks
