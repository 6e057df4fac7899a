"""Python in light colours, by the standard library's tokenizer: keywords, strings, numbers, comments, definitions.

>>> coloured("x = 1  # one")
['x = <i class="n">1</i>  <i class="c"># one</i>']
"""
import io
import keyword
import re
import tokenize
from html import escape

STRINGS = {tokenize.STRING, *(getattr(tokenize, name) for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")
                              if hasattr(tokenize, name))}      # Python 3.12 takes f-strings apart


def coloured(source):
    """The lines of `source` as markup, each whole by itself. A ValueError for what is not Python."""
    lines = source.split("\n")
    marks = [[] for _ in lines]                                  # of each line: (start, end, class)
    after_def = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(source + "\n").readline):
            kind = kind_of(token, after_def)
            after_def = token.string in ("def", "class")
            if kind:
                (first, start), (last, end) = token.start, token.end
                for k in range(first - 1, last):
                    marks[k].append((start if k == first - 1 else 0, end if k == last - 1 else len(lines[k]), kind))
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(f"code: expected Python, got {lines[0]!r}: {error}") from error
    return [marked(line, spans) for line, spans in zip(lines, marks)]


def kind_of(token, after_def):
    """The class of a token, None for one without a colour."""
    if token.type == tokenize.NAME:
        return "k" if keyword.iskeyword(token.string) else "d" if after_def else None
    if token.type in STRINGS:
        return "s"
    return {tokenize.NUMBER: "n", tokenize.COMMENT: "c"}.get(token.type)


def marked(line, spans):
    """A line with some of its parts marked: ``(start, end, class)``, in order."""
    out, at = [], 0
    for start, end, kind in spans:
        start = max(start, at)                                   # Python 3.12 counts doubled braces of f-strings twice
        if end > start:
            out += [escape(line[at:start], quote=False),
                    f'<i class="{kind}">{escape(line[start:end], quote=False)}</i>']
            at = end
    return "".join(out) + escape(line[at:], quote=False)


def session(text):
    """Markup of an interactive session: prompts, coloured code, and what it prints.

    >>> print(session(">>> 1 + 1\\n2"))
    <b>&gt;&gt;&gt; </b><i class="n">1</i> + <i class="n">1</i>
    <samp>2</samp>
    """
    out, lines = [], text.split("\n")
    at = 0
    while at < len(lines):
        start = at
        if lines[at].startswith(">>>"):
            at += 1
            while at < len(lines) and re.match(r"\.\.\.( |$)", lines[at]):
                at += 1
            source = coloured("\n".join(line[4:] for line in lines[start:at]))
            out += [f"<b>{escape(line[:4])}</b>{code}" for line, code in zip(lines[start:at], source)]
        else:
            at += 1
            out.append(f"<samp>{escape(lines[start], quote=False)}</samp>" if lines[start] else "")
    return "\n".join(out)
