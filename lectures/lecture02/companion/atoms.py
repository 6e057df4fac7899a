"""The pieces of a formula, and the spaces between them: TeX's (Knuth, The TeXbook, chapter 18), not the browser's."""
from typing import NamedTuple

from companion.latex_symbols import (BIG, CLOSING, FUNCTIONS, LETTERS, LIMITS, OPENING, OPERATIONS, ORDINARY,
                                     PUNCTUATION, RELATIONS, SPACES)

THIN, MEDIUM, THICK = "0.167em", "0.222em", "0.278em"


class Atom(NamedTuple):
    """A piece of a formula: its kind, after which spaces are chosen, and its markup.

    Kinds are TeX's: ordinary, operator (log, sum), binary, relation, open, close, punctuation; and space.
    """
    kind: str
    markup: str
    limits: bool = False                                         # scripts go below and above, not beside


def fence(sign):
    """A delimiter that grows with its neighbours."""
    return f'<mo stretchy="true" lspace="0" rspace="0">{sign}</mo>'


def sign_of(sign):
    """A delimiter of the size of a letter."""
    return f'<mo stretchy="false" lspace="0" rspace="0">{sign}</mo>'


def operator(sign):
    """A sign without space around it: `spaced` adds what belongs there."""
    return f'<mo lspace="0" rspace="0">{sign}</mo>'


BY_TOKEN = {
    **{token: Atom("ordinary", f"<mi>{sign}</mi>") for token, sign in LETTERS.items()},
    **{token: Atom("ordinary", operator(sign)) for token, sign in ORDINARY.items()},
    **{token: Atom("binary", operator(sign)) for token, sign in OPERATIONS.items()},
    **{token: Atom("relation", operator(sign)) for token, sign in RELATIONS.items()},
    **{token: Atom("punctuation", operator(sign)) for token, sign in PUNCTUATION.items()},
    **{token: Atom("open", sign_of(sign)) for token, sign in OPENING.items()},
    **{token: Atom("close", sign_of(sign)) for token, sign in CLOSING.items()},
    **{token: Atom("operator", operator(sign), token in LIMITS) for token, sign in BIG.items()},
    **{token: Atom("operator", f'<mo movablelimits="true" lspace="0" rspace="0">{token[1:]}</mo>' if token in LIMITS
                   else f"<mi>{token[1:]}</mi>", token in LIMITS) for token in FUNCTIONS},
    **{token: Atom("space", f'<mspace width="{width}"/>') for token, width in SPACES.items()},
}


def spaced(atoms, tight):
    """The markup of atoms with TeX's spaces between them. In scripts only those around operators stay.

    A sign of an operation at the start, or after another sign, is that of a number, as in -1.
    """
    before = "start"
    for atom in atoms:
        kind = atom.kind
        if kind == "binary" and before in ("start", "operator", "binary", "relation", "open", "punctuation"):
            kind = "ordinary"
        width = SPACE_BETWEEN.get((before, kind))
        if width and (width == THIN and "operator" in (before, kind) or not tight):
            yield f'<mspace width="{width}"/>'
        yield atom.markup
        if kind != "space":
            before = kind


SPACE_BETWEEN = {
    **{("operator", kind): THIN for kind in ("ordinary", "operator")},
    **{(kind, "operator"): THIN for kind in ("ordinary", "close")},
    **{("punctuation", kind): THIN for kind in ("ordinary", "operator", "open", "close", "punctuation", "relation")},
    **{(kind, "binary"): MEDIUM for kind in ("ordinary", "close")},
    **{("binary", kind): MEDIUM for kind in ("ordinary", "operator", "open")},
    **{("relation", kind): THICK for kind in ("ordinary", "operator", "open", "close")},
    **{(kind, "relation"): THICK for kind in ("ordinary", "operator", "close")},
}
