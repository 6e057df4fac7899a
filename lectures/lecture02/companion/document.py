"""The whole companion as one page of HTML that needs nothing else: no network, no other file.

    python -m lectures.lecture02 html companion.html

Pages, figures, players, and every source file that a page links to stand in it; each link inside the checkout becomes
an anchor. Links to papers and other projects stay links, since nothing is fetched before a reader clicks. `check` looks
at the result once more, and the browser is told to fetch nothing (Content-Security-Policy).
"""
import base64
import collections
import io
import pathlib
import re
from html import escape

from PIL import Image

from companion import pages
from companion.alone import check
from companion.animations import stepping, training, warping
from companion.markdown import Writer, slug, to_html
from companion.player import player
from companion.python_code import coloured, session

HERE = pathlib.Path(__file__).parent
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'"
PICTURES = {".png": "image/png", ".gif": "image/gif"}
PLAYERS = [
    ("stepping", stepping, "A flow, step by step",
     "Two moons on their way to noise in four steps, each point coloured by the log-determinant so far",
     "Forward is f, from data to noise; backward is g, from noise to data. A point's colour is the log-determinant of "
     "the steps behind it. Between two stops the points go along straight lines, which is the film's doing, not the "
     "flow's. A few points leave the picture on their way."),
    ("warping", warping, "A grid and its volume",
     "A disc of noise with grid lines as the flow bends it into two moons, coloured by the log-determinant",
     "Each frame is a flow: the trained parameters times t. Where a cell shrinks, the log-determinant of g is negative "
     "and the density high. At the end little noise is left for the gap between the moons: there the cells are large."),
    ("training", training, "A flow in training",
     "Left the learned density, right its samples over the data, from the first step of a training to the last",
     "The same flow as it learns, by maximum likelihood. The noise behind the samples stays the same, so that each "
     "point can be followed. The steps between two frames grow: most happens early."),
]


class PageWriter(Writer):
    """Links become anchors, pictures data, headings get GitHub's anchors, Python its colours."""

    def __init__(self, page, shown):
        self.page, self.shown, self.taken = page, shown, []      # `shown`: pictures that have their anchor already

    def link(self, target, text):
        if pages.is_external(target):
            return f'<a href="{escape(target)}" rel="noreferrer">{text}</a>'
        return f'<a href="#{escape(pages.anchor(*pages.resolve(self.page, target)))}">{text}</a>'

    def image(self, target, alt):
        path, _ = pages.resolve(self.page, target)
        name = "" if path in self.shown else f' id="{escape(path)}"'
        self.shown.add(path)
        return picture(path, alt, name)

    def heading(self, level, title, markup):
        self.taken.append(slug(title, self.taken))
        place = escape(pages.anchor(self.page, self.taken[-1]))
        return f'<h{level + 1} id="{place}">{markup}</h{level + 1}>'

    def code(self, language, text):
        if language == "python":
            markup = session(text.strip("\n")) if ">>>" in text else "\n".join(coloured(text))
        else:
            markup = escape(text, quote=False)
        return f"<pre><code>{markup}</code></pre>"


