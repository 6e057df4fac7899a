"""Checks of `linear_log_dets`: the reference is the library's permutation, diagonal and triangular flow."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, agree, equals, leaves_inputs_alone, rows_apart, shapes
from nfnumpy.testing.common import show

READ = 'slide "Jacobian structure", case '
VALUES, LARGE = "log_det has the values that it must have", "log_det, of 512 coordinates"
INVERSE, BITS = 1, 2                                             # the variants
PERMUTATION, DIAGONAL, TRIANGULAR = (f"linear_log_dets_{name}" for name in ("permutation", "diagonal", "triangular"))


def cases(rng, variant):
    """Whole numbers; then drawn ones; then 512 coordinates, whose determinant is no number that a computer has."""
    for slopes, perm, W in (([[2, 5]], [0, 1], [[2, 0], [5, 3]]), ([[2, -3], [1, 4]], [1, 0], [[-2, 0], [7, 1]])):
        slopes, W = np.array(slopes, float), np.array(W, float)
        yield case(slopes + 1, np.array(perm), slopes, W, variant, show=True)
    for n, m in ((1, 3), (3, 1), (4, 4), (12, 5)):
        slopes, W = rng.standard_normal((n, m)), np.tril(rng.standard_normal((m, m)))
        yield case(rng.standard_normal((n, m)), rng.permutation(m), slopes, W, variant)
    slopes, W = 0.1 + 0.1 * rng.random((2, 512)), np.tril(0.1 + 0.1 * rng.random((512, 512)))
    yield case(rng.standard_normal((2, 512)), rng.permutation(512), slopes, W, variant)


def case(x, perm, slopes, W, variant, show=False):
    factor = {INVERSE: -1.0, BITS: 1 / math.log(2)}.get(variant, 1.0)
    inputs = {"x": x, "perm": perm, "slopes": slopes, "W": W}
    return Case(inputs if show else None, **inputs, factor=factor, large=x.shape[1] == 512)


def reference(case, variant):
    """The library's log_dets. Of a diagonal Jacobian every sample has its own: the linear flow with those slopes."""
    def diagonal(slopes):
        return np.concatenate([nf.Diagonal(len(row), W=np.diag(row)).forward(row[None])[1] for row in slopes])

    return SimpleNamespace(
        linear_log_dets_permutation=lambda x, perm: case.factor * nf.Permutation(perm).forward(x)[1],
        linear_log_dets_diagonal=lambda slopes: case.factor * diagonal(slopes),
        linear_log_dets_triangular=lambda x, W: case.factor * nf.Triangular(len(W), W=W).forward(x)[1])


CALLS = {PERMUTATION: Call(lambda answers, case, x: answers.linear_log_dets_permutation(x, case.perm), ["log_det"],
                           shows=["x", "perm"]),
         DIAGONAL: Call(lambda answers, case, slopes: answers.linear_log_dets_diagonal(slopes), ["log_det"],
                        argument="slopes", shows=["slopes"]),
         TRIANGULAR: Call(lambda answers, case, x: answers.linear_log_dets_triangular(x, case.W), ["log_det"],
                          shows=["x", "W"])}


def suspects_of_permutation(case, expected):
    m = len(case.perm)
    return [(np.full(len(case.x), case.factor * math.lgamma(m + 1)),
             "The number of all orders: by how much does one of them change a volume?"),
            (np.full(len(case.x), 1.0), "Is it the determinant, or its logarithm?"),
            (case.factor * np.log(np.abs(case.x)).sum(axis=1), "Does the Jacobian of a permutation depend on x?")]


