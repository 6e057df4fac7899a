"""Checks of `causal_masks`: the reference is the taps of the library's causal convolutions."""
from types import SimpleNamespace

import numpy as np

from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, as_array, fitted, shapes
from nfnumpy.nets.causal import raster_taps

READ = 'slide "Recap of previous lecture", the box "Autoregressive CNN"'
BACKWARDS, BY_COLUMNS = 1, 2                                     # variants: from the last pixel on; column by column


def cases(rng, variant):
    """All sizes that are used, the smallest first, and one more; there is nothing to draw."""
    for k in (3, 1, 5):
        yield Case({"k": k}, k=k)
    yield Case(k=7)


def reference(case, variant):
    """1 at the taps that come before the centre in raster order, turned as the variant wants it."""
    def mask(k, kind):
        mask = np.zeros((k, k))
        for dy, dx in raster_taps(k, kind):
            mask[dy + k // 2, dx + k // 2] = 1
        return {BACKWARDS: mask[::-1, ::-1], BY_COLUMNS: mask.T}.get(variant, mask)

    return SimpleNamespace(causal_mask=mask)


def suspects_of(kind, expected):
    r = len(expected) // 2
    rows, columns = np.indices(expected.shape) - r
    return [(1 - expected, "It is 1 where it must be 0: which pixels come before?"),
            ((rows < 0) * 1.0 + ((rows == 0) & (columns == 0)) * (kind == "B"),
             "What is earlier in the same row?"),
            ((rows <= 0) * 1.0, "The whole row of the pixel: is what comes to the right of it earlier?"),
            (np.tril(np.ones_like(expected), 0 if kind == "B" else -1),
             "A triangle: that is a mask for a vector. Where in the image does the kernel look with mask[0, 2]?"),
            ((rows <= 0) & (columns <= 0), "Is nothing to the right of the pixel earlier than it?"),
            ((rows <= 0) & (columns <= 0) & ((kind == "B") | (rows != 0) | (columns != 0)),
             "Is nothing to the right of the pixel earlier than it?")]


def has_values(kind):
    """Property: the mask of that type is 1 where it must be."""
    call = Call(lambda answers, case, k: answers.causal_mask(k, kind), ["mask"], argument="k", shows=["k"])

    def check(answers, case, reference):
        expected = reference.causal_mask(case.k, kind)
        got = fitted(call(answers, case)["mask"], expected, "mask")
        if np.array_equal(got, expected):
            return
        a, b = (int(i) for i in np.argwhere(got != expected)[0])
        questions = [question for suspect, question in suspects_of(kind, expected) if np.array_equal(got, suspect)]
        middle = "" if (a, b) != (case.k // 2,) * 2 else "Only the middle? It is what tells A from B."
        raise Fail(f'type "{kind}", k = {case.k}: expected mask[{a}, {b}] = {expected[a, b]:g}, got {got[a, b]:g}',
                   questions[0] if questions else middle)
    return Property(f"the mask of type {kind}", check, share=2, read=READ, shows=["k"])


def middle_apart(answers, case, reference):
    """A and B have the same numbers but for the middle."""
    masks = [as_array(answers.causal_mask(case.k, kind), "mask") for kind in "AB"]
    expected = np.zeros((case.k, case.k))
    expected[case.k // 2, case.k // 2] = 1
    if not np.array_equal(fitted(masks[1], expected, "mask") - fitted(masks[0], expected, "mask"), expected):
        raise Fail("B - A is not 1 in the middle and 0 elsewhere", "What does a pixel of a higher layer know?")


def no_way_back(answers, case, reference):
    """An A and a B above it: of two pixels, one never sees the other and is seen by it; none sees itself."""
    size = case.k + 2
    seen = np.eye(size * size, dtype=bool)
    for kind in "AB":
        mask = fitted(as_array(answers.causal_mask(case.k, kind), "mask"), np.zeros((case.k, case.k)), "mask")
        seen = connections(mask, size) @ seen
    if seen.diagonal().any():
        raise Fail('a layer of type "B" above one of type "A": some pixel sees itself',
                   "A pixel sees itself: through which of the two layers?")
    if (seen & seen.T).any():
        raise Fail('a layer of type "B" above one of type "A": two pixels see each other',
                   "Two pixels see each other: which of them comes first?")


def connections(mask, size):
    """``C[p, q]``: whether output pixel p sees input pixel q, numbered row by row."""
    r, C = len(mask) // 2, np.zeros((size,) * 4, dtype=bool)
    for a, b in np.argwhere(mask != 0):
        for i in range(max(0, r - a), min(size, size + r - a)):
            for j in range(max(0, r - b), min(size, size + r - b)):
                C[i, j, i + a - r, j + b - r] = True
    return C.reshape(size * size, size * size)


SHAPES = [Call(lambda answers, case, k, kind=kind: answers.causal_mask(k, kind), ["mask"], argument="k", shows=["k"])
          for kind in "AB"]

ANSWER = '''
import numpy as np


def causal_mask(k, kind):
    r = k // 2
    mask = np.zeros((k, k))
    mask[:r] = 1
    mask[r, :r] = 1
    if kind == "B":
        mask[r, r] = 1
    return mask
'''

A, B = "the mask of type A", "the mask of type B"
EXERCISE = Exercise(
    title="Causal masks", slide="Autoregressive CNN", minutes=15, cases=cases, reference=reference, answer=ANSWER,
    parts={"causal_mask": [
        has_values("A"), has_values("B"),
        Property("A and B differ in the middle", middle_apart, share=0.5, alone=False, read=READ, shows=["k"]),
        Property("no pixel sees itself or a later one", no_way_back, share=0.5, alone=False, read=READ, shows=["k"]),
        shapes(SHAPES[0], "type A: right shape, finite", share=0.25),
        shapes(SHAPES[1], "type B: right shape, finite", share=0.25)]},
    right={
        "counted through": "import numpy as np\n\n\ndef causal_mask(k, kind):\n"
                           "    before = np.arange(k * k) < k * k // 2 + (kind == 'B')\n"
                           "    return before.reshape(k, k)\n",
        "pairs compared, as lists": "def causal_mask(k, kind):\n    r = k // 2\n"
                                    "    return [[int((a, b) < (r, r) or (kind == 'B' and a == b == r)) "
                                    "for b in range(k)] for a in range(k)]\n"},
    wrong=[
        Wrong("B for A", {'if kind == "B":\n        mask[r, r] = 1': "mask[r, r] = 1"}, "causal_mask", A, asks="middle",
              credit=0.6),
        Wrong("A for B", {'mask[r, r] = 1': "mask[r, r] = 0"}, "causal_mask", B, asks="middle", credit=0.6),
        Wrong("A and B exchanged", {'kind == "B"': 'kind == "A"'}, "causal_mask", "A and B differ in the middle",
              asks="higher layer", credit=0),
        Wrong("rows above only", {"mask[r, :r] = 1": "mask[r, :r] = 0"}, "causal_mask", A, asks="in the same row",
              credit=0),
        Wrong("the whole row", {"mask[r, :r] = 1": "mask[r] = 1"}, "causal_mask", B, asks="to the right", credit=0),
        Wrong("the upper left quarter", {"mask[:r] = 1": "mask[:r, :r + 1] = 1"}, "causal_mask", B,
              asks="nothing to the right", credit=0),
        Wrong("a triangle", {"mask[:r] = 1\n    mask[r, :r] = 1":
                             "mask = np.tril(np.ones((k, k)), 0 if kind == 'B' else -1)"},
              "causal_mask", A, asks="for a vector", credit=0),
        Wrong("all but what comes after, turned round", {"    return mask": "    return 1 - mask"}, "causal_mask", A,
              asks="1 where it must be 0", credit=0),
        Wrong("three by three always", {
            "r = k // 2\n    mask = np.zeros((k, k))": "r = 1\n    mask = np.zeros((3, 3))"}, "causal_mask", A,
              credit=0),
        Wrong("no middle at k = 1", {"    r = k // 2\n": "    r = k // 2 or 1\n"}, "causal_mask", B, credit=0)],
    opposite=[
        Opposite("It keeps to another convention: the order goes column by column.", {"return mask": "return mask.T"}),
        Opposite("It keeps to another convention: the order begins at the last pixel, or the kernel is flipped.",
                 {"return mask": "return mask[::-1, ::-1]"})],
    variants={
        BACKWARDS: Variant({"row after row, each row from left to right":
                            "row after row from the lowest one up, each row from right to left"},
                           {"return mask": "return mask[::-1, ::-1]"}),
        BY_COLUMNS: Variant({"row after row, each row from left to right":
                             "column after column, each column from top to bottom"},
                            {"return mask": "return mask.T"})})
