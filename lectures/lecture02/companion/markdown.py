"""The Markdown of the pages as HTML: the subset that they use, read block by block and span by span.

Blocks: headings, paragraphs, quotations, figures, lists, tables, fenced and indented code, displayed mathematics.
Spans: emphasis, code, mathematics, links, images, escapes, ``<br>`` and ``<sub>``. What is not understood is an error
that shows the line, so that nothing comes out half converted. What a link or a block of code becomes, a `Writer` says.

>>> to_html("Two *words*, and $x_1$")
'<p>Two <em>words</em>, and <math><msub><mi>x</mi><mn>1</mn></msub></math></p>'
"""
import re
from html import escape

from companion.mathml import mathml

HEADING = re.compile(r"(#{1,4}) (.*)")
FENCE = re.compile(r"```(\w*)$")
ITEM = re.compile(r"(- |(\d+)\. )(.*)")
RULE = re.compile(r"\|( *:?-+:? *\|)+$")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)\)$")
NUMBERS = re.compile(r"N(?: (?:±|\+-|-|to) N)?(?: U)?(?: \(N U\))?".replace("U", "[mµ]?s").replace(
    "N", r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?"))                      # as in -1.5 ± 0.1, 1e-05, 43 to 46 s, 1.5 (8.4 ms)
INTERRUPTS = re.compile(r"- |1\. |[>|]")                         # elsewhere such a line ends the paragraph before it
STRANGE = re.compile(r"[~=+]|\* |[-_*]{3}|\[[^\]]*\]:|    |\t|<(?!br>|sub>)|(```|#)")


class Writer:
    """What the places make of links, images, headings and code; override what is to be different."""

    def link(self, target, text):
        """An address and the markup of its text."""
        return f'<a href="{escape(target)}">{text}</a>'

    def image(self, target, alt):
        """An address and the text in its place, plain."""
        return f'<img src="{escape(target)}" alt="{escape(alt)}">'

    def heading(self, level, title, markup):
        """A heading: its level from 1, its plain text and its markup."""
        return f"<h{level}>{markup}</h{level}>"

    def code(self, language, text):
        """A block of code; the language is empty where the page does not say one."""
        return f"<pre><code>{escape(text)}</code></pre>"


def to_html(text, writer=None):
    """HTML of a page's Markdown. A ValueError shows a line that is not understood."""
    writer = writer or Writer()
    return "\n".join(block_html(kind, content, writer) for kind, content in blocks(text))


def blocks(text):
    r"""The blocks of a page: pairs of a kind and its content.

    ``("heading", (level, text))``, ``("code", (language, text))``, ``("math", text)``, ``("figure", (alt, target))``,
    ``("list", (first number or None, items))``, ``("table", rows of cells)``, ``("quote", text)``,
    ``("paragraph", text)``.

    >>> list(blocks("# A\n\n- b\n- c\n  d\n"))
    [('heading', (1, 'A')), ('list', (None, ['b', 'c\nd']))]
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        if not line:
            at += 1
        elif FENCE.match(line):
            language, start = FENCE.match(line).group(1), at + 1
            at = next((k for k in range(start, len(lines)) if lines[k].rstrip() == "```"), None)
            if at is None:
                raise ValueError(f"a block of code without an end: {line}")
            body = "\n".join(lines[start:at])
            yield ("math", body) if language == "math" else ("code", (language, body))
            at += 1
        elif line.startswith("    "):
            start = at
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            yield "code", ("", "\n".join(row[4:] for row in lines[start:at]).rstrip())
        elif HEADING.fullmatch(line):
            yield "heading", (len(HEADING.fullmatch(line).group(1)), HEADING.fullmatch(line).group(2))
            at += 1
        else:
            start = at
            while at < len(lines) and lines[at].strip() and (at == start or not FENCE.match(lines[at])):
                at += 1
            yield chunk([row.rstrip() for row in lines[start:at]])


def chunk(lines):
    """The block that these lines between blank ones are: a table, a list, a figure or a paragraph."""
    if lines[0].startswith("|"):
        if len(lines) < 2 or not RULE.match(lines[1]):
            raise ValueError(f"a table without its line of dashes: {lines[0]}")
        rows = [cells_of(line) for line in [lines[0], *lines[2:]]]
        if {len(row) for row in rows} != {len(cells_of(lines[1]))}:
            raise ValueError(f"a table whose rows have different numbers of cells: {lines[0]}")
        return "table", rows
    if ITEM.match(lines[0]):
        return "list", items_of(lines)
    if all(line.startswith("> ") for line in lines):
        return "quote", "\n".join(line[2:] for line in lines)
    for line in lines:
        if STRANGE.match(line) or INTERRUPTS.match(line):
            raise ValueError(f"a line that is not of the Markdown that the pages use: {line}")
    if len(lines) == 1 and IMAGE.match(lines[0]):
        return "figure", IMAGE.match(lines[0]).groups()
    return "paragraph", "\n".join(lines)


def cells_of(line):
    r"""The cells of a row; a bar after a backslash is one of the text, in code too.

    >>> cells_of(r"| a | `b` | $\lvert c \rvert$ |")
    ['a', '`b`', '$\\lvert c \\rvert$']
    """
    if not line.startswith("|") or not line.endswith("|") or line.endswith("\\|") or len(line) < 2:
        raise ValueError(f"expected a row of a table between bars: {line}")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line[1:-1])]


def items_of(lines):
    """``(first number or None, items)``; an item's later lines are indented under its text."""
    first = ITEM.match(lines[0])
    number, items = first.group(2), []
    for line in lines:
        item = ITEM.match(line)
        if item and bool(item.group(2)) == bool(number):
            indent = len(item.group(1))
            items.append(item.group(3))
        elif line[:indent].isspace() and not (ITEM.match(line[indent:]) or STRANGE.match(line[indent:])):
            items[-1] += "\n" + line[indent:]
        else:
            raise ValueError(f"expected another item of the list, or a line indented by {indent}: {line}")
    return (int(number) if number else None), items


def block_html(kind, content, writer):
    """The markup of one block."""
    if kind == "heading":
        level, text = content
        return writer.heading(level, plain(text), inline(text, writer))
    if kind == "code":
        return writer.code(*content)
    if kind == "math":
        return f'<div class="display">{mathml(content, display=True)}</div>'
    if kind == "figure":
        alt, target = content
        return f"<figure>{writer.image(target, alt)}</figure>"
    if kind == "list":
        number, items = content
        name, start = ("ul", "") if number is None else ("ol", f' start="{number}"' if number != 1 else "")
        return f"<{name}{start}>{''.join(f'<li>{inline(item, writer)}</li>' for item in items)}</{name}>"
    if kind == "quote":
        return f"<blockquote>{to_html(content, writer)}</blockquote>"
    if kind == "table":
        head, *body = content
        head = "".join(f'<th scope="col">{inline(cell, writer)}</th>' for cell in head)
        body = "".join(f"<tr>{''.join(cell_html(cell, writer) for cell in row)}</tr>" for row in body)
        return (f'<div class="table"><table><thead><tr>{head}</tr></thead>'
                f"<tbody>{body}</tbody></table></div>")
    return f"<p>{inline(content, writer)}</p>"


def cell_html(text, writer):
    """A cell of a table's body: numbers are held on one line, and long names in code may break within.

    >>> cell_html("-1.494 ± 0.007", Writer()), cell_html("`GaussianAutoregressive`", Writer())
    ('<td class="number">-1.494 ± 0.007</td>', '<td><code>Gaussian<wbr>Autoregressive</code></td>')
    """
    if NUMBERS.fullmatch(text):
        return f'<td class="number">{inline(text, writer)}</td>'
    markup = re.sub("<code>.*?</code>", lambda found: re.sub("(?<=[a-z]{5})(?=[A-Z][a-z]{4})", "<wbr>", found[0]),
                    inline(text, writer))
    return f"<td>{markup}</td>"


SPAN = re.compile(r"""
    (?P<code>(?P<ticks>`+)(?P<source>.+?)(?<!`)(?P=ticks)(?!`))
  | \$(?P<math>[^$]+)\$
  | (?P<image>!?)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]*)\)
  | \*\*(?=\S)(?P<strong>(?:[^*`]|`[^`]*`|\*(?!\*)(?:[^*`]|`[^`]*`)+\*(?!\*))+?)(?<=\S)\*\*
  | \*(?=[^\s*])(?P<em>(?:[^*`]|`[^`]*`)+?)(?<=\S)\*
  | \\(?P<escaped>[!-/:-@\[-`{-~])
  | (?P<entity>&nbsp;|<br>|</?sub>)
  | (?P<plain>(?:[^`$!\[\]*\\<>&_]|(?<=\w)_+(?=\w))+|&(?!\#?\w)|!(?!\[)|(?<=\s)\*(?=\s)|\](?![(\[])|[\[>])
""", re.X | re.S)


def inline(text, writer=None):
    """The markup of a line's spans. A ValueError shows what is left where nothing fits.

    A formula and the punctuation after it are held together in one span, since browsers break lines between the two.

    >>> inline("`a < b` and **not** [c](d.md)")
    '<code>a &lt; b</code> and <strong>not</strong> <a href="d.md">c</a>'
    >>> inline("an * open star")
    'an * open star'
    >>> inline("an *open star")
    Traceback (most recent call last):
        ...
    ValueError: not of the Markdown that the pages use, from here on: *open star
    """
    writer, out, at = writer or Writer(), [], 0
    while at < len(text):
        found = SPAN.match(text, at)
        if not found:
            raise ValueError(f"not of the Markdown that the pages use, from here on: {text[at:at + 60]}")
        out.append(span_html(found, writer))
        at = found.end()
    markup = re.sub(r"(<math>(?:(?!</math>).)*</math>)([.,;:?!)]+)", r'<span class="held">\1\2</span>', "".join(out))
    if markup.count("<sub>") != markup.count("</sub>") or re.search(r"<sub>((?!</sub>).)*<sub>", markup, re.S):
        raise ValueError(f"expected </sub> after each <sub>: {text[:60]}")
    return markup


def span_html(found, writer):
    kind = found.lastgroup
    if found["code"]:
        source = found["source"].replace("\n", " ")
        if source[0] == source[-1] == " " and source.strip():
            source = source[1:-1]                                # the room that code with a backtick needs
        return f"<code>{breakable(escape(source, quote=False))}</code>"
    if found["math"]:
        return mathml(found["math"])
    if found["target"] is not None:
        if found["image"]:
            return writer.image(found["target"], found["text"])
        return writer.link(found["target"], inline(found["text"], writer))
    if kind in ("strong", "em"):
        return f"<{kind}>{inline(found[kind], writer)}</{kind}>"
    if found["escaped"]:
        return escape(found["escaped"])
    return found["entity"] or breakable(escape(found["plain"], quote=False))


def breakable(markup):
    """Long names may break after an underscore or a point between words, not after that of x_1 or of a number.

    >>> breakable("kl_directions of x_1, 98.751")
    'kl_<wbr>directions of x_1, 98.751'
    """
    return re.sub(r"(?<=[^\W_]{2})([._])(?!\d)(?=[^\W_]{3})", r"\1<wbr>", markup)


def plain(text):
    """The words of a heading without their markup, for its anchor and for tables of contents.

    >>> plain("Careful: `J_f` is *W*, not $x$ [there](a.md)")
    'Careful: J_f is W, not x there'
    """
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[`*$]|\\(?=[!-/:-@\[-`{-~])", "", text)


def slug(title, taken=()):
    """The anchor that GitHub gives to a heading of this plain text; one that is `taken` gets a number.

    >>> slug("What the determinant costs: not m!"), slug("LU", {"lu"})
    ('what-the-determinant-costs-not-m', 'lu-1')
    """
    name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return next(name for name in [name, *(f"{name}-{k}" for k in range(1, len(taken) + 2))] if name not in taken)