def suspects_of(jacobians):
    """Of log_dets of Jacobians, ``jacobians(case)`` (n, m, m), that have their diagonal's determinant."""
    def suspects(case, expected):
        J = jacobians(case)
        diagonal, log_det = np.diagonal(J, axis1=1, axis2=2), expected["log_det"]
        trace = diagonal.sum(axis=1)
        others = [
            (log_det / diagonal.shape[1], "A mean over coordinates: are their logarithms averaged, or added?"),
            (np.full(len(J), log_det[0]), "Every row has what the first one has: is the Jacobian the same for all?"),
            (case.factor * trace, "The sum of the diagonal: how does a determinant come from it?"),
            (case.factor * np.log(np.abs(trace)),
             "The logarithm of the sum of the diagonal: how does a determinant come from it?"),
            (np.exp(log_det / case.factor), "Is it the determinant, or its logarithm?"),
            (diagonal.prod(axis=1), "Is it the determinant, or its logarithm?"),
            (case.factor * np.log(np.abs(J), where=J != 0, out=np.zeros_like(J)).sum(axis=(1, 2)),
             "Entries beside the diagonal are counted: which ones does the determinant have?")]
        return [(value, question) for value, question in others if not np.isnan(value).any()]
    return suspects


def for_512(call, read):
    """Property: the values at the large cases, where a product of 512 numbers is 0 or infinite."""
    def check(answers, case, reference):
        if not case.large:
            return
        got = call(answers, case)["log_det"]
        if np.isinf(got).all():
            raise Fail(f"log_det is infinite: {show(got)}", "A product of 512 numbers is too small or too large for a "
                                                            "computer: what becomes of it under the logarithm?")
        agree(got, call(reference, case)["log_det"], "log_det")
    return Property(LARGE, check, share=1, alone=False, read=read, shows=call.shows)


def small(prop):
    """The same property, which leaves out the large cases."""
    check = prop.check
    prop.check = lambda answers, case, reference: None if case.large else check(answers, case, reference)
    return prop


def properties(part, case_number, suspects):
    call, read = CALLS[part], READ + case_number
    return [*(small(prop) for prop in (equals(call, "log_det", suspects=suspects, share=3, read=read),
                                       shapes(call, read=read), rows_apart(call), leaves_inputs_alone(call))),
            for_512(call, read)]


ANSWER = '''
import numpy as np


def linear_log_dets_permutation(x, perm):
    return np.zeros(len(x))


def linear_log_dets_diagonal(slopes):
    return np.log(np.abs(slopes)).sum(axis=1)


def linear_log_dets_triangular(x, W):
    return np.full(len(x), np.log(np.abs(np.diag(W))).sum())
'''

SLOGDETS = '''
import numpy as np


def linear_log_dets_permutation(x, perm):
    return [np.linalg.slogdet(np.eye(len(perm))[perm])[1] for _ in x]


def linear_log_dets_diagonal(slopes):
    return np.array([np.linalg.slogdet(np.diag(row))[1] for row in slopes])


def linear_log_dets_triangular(x, W):
    sign, log_det = np.linalg.slogdet(W)
    return log_det * np.ones(x.shape[0])
'''

LOOPS = '''
import math


def linear_log_dets_permutation(x, perm):
    return 0 * x[:, 0]


def linear_log_dets_diagonal(slopes):
    return [math.fsum(math.log(abs(slope)) for slope in row) for row in slopes]


def linear_log_dets_triangular(x, W):
    return [0.5 * sum(math.log(W[j, j] ** 2) for j in range(len(W)))] * len(x)
'''

