"""Checks of `composition`: the reference is the library's Composition of the same flows."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import (TOLERANCE, Call, agree, equals, leaves_inputs_alone, log_det_of_jacobian,
                                         rows_apart, shapes, undoes)

THEOREM = 'slide "Composition of normalizing flows", the box "Theorem"'
DEFINITION = 'slide "Normalizing flows (NF)", the box "Definition"'
LAST_FIRST = 1                                                   # the variant that gives f_K first
FORWARD_PART, INVERSE_PART = "composition_forward", "composition_inverse"
STRETCH, ADD, SWAP = "(2 x_1, -3 x_2)", "(x_1, x_1 + 2 x_2)", "(x_2, x_1)"
CURVE = "(x_1, x_2 / sigma(x_1)) with log sigma(x_1) = 5 tanh(x_1 / 5)"
Z, LOG_DET, X = (f"{name} has the values that it must have" for name in ("z", "log_det", "x"))


def cases(rng, variant):
    """Two coordinates and whole numbers: one flow, two, and two of which one stretches differently at each x."""
    for x, texts in (([[1, 2]], [STRETCH]), ([[1, 2]], [STRETCH, ADD]), ([[1, 0], [0, 2]], [SWAP, CURVE])):
        flows = by_hand()
        yield case(np.array(x, float), [flows[text] for text in texts], variant, texts)
    for n, m in ((2, 1), (3, 3)):
        flows = [nf.GaussianAutoregressive(m, ()), nf.Permutation(np.roll(np.arange(m), 1)), nf.Coupling(m, ())]
        for flow in flows:
            nf.testing.randomize(flow, rng).theta *= 0.5         # flat enough for differences, in either order
        yield case(rng.standard_normal((n, m)), flows, variant)


def by_hand():
    """``{text: flow}`` of two coordinates."""
    curve = nf.GaussianAutoregressive(2, ())
    curve.net.W0[3], curve.net.b0[...] = 1, 0                    # r_2 = x_1, and mu = 0
    return {STRETCH: nf.Diagonal(2, W=[[2, 0], [0, -3]]), ADD: nf.Triangular(2, W=[[1, 0], [1, 2]]),
            SWAP: nf.Permutation([1, 0]), CURVE: curve}


def case(x, flows, variant, texts=None):
    whole = nf.Composition(flows)
    z, order = whole.forward(x)[0], -1 if variant == LAST_FIRST else 1
    show = texts and {"x": x, "z": z, "flows": f"[{', '.join(texts[::order])}]"}
    return Case(show, x=x, z=z, whole=whole, order=order)


def given(case):
    """The list of flows as a student gets it; a new one for each call, since a call may do anything to it."""
    return [SimpleNamespace(forward=flow.forward, inverse=flow.inverse) for flow in case.whole.flows[::case.order]]


def reference(case, variant):
    """The library's Composition."""
    return SimpleNamespace(composition_forward=lambda x, flows: case.whole.forward(x),
                           composition_inverse=lambda z, flows: case.whole.inverse(z))


FORWARD = Call(lambda answers, case, x: answers.composition_forward(x, given(case)), ["z", "log_det"],
               shows=["x", "flows"])
INVERSE = Call(lambda answers, case, z: answers.composition_inverse(z, given(case)), ["x", "log_det"], argument="z",
               shows=["z", "flows"])


def through(steps, value):
    """The value after all steps, and their log_dets, each where it is taken, (K, n)."""
    log_dets = []
    for step in steps:
        value, log_det = step(value)
        log_dets.append(log_det)
    return value, np.array(log_dets)


ORDER = "The steps are taken in the other order: which one comes first in this direction?"
DIRECTION = "It is the other direction: which one was asked for?"


def suspects_of(direction):
    """``(of the output, of log_det)``: orders, places and signs that get mixed up; steps are called at their start."""
    def steps(case):
        flows = case.whole.flows
        forward, inverse = [flow.forward for flow in flows], [flow.inverse for flow in flows[::-1]]
        return (forward, inverse, case.x) if direction == "forward" else (inverse, forward, case.z)

    def of_output(case, expected):
        right, other, start = steps(case)
        return [(through(right[::-1], start)[0], ORDER), (through(other, start)[0], DIRECTION),
                *((step(start)[0], "Only one step has done something: what does each of them start from?")
                  for step in right)]

    def of_log_det(case, expected):
        right, other, start = steps(case)
        _, log_dets = through(right, start)
        at_start = np.array([step(start)[1] for step in right])
        return [(log_dets.prod(axis=0), "The product of logarithms: what does the logarithm of a product do?"),
                (at_start.sum(axis=0), "All Jacobians are taken at the same point: where does each step start from?"),
                *((log_det, "One of the steps is in it: what becomes of the others?") for log_det in log_dets),
                (log_dets.mean(axis=0), "A mean over steps: what does the determinant of a product do?"),
                (-expected["log_det"], "The size is right and the sign is wrong: which direction is this?"),
                (through(right[::-1], start)[1].sum(axis=0), ORDER), (through(other, start)[1].sum(axis=0), DIRECTION)]
    return of_output, of_log_det


def belongs_together(call):
    """Property: what is not right is at least consistent, own inverse and own forward; else it is no convention."""
    def check(answers, case, reference):
        output = call.outputs[0]
        if not (hasattr(answers, FORWARD_PART) and hasattr(answers, INVERSE_PART)):      # a pack with one of the two
            return
        if np.allclose(call(answers, case)[output], getattr(case, output), rtol=TOLERANCE, atol=TOLERANCE):
            return
        back = INVERSE(answers, case, FORWARD(answers, case)["z"])["x"]
        agree(back, case.x, "your inverse of your z")
    return Property("forward and inverse belong together", check, share=0, alone=False, read=DEFINITION)


