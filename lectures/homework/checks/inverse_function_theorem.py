"""Checks of `inverse_function_theorem`: the reference is the library's inverse itself, and complex steps through it."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import Call, equals, leaves_inputs_alone, rows_apart, shapes

READ = 'slide "Jacobian determinant", the box "Inverse function theorem"'
VALUES, LOG_DETS = "J_g has the values that it must have", "log_det has the values that it must have"
JACOBIAN, LOG_DET = "inverse_function_theorem_jacobian", "inverse_function_theorem_log_det"
FROM_X, BITS = 1, 2                                              # the variants: x is given and not z; bits


def cases(rng, variant):
    """Whole numbers: a matrix that is not symmetric, one whose determinant is negative, a curve; then drawn ones."""
    curve = nf.GaussianAutoregressive(2, ())
    curve.net.W0[...], curve.net.b0[...] = 1, 0
    for x, flow, text in (
            ([[1, 2]], nf.Dense(2, W=[[2, 1], [3, 2]]), "f(x) = (2 x_1 + x_2, 3 x_1 + 2 x_2)"),
            ([[1, 2]], nf.Dense(2, W=[[1, 2], [3, 4]]), "f(x) = (x_1 + 2 x_2, 3 x_1 + 4 x_2)"),
            ([[1, 2], [0, -1]], curve, "f(x) = (x_1, (x_2 - x_1) / sigma(x_1)), log sigma = 5 tanh(x_1 / 5)")):
        yield case(np.array(x, float), flow, variant, text)
    for n, m in ((1, 3), (3, 1), (4, 4)):
        flow = nf.Composition([nf.GaussianAutoregressive(m, (3,), "tanh"), nf.Permutation(np.arange(m)[::-1]),
                               nf.Diagonal(m, signs=[-1] * m)])
        yield case(rng.standard_normal((n, m)), nf.testing.randomize(flow, rng), variant)


def case(x, flow, variant, text=None):
    """`start` is what the functions are given, z or x, and `there` the map from it to the other one, g or f."""
    z = flow.forward(x)[0]
    name, start, there = ("x", x, flow.forward) if variant == FROM_X else ("z", z, flow.inverse)
    return Case({name: start, "f": text} if text else None, start=start, flow=flow, x=x,
                there=lambda start: there(start)[0], unit=math.log(2) if variant == BITS else 1.0,
                jacobian_f=lambda x: nf.testing.jacobian(lambda x: flow.forward(x)[0], x))


def reference(case, variant):
    """The library's inverse: its Jacobian by complex steps, and its own log_det."""
    def z_of(start):
        return case.flow.forward(start)[0] if variant == FROM_X else start

    return SimpleNamespace(
        inverse_function_theorem_jacobian=lambda start, there, jacobian_f: nf.testing.jacobian(
            lambda z: case.flow.inverse(z)[0], z_of(start)),
        inverse_function_theorem_log_det=lambda start, there, jacobian_f: case.flow.inverse(z_of(start))[1] / case.unit)


INVERSE = Call(lambda answers, case, start: answers.inverse_function_theorem_jacobian(
    start, case.there, case.jacobian_f), ["J_g"], argument="start")
VOLUME = Call(lambda answers, case, start: answers.inverse_function_theorem_log_det(
    start, case.there, case.jacobian_f), ["log_det"], argument="start")

PLACE = "The Jacobian is taken at another point: where does f start from?"


def suspects_of_jacobian(case, expected):
    J, elsewhere = case.jacobian_f(case.x), case.jacobian_f(case.flow.forward(case.x)[0])
    return [(J, "This one belongs to f: which one was asked for?"), (np.linalg.inv(elsewhere), PLACE),
            (elsewhere, "This one belongs to f, and to another point: which one was asked for, and where?"),
            (np.swapaxes(expected["J_g"], 1, 2), "Rows and columns have changed places: which one are the outputs?"),
            (np.divide(1, J, where=J != 0, out=np.full(J.shape, np.nan)),
             "Each entry is turned over by itself: what is the inverse of a matrix?"),
            (expected["J_g"] * np.linalg.det(J)[:, None, None],
             "A factor is missing, another one in every row: what does an inverse divide by?")]


def suspects_of_log_det(case, expected):
    J, elsewhere = case.jacobian_f(case.x), case.jacobian_f(case.flow.forward(case.x)[0])
    log_det, there = np.linalg.slogdet(J)[1], np.linalg.slogdet(elsewhere)[1]
    return [(value / case.unit, question) for value, question in (
        (log_det, "The size is right and the sign is wrong: does g stretch where f does?"), (-there, PLACE),
        (there, "It belongs to f, and to another point: which one was asked for, and where?"),
        (-np.exp(log_det) * case.unit, "Is it the determinant, or its logarithm?"),
        (np.exp(-log_det) * case.unit, "Is it the determinant, or its logarithm?"),
        (1 / np.where(log_det == 0, np.nan, log_det), "What does the logarithm make of a quotient?"))]


ANSWER = '''
import numpy as np


def inverse_function_theorem_jacobian(z, g, jacobian_f):
    return np.linalg.inv(jacobian_f(g(z)))


def inverse_function_theorem_log_det(z, g, jacobian_f):
    sign, log_det = np.linalg.slogdet(jacobian_f(g(z)))
    return -log_det
'''