ONLY_W = "np.full(len(x), np.log(np.abs(np.diag(W))).sum())"
EXERCISE = Exercise(
    title="Log-determinants", slide="Jacobian structure", minutes=20,
    cases=cases, reference=reference, answer=ANSWER,
    parts={PERMUTATION: properties(PERMUTATION, "1", suspects_of_permutation),
           DIAGONAL: properties(DIAGONAL, "2", suspects_of(lambda case: case.slopes[:, :, None] * np.eye(
               case.slopes.shape[1]))),
           TRIANGULAR: properties(TRIANGULAR, "3", suspects_of(lambda case: np.stack([case.W] * len(case.x))))},
    right={"slogdet of the full Jacobian": SLOGDETS, "loops, and half the logarithm of the square": LOOPS},
    wrong=[
        Wrong("logarithm of a signed determinant", {
            "np.zeros(len(x))": "np.full(len(x), np.log(np.linalg.det(np.eye(len(perm))[perm])))"}, PERMUTATION, VALUES,
            asks="not finite", credit=0),
        Wrong("log m!", {"np.zeros(len(x))": "np.full(len(x), np.log(np.arange(1, len(perm) + 1)).sum())"},
              PERMUTATION, VALUES, asks="number of all orders", credit=0),
        Wrong("the determinant itself", {"np.zeros(len(x))": "np.ones(len(x))"}, PERMUTATION, VALUES,
              asks="or its logarithm", credit=0),
        Wrong("one zero", {"np.zeros(len(x))": "0.0"}, PERMUTATION, VALUES, asks="One number for the whole batch",
              credit=0),
        Wrong("like x", {"np.zeros(len(x))": "np.zeros_like(x)"}, PERMUTATION, VALUES, credit=0),
        Wrong("no abs", {"np.log(np.abs(slopes))": "np.log(slopes)"}, DIAGONAL, VALUES, asks="not finite", credit=0),
        Wrong("log of the product", {"np.log(np.abs(slopes)).sum(axis=1)": "np.log(np.abs(slopes.prod(axis=1)))"},
              DIAGONAL, LARGE, asks="under the logarithm", credit=0.85),
        Wrong("the determinant", {"np.log(np.abs(slopes)).sum(axis=1)": "np.abs(slopes.prod(axis=1))"},
              DIAGONAL, VALUES, asks="or its logarithm", credit=0),
        Wrong("mean over coordinates", {"np.log(np.abs(slopes)).sum(axis=1)": "np.log(np.abs(slopes)).mean(axis=1)"},
              DIAGONAL, VALUES, asks="averaged", credit=0),
        Wrong("summed over the batch", {"np.log(np.abs(slopes)).sum(axis=1)": "np.log(np.abs(slopes)).sum()"},
              DIAGONAL, VALUES, asks="One number for the whole batch", credit=0),
        Wrong("the wrong axis", {"np.log(np.abs(slopes)).sum(axis=1)": "np.log(np.abs(slopes)).sum(axis=0)"},
              DIAGONAL, VALUES, credit=0),
        Wrong("the first row for all", {"np.log(np.abs(slopes)).sum(axis=1)":
                                        "np.full(len(slopes), np.log(np.abs(slopes[0])).sum())"},
              DIAGONAL, VALUES, asks="first one", credit=0),
        Wrong("trace", {ONLY_W: "np.full(len(x), np.trace(W))"}, TRIANGULAR, VALUES, asks="sum of the diagonal",
              credit=0),
        Wrong("log of the trace", {ONLY_W: "np.full(len(x), np.log(np.abs(np.trace(W))))"}, TRIANGULAR, VALUES,
              asks="logarithm of the sum", credit=0),
        Wrong("log of the determinant", {ONLY_W: "np.full(len(x), np.log(np.abs(np.linalg.det(W))))"}, TRIANGULAR,
              LARGE, asks="under the logarithm", credit=0.85),
        Wrong("all entries", {ONLY_W: "np.full(len(x), np.log(np.abs(W[W != 0])).sum())"}, TRIANGULAR, VALUES,
              asks="beside the diagonal", credit=0),
        Wrong("one number", {ONLY_W: "np.log(np.abs(np.diag(W))).sum()"}, TRIANGULAR, VALUES,
              asks="One number for the whole batch", credit=0),
        Wrong("m numbers", {ONLY_W: "np.log(np.abs(np.diag(W)))"}, TRIANGULAR, VALUES, credit=0)],
    variants={
        INVERSE: Variant({"of the Jacobian of z = f(x)": "of the Jacobian of g, the inverse of z = f(x)",
                          "cases 1 to 3.": 'cases 1 to 3, and slide "Jacobian determinant".'},
                         {"return np.log(": "return -np.log(", "np.full(len(x), ": "np.full(len(x), -"}),
        BITS: Variant({"log abs det of the Jacobian": "The logarithm to base 2 of abs det of the Jacobian",
                       "in nats": "in bits"},
                      {"np.log(": "np.log2("})})
