"""The LaTeX of the pages as MathML, which browsers draw by themselves, without a network.

A subset: what the pages use, in `latex_symbols.py` and below. Anything else is an error: no formula is half there.

>>> mathml("x^2")
'<math><msup><mi>x</mi><mn>2</mn></msup></math>'
"""
import re
from html import escape

from companion.atoms import BY_TOKEN, Atom, fence, spaced
from companion.latex_symbols import ACCENTS, CLOSING, DOUBLE_STRUCK, OPENING, SCRIPT

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.S)
DIGITS = set("0123456789")


def mathml(formula, display=False):
    r"""MathML of a formula without its dollar signs; `display` for one on a line of its own.

    A ValueError names the formula and the first thing in it that is not of the subset.

    >>> mathml(r"\log p")
    '<math><mi>log</mi><mspace width="0.167em"/><mi>p</mi></math>'
    >>> mathml(r"\foo x")
    Traceback (most recent call last):
        ...
    ValueError: formula \foo x: \foo is not of the LaTeX that the pages use (companion/latex_symbols.py)
    """
    body = Parser(formula).row(until=(None,), tight=False)
    return f'<math display="block">{body}</math>' if display else f"<math>{body}</math>"


class Parser:
    """Reads a formula from left to right, an atom at a time."""

    def __init__(self, formula):
        self.formula = formula
        self.tokens = TOKEN.findall(formula)
        self.at = 0

    # Tokens

    def error(self, what):
        return ValueError(f"formula {' '.join(self.formula.split())}: {what}")

    def peek(self):
        """The next token that is not white space; None at the end."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        token = self.peek()
        self.at += token is not None
        return token

    def expect(self, wanted):
        token = self.take()
        if token != wanted:
            raise self.error(f"expected {wanted}, got {token or 'the end'}")

    def raw(self):
        """The text between braces, as it stands: of \\text, \\mathrm, \\begin."""
        self.expect("{")
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            if self.tokens[self.at][0] in "\\{$":
                raise self.error(f"expected plain text between braces, got {self.tokens[self.at]}")
            self.at += 1
        text = "".join(self.tokens[start:self.at])
        self.expect("}")
        return text

    # Structure

    def row(self, until, tight):
        """The markup of all atoms up to a token of `until`, which is left; `tight` in scripts, which have no spaces."""
        atoms = []
        while self.peek() not in until:
            atoms.append(self.scripted(tight))
        return "".join(spaced(atoms, tight))

    def group(self, tight):
        """One argument: what stands in braces, or the next atom; always a single element."""
        if self.peek() != "{":
            return self.atom(tight, digits=1).markup
        self.take()
        markup = self.row(("}", None), tight)
        self.expect("}")
        return f"<mrow>{markup}</mrow>"

    def scripted(self, tight):
        """An atom with its primes, subscript and superscript."""
        base, sub, sup, primes = self.atom(tight), "", "", ""
        while self.peek() in ("_", "^", "'"):
            token = self.take()
            if token == "'":
                primes += "′"
            elif (sub if token == "_" else sup):
                raise self.error(f"two {token} after one atom")
            elif token == "_":
                sub = self.group(tight=True)
            else:
                sup = self.group(tight=True)
        if primes:
            sup = f"<mrow><mo>{primes}</mo>{sup}</mrow>" if sup else f"<mo>{primes}</mo>"
        if not (sub or sup):
            return base
        if base.kind == "space":
            raise self.error("a script without an atom before it")
        under, over = ("munder", "mover") if base.limits else ("msub", "msup")
        name = under + over[1:] if sub and sup else under if sub else over
        return base._replace(markup=f"<{name}>{base.markup}{sub}{sup}</{name}>", limits=False)

    def atom(self, tight, digits=None):
        """The next atom without its scripts; `digits` limits how many of them make a number, as in \\frac12."""
        token = self.take()
        if token is None:
            raise self.error("an argument is missing at the end")
        if token in DIGITS:
            return Atom("ordinary", f"<mn>{token}{self.more_digits() if digits is None else ''}</mn>")
        if token.isalpha() and token.isascii():
            return Atom("ordinary", f"<mi>{token}</mi>")
        if token == "{":
            self.at -= 1
            return Atom("ordinary", self.group(tight))
        if token in BY_TOKEN:
            return BY_TOKEN[token]
        if token in COMMANDS:
            return COMMANDS[token](self, tight)
        raise self.error(f"{token} is not of the LaTeX that the pages use (companion/latex_symbols.py)")

    def more_digits(self):
        start = self.at
        while self.at < len(self.tokens) and (self.tokens[self.at] in DIGITS or self.decimal_point()):
            self.at += 1
        return "".join(self.tokens[start:self.at])

    def decimal_point(self):
        return self.tokens[self.at] == "." and not DIGITS.isdisjoint(self.tokens[self.at + 1:self.at + 2])

    # Commands with arguments

    def fraction(self, tight):
        over, under = self.group(tight), self.group(tight)
        return Atom("ordinary", f"<mfrac>{over}{under}</mfrac>")

    def small_fraction(self, tight):
        return Atom("ordinary", f'<mstyle displaystyle="false">{self.fraction(tight).markup}</mstyle>')

    def root(self, tight):
        return Atom("ordinary", f"<msqrt>{self.group(tight)}</msqrt>")

    def upright(self, tight):
        text = escape(self.raw())
        variant = ' mathvariant="normal"' if len(text) == 1 else ""      # one letter would be slanted
        return Atom("operator" if self.peek() == "(" else "ordinary", f"<mi{variant}>{text}</mi>")

    def words(self, tight):
        return Atom("ordinary", f"<mtext>{escape(self.raw())}</mtext>")

    def alphabet(self, letters):
        letter = self.raw()
        if letter not in letters:
            raise self.error(f"expected one of {' '.join(letters)} in this alphabet, got {letter}")
        return Atom("ordinary", f"<mi>{letters[letter]}</mi>")

    def stretched(self, tight):
        """\\left, what is between, \\right: both delimiters as tall as what is between."""
        left = self.delimiter(OPENING, CLOSING)
        markup = self.row(("\\right", None), tight)
        self.expect("\\right")
        return Atom("ordinary", f"<mrow>{fence(left)}{markup}{fence(self.delimiter(CLOSING, OPENING))}</mrow>")

    def delimiter(self, *tables):
        token = self.take()
        for table in tables:
            if token in table:
                return table[token]
        raise self.error(f"expected a delimiter, got {token or 'the end'}")

    def larger(self, table, kind):
        sign = self.delimiter(table)
        return Atom(kind, f'<mo stretchy="true" minsize="1.2em" maxsize="1.2em" lspace="0" rspace="0">{sign}</mo>')

    def environment(self, tight):
        name = self.raw()
        if name not in ("pmatrix", "aligned"):
            raise self.error(f"expected pmatrix or aligned, got {name}")
        rows, cells = [], []
        while True:
            cells.append(f"<mtd>{self.row(('&', chr(92) * 2, chr(92) + 'end', None), tight)}</mtd>")
            ends = self.take()
            if ends != "&":
                rows.append(f"<mtr>{''.join(cells)}</mtr>")
                cells = []
            if ends is None:
                raise self.error(f"\\begin{{{name}}} has no \\end")
            if ends == "\\end":
                break
        ended = self.raw()
        if ended != name:
            raise self.error(f"\\begin{{{name}}} ends as {ended}")
        if name == "aligned":
            return Atom("ordinary", f'<mtable class="aligned" displaystyle="true">{"".join(rows)}</mtable>')
        return Atom("ordinary", f"<mrow>{fence('(')}<mtable>{''.join(rows)}</mtable>{fence(')')}</mrow>")


def accented(sign):
    def accent(parser, tight):
        base = parser.group(tight)
        return Atom("ordinary", f'<mover accent="true">{base}<mo stretchy="false">{sign}</mo></mover>')
    return accent


COMMANDS = {
    "\\frac": Parser.fraction, "\\tfrac": Parser.small_fraction, "\\sqrt": Parser.root, "\\mathrm": Parser.upright,
    "\\text": Parser.words, "\\left": Parser.stretched, "\\begin": Parser.environment,
    "\\mathcal": lambda parser, tight: parser.alphabet(SCRIPT),
    "\\mathbb": lambda parser, tight: parser.alphabet(DOUBLE_STRUCK),
    "\\bigl": lambda parser, tight: parser.larger(OPENING, "open"),
    "\\bigr": lambda parser, tight: parser.larger(CLOSING, "close"),
    **{token: accented(sign) for token, sign in ACCENTS.items()},
}