BY_ROWS = '''
import math
import numpy as np


def inverse_function_theorem_jacobian(z, g, jacobian_f):
    result = []
    for row in z:
        J = jacobian_f(g(row[None]))[0]
        result.append(np.linalg.solve(J, np.eye(len(J))))
    return result


def inverse_function_theorem_log_det(z, g, jacobian_f):
    return [math.log(abs(np.linalg.det(J))) for J in inverse_function_theorem_jacobian(z, g, jacobian_f)]
'''

DIFFERENCES = '''
import numpy


def inverse_function_theorem_jacobian(z, g, jacobian_f):
    columns = [(g(z + 1e-5 * e) - g(z - 1e-5 * e)) / 2e-5 for e in numpy.eye(z.shape[1])]
    return numpy.stack(columns, axis=2)


def inverse_function_theorem_log_det(z, g, jacobian_f):
    return -0.5 * numpy.log(numpy.linalg.det(jacobian_f(g(z))) ** 2)
'''

J_AT, SLOGDET = "np.linalg.inv(jacobian_f(g(z)))", "np.linalg.slogdet(jacobian_f(g(z)))"
EXERCISE = Exercise(
    title="The inverse function theorem", slide="Jacobian determinant", minutes=15,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        JACOBIAN: [equals(INVERSE, "J_g", VALUES, suspects=suspects_of_jacobian, share=3, read=READ),
                   shapes(INVERSE), rows_apart(INVERSE), leaves_inputs_alone(INVERSE)],
        LOG_DET: [equals(VOLUME, "log_det", LOG_DETS, suspects=suspects_of_log_det, share=3, read=READ),
                  shapes(VOLUME), rows_apart(VOLUME), leaves_inputs_alone(VOLUME)]},
    right={"row by row, the determinant of the inverse": BY_ROWS, "differences of g": DIFFERENCES},
    wrong=[
        Wrong("J_f at z", {J_AT: "np.linalg.inv(jacobian_f(z))"}, JACOBIAN, VALUES, asks="another point", credit=0),
        Wrong("not inverted", {J_AT: "jacobian_f(g(z))"}, JACOBIAN, VALUES, asks="belongs to f", credit=0),
        Wrong("entry by entry", {J_AT: "np.divide(1, jacobian_f(g(z)))"}, JACOBIAN, VALUES, asks="by itself", credit=0),
        Wrong("the transpose for the inverse", {J_AT: "jacobian_f(g(z)).transpose(0, 2, 1)"}, JACOBIAN, VALUES,
              credit=0),
        Wrong("all axes turned round", {J_AT: J_AT + ".T"}, JACOBIAN, VALUES, credit=0),
        Wrong("one Jacobian for all", {J_AT: J_AT + "[0]"}, JACOBIAN, VALUES, credit=0),
        Wrong("the adjugate", {J_AT: f"{J_AT} * np.linalg.det(jacobian_f(g(z)))[:, None, None]"}, JACOBIAN, VALUES,
              asks="divide by", credit=0),
        Wrong("log_det of f", {"return -log_det": "return log_det"}, LOG_DET, LOG_DETS, asks="does g stretch",
              credit=0),
        Wrong("log_det at z", {SLOGDET: "np.linalg.slogdet(jacobian_f(z))"}, LOG_DET, LOG_DETS, asks="another point",
              credit=0),
        Wrong("no abs", {SLOGDET: "0, np.log(np.linalg.det(jacobian_f(g(z))))"}, LOG_DET, LOG_DETS, asks="not finite",
              credit=0),
        Wrong("one over the determinant", {"return -log_det": "return np.exp(-log_det)"}, LOG_DET, LOG_DETS,
              asks="or its logarithm", credit=0),
        Wrong("one over the logarithm", {"return -log_det": "return 1 / log_det"}, LOG_DET, LOG_DETS,
              asks="quotient", credit=0),
        Wrong("summed over the batch", {"return -log_det": "return -log_det.sum()"}, LOG_DET, LOG_DETS,
              asks="One number for the whole batch", credit=0)],
    opposite=[Opposite("It keeps to another convention: its Jacobian is the transpose, a row for each input.",
                       {J_AT: f"{J_AT}.transpose(0, 2, 1)"}, parts=[JACOBIAN])],
    variants={
        FROM_X: Variant({"jacobian(z, g, jacobian_f)": "jacobian(x, f, jacobian_f)",
                         "log_det(z, g, jacobian_f)": "log_det(x, f, jacobian_f)",
                         "The Jacobian of g at z.": "The Jacobian of g at z = f(x).",
                         "Jacobian of g at z.\n\n    Takes": "Jacobian of g at z = f(x).\n\n    Takes",
                         "Takes z (n, m)": "Takes x (n, m)", "g(z), (n, m), and": "f(x), (n, m), and",
                         "Returns J_g at z,": "Returns J_g at z = f(x),"},
                        {"jacobian_f(g(z))": "jacobian_f(z)"}),
        BITS: Variant({"log abs det of the Jacobian": "The logarithm to base 2 of abs det of the Jacobian",
                       "in nats": "in bits"},
                      {"return -log_det": "return -log_det / np.log(2)"})})