ANSWER = '''
import numpy as np


def composition_forward(x, flows):
    z, log_det = x, np.zeros(len(x))
    for flow in flows:
        z, step = flow.forward(z)
        log_det = log_det + step
    return z, log_det


def composition_inverse(z, flows):
    x, log_det = z, np.zeros(len(z))
    for flow in reversed(flows):
        x, step = flow.inverse(x)
        log_det = log_det + step
    return x, log_det
'''

RECURSION = '''
def composition_forward(x, flows):
    if not flows:
        return x, 0 * x[:, 0]
    y, first = flows[0].forward(x)
    z, others = composition_forward(y, flows[1:])
    return z, first + others


def composition_inverse(z, flows):
    x = z
    for flow in flows[::-1]:
        x, _ = flow.inverse(x)
    return x, -composition_forward(x, flows)[1]
'''

REDUCE = '''
import functools
import numpy as np


def composition_forward(x, flows):
    def step(so_far, flow):
        z, log_det = flow.forward(so_far[0])
        return z, so_far[1] + log_det
    return functools.reduce(step, flows, (x, 0))


def composition_inverse(z, flows):
    rows, log_dets = [], []
    for row in z:
        row, total, rest = row[None], [], list(flows)
        while rest:
            row, log_det = rest.pop().inverse(row)
            total.append(log_det[0])
        rows.append(row[0])
        log_dets.append(np.sum(total))
    return np.array(rows), log_dets
'''

SLOGDET = {"    return z, log_det\n": """
    def f(x):
        for flow in flows:
            x = flow.forward(x)[0]
        return x
    columns = [(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.shape[1])]
    return z, np.linalg.slogdet(np.stack(columns, axis=-1))[1]
"""}

FORWARD_STEP, INVERSE_STEP = "z, step = flow.forward(z)", "x, step = flow.inverse(x)"
EXERCISE = Exercise(
    title="Composition", slide="Composition of normalizing flows", minutes=20,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        FORWARD_PART: [
            equals(FORWARD, "z", suspects=suspects_of("forward")[0], share=2, read=THEOREM),
            equals(FORWARD, "log_det", suspects=suspects_of("forward")[1], share=2, read=THEOREM),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read=THEOREM),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD),
            belongs_together(FORWARD)],
        INVERSE_PART: [
            equals(INVERSE, "x", suspects=suspects_of("inverse")[0], share=2, read=DEFINITION),
            equals(INVERSE, "log_det", suspects=suspects_of("inverse")[1], share=2,
                   read='slide "Jacobian determinant", the box "Inverse function theorem"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the forward transform", read=DEFINITION),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE),
            belongs_together(INVERSE)]},
    right={"recursion, and minus the forward log_det where x comes out": RECURSION, "reduce, and row by row": REDUCE,
           "log_det by slogdet of the full Jacobian": SLOGDET},
    wrong=[
        Wrong("all Jacobians at x", {FORWARD_STEP: "z, step = flow.forward(z)[0], flow.forward(x)[1]"},
              FORWARD_PART, LOG_DET, asks="same point", credit=0.6),
        Wrong("the last log_det", {"log_det = log_det + step\n    return z": "log_det = step\n    return z"},
              FORWARD_PART, LOG_DET, asks="One of the steps", credit=0.6),
        Wrong("every step at x", {FORWARD_STEP: "z, step = flow.forward(x)"}, FORWARD_PART, Z,
              asks="what does each of them start from", credit=0),
        Wrong("summed over the batch", {"log_det + step\n    return z": "log_det + step.sum()\n    return z"},
              FORWARD_PART, "a row does not see other rows", asks="sum or a mean over the batch", credit=0.6),
        Wrong("log_dets multiplied", {"log_det + step\n    return z": "log_det * step\n    return z",
                                      "np.zeros(len(x))": "np.ones(len(x))"},
              FORWARD_PART, LOG_DET, asks="product of logarithms", credit=0.6),
        Wrong("f_1 last, in one direction", {"in flows:": "in reversed(flows):"}, FORWARD_PART, Z, asks="other order",
              credit=0),
        Wrong("the inverses in forward order", {"in reversed(flows)": "in flows"}, INVERSE_PART, X, asks="other order",
              credit=0),
        Wrong("the caller's list is reversed", {
            "for flow in reversed(flows)": "flows.reverse()\n    for flow in flows"},
            INVERSE_PART, "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("the caller's list is emptied", {
            "for flow in reversed(flows):": "while flows:\n        flow = flows.pop()"},
            INVERSE_PART, "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("the inverse's log_det has forward's sign", {
            "log_det + step\n    return x": "log_det - step\n    return x"},
            INVERSE_PART, LOG_DET, asks="which direction", credit=0.7),
        Wrong("the inverse's Jacobians all at z", {INVERSE_STEP: "x, step = flow.inverse(x)[0], flow.inverse(z)[1]"},
              INVERSE_PART, LOG_DET, asks="same point", credit=0.7),
        Wrong("minus forward's log_dets, where the step starts", {
            INVERSE_STEP: "x, step = flow.inverse(x)[0], -flow.forward(x)[1]"}, INVERSE_PART, LOG_DET, credit=0.7)],
    opposite=[Opposite("It keeps to another convention: f_1, the first of the list, is applied last.",
                       {"for flow in flows:": "for flow in list(flows)[::-1]:", "in reversed(flows)": "in flows"})],
    variants={LAST_FIRST: Variant(
        {"as a list of flows, f_1 first": "as a list of flows, f_K first, as g meets them",
         "flows = [f_1, ..., f_K]": "flows = [f_K, ..., f_1]"},
        {"for flow in flows:": "for flow in list(flows)[::-1]:", "in reversed(flows)": "in flows"})})