def document(players=True, frames=25, steps=1500):
    """The page's text.

    Arguments: whether to draw the `players`, and how many `frames` of each, of a flow trained for so many `steps`. A
    ValueError names the page and what on it is not understood, or what `check` finds.
    """
    names, shown = pages.all_pages(), set()
    lecture = pages.lecture_pages()
    articles = [article(name, shown) for name in names]
    missing = sorted({path for name in names for _, path, _ in pages.links(name) if is_picture(path)} - shown)
    if missing:
        raise ValueError(f"expected each figure that is linked to be shown on a page, got only links to {missing[0]}")
    if players:
        articles.insert(1, player_article(frames, steps))
    return check(PAGE.format(
        policy=POLICY, style=(HERE / "style.css").read_text(encoding="utf-8"),
        keys=(HERE / "keys.js").read_text(encoding="utf-8"), contents=contents(names, lecture, players),
        articles="\n".join(articles), sources=sources(names)))


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Normalizing flows: the companion of the lecture</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#text">To the text</a>
<nav id="contents" aria-label="Contents">
{contents}
</nav>
<main id="text">
<h1>Normalizing flows: the companion of the lecture</h1>
{articles}
{sources}
</main>
<a class="up" href="#contents">Contents</a>
<script>
{keys}</script>
</body>
</html>
"""


def contents(names, lecture, players):
    """The table of contents."""
    def entry(name):
        return f'<li><a href="#{escape(name)}">{escape(pages.title(name))}</a></li>'

    numbered = [name for name in lecture if re.search(r"\*Page \d+ of", pages.read(name)[:400])]
    beside = [name for name in names if name not in numbered and name != names[0]]
    watch = '<li><a href="#players">To watch: three players</a></li>' if players else ""
    return (f"<ul>{entry(names[0])}{watch}</ul><p>The lecture</p><ol>{''.join(map(entry, numbered))}</ol>"
            f"<p>Beside it</p><ul>{''.join(map(entry, beside))}"
            '<li><a href="#sources">The sources that the pages link to</a></li></ul>')


def article(name, shown):
    """A page, with links to its sections under its title."""
    try:
        body = to_html(pages.read(name), PageWriter(name, shown))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    sections = [f'<a href="#{escape(pages.anchor(name, part))}">{escape(title)}</a>'
                for level, title, part in pages.headings(name) if level == 2]
    if sections:
        head, rest = body.split("</h2>", 1)
        body = f'{head}</h2><p class="sections">{" · ".join(sections)}</p>{rest}'
    return f'<article id="{escape(name)}">\n{body}\n</article>'


def player_article(frames, steps):
    """The players, each with what to look at."""
    figures = ""
    for name, draw, title, alt, text in PLAYERS:
        shared, markup = player(draw(frames, steps), name, alt)
        figures += f"<h3>{title}</h3>\n<figure>{markup}<figcaption>{text}</figcaption></figure>\n"
    return f"""<article id="players">
<h2>To watch: three players</h2>
<p>One small flow in the plane, four Gaussian autoregressive layers on two moons. A player that has the focus listens
to keys: left and right arrow step, space plays and stops, Home and End go to the first and last frame. They play once,
when asked to. The code: <a href="#lectures/lecture02/companion/animations.py">animations.py</a>.</p>
<noscript><p>The players need JavaScript; without it each shows its first frame.</p></noscript>
{shared}
{figures}</article>"""


def is_picture(path):
    return pathlib.PurePosixPath(path).suffix in PICTURES


def picture(path, alt, name=""):
    """An image with its bytes inside. A film stands still, at its first frame, for those who asked for less motion."""
    data = (pages.ROOT / path).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        first = io.BytesIO()
        if path.endswith(".gif"):
            image.convert("RGB").quantize(128).save(first, "PNG")
    markup = (f'<img{name} src="{as_data(data, PICTURES[pathlib.PurePosixPath(path).suffix])}" alt="{escape(alt)}" '
              f'width="{width}" height="{height}">')
    if first.getvalue():
        return ('<picture><source media="(prefers-reduced-motion: reduce)" '
                f'srcset="{as_data(first.getvalue(), "image/png")}">{markup}</picture>')
    return markup


def as_data(data, kind):
    """Bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def sources(names):
    """Every file that a page links to, folded up; lines that are linked to have anchors of their own."""
    wanted = collections.defaultdict(set, {"lectures/lecture02/companion/animations.py": set()})
    for name in names:
        for _, path, part in pages.links(name):
            if not path.endswith(".md") and not is_picture(path):
                wanted[path] |= {part} - {""}
    folded = "\n".join(source(path, parts) for path, parts in sorted(wanted.items()))
    return f'<section id="sources">\n<h2>The sources that the pages link to</h2>\n{folded}\n</section>'


def source(path, parts):
    """One file. The anchor is inside what is folded, so that browsers open it on the way there."""
    text = pages.read(path).rstrip("\n")
    lines = coloured(text) if path.endswith(".py") else [escape(line, quote=False) for line in text.split("\n")]
    for part in parts:
        if not re.fullmatch(r"L\d+", part) or int(part[1:]) > len(lines):
            raise ValueError(f"expected a line of {path}, got #{part}")
        k = int(part[1:]) - 1
        lines[k] = f'<span id="{escape(pages.anchor(path, part))}">{lines[k]}</span>'
    return (f"<details><summary>{escape(path)}, {len(lines)} lines</summary>"
            f'<pre id="{escape(path)}"><code>' + "\n".join(lines) + "</code></pre></details>")
