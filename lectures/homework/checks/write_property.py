"""Checks of `write_property`: flows from the library's hall of broken flows, and right ones, played over the pipe.

A submission sees two functions and their numbers. Whether a flow is broken, its name and its source stay here.
"""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Property, Wrong
from nfnumpy.homework.peer import Raised
from nfnumpy.testing import broken

# name in the hall: what to ask who does not catch it
BROKEN = {
    "round_trip_property": {
        "OnePass": "Its first coordinate always comes back: does your test look at all of them?",
        "OneStepShort": "Only its last coordinate does not come back: does your test look at all of them?",
        "UndoneByItself": "It permutes: does your test compare place by place?",
        "AddsBeforeItScales": "It is off by a small constant: how large a difference does your test let pass?",
        "UndoneInOrder": "It is a composition, undone in the wrong order.",
        "JoinsInWrongOrder": "Its halves change places on the way back: does your test compare place by place?"},
    "log_det_property": {
        "ScaleWithoutLog": "Its log_det is that of no Jacobian: does your test compute one?",
        "SummedOverTheBatch": "Right for one row, wrong for many: does your test look at every row?",
        "LogDetOfTheOtherDirection": "Its forward is right: does your test look at both directions?",
        "LastLogDet": "A composition, of which one step is not counted: does your test see all of the Jacobian?",
        "KeepsTheSign": "Right size, wrong sign: does your test compare with the sign?",
        "CountsTheOrders": "It permutes, and its log_det is not 0.",
        "MeanOverCoordinates": "Both directions agree, and both are wrong: does your test compute a Jacobian?"}}
LARGE = 1e6                                                      # the size of the large numbers
RIGHT = {
    "a cycle": (lambda rng: nf.Permutation([1, 2, 0]), 4, "It permutes, and rounds nothing."),
    "a swap": (lambda rng: nf.Permutation([1, 0, 2]), 3, "Its determinant is -1: what has a logarithm?"),
    "large numbers": (lambda rng: nf.Dense(3, rng=rng), 5,
                      "Its numbers are large: is a difference large or small by itself, or compared to something?"),
    "one row": (lambda rng: nf.GaussianAutoregressive(3, (6,), "tanh", rng=rng), 1, "One row: what do you sum over?"),
    "one coordinate": (lambda rng: nf.Diagonal(1, signs=[-1]), 4,
                       "One coordinate, turned round: does your test take abs?"),
    "n = m": (lambda rng: nf.Coupling(4, (6,), "tanh", rng=rng), 4,
              "As many rows as coordinates: which axis is which?")}


class MeanOverCoordinates(nf.Flow):
    """Both log_dets are divided by m: consistent with each other, and with no Jacobian."""

    def __init__(self, flow):
        super().__init__(flow.x_shape)
        self.flow = nf.testing.randomize(flow, 0)

    def forward(self, x):
        z, log_det = self.flow.forward(x)
        return z, log_det / len(x[0])

    def inverse(self, z):
        x, log_det = self.flow.inverse(z)
        return x, log_det / len(z[0])


def cases(rng, variant):
    """One: all flows with their batches. Batches have four rows or so, since some bugs show in no single one."""
    exhibits, flows = broken.hall(rng), {}
    for names in BROKEN.values():
        for name in names:
            flow = exhibits[name].broken if name in exhibits else MeanOverCoordinates(
                nf.Coupling(4, (6,), "tanh", rng=rng))
            flows[name] = flow, rng.standard_normal((4, *flow.x_shape))
    for name, (build, n, _) in RIGHT.items():
        flow = build(rng)
        x = rng.standard_normal((n, *flow.x_shape))
        flows[name] = (flow, LARGE * x) if name == "large numbers" else (nf.testing.randomize(flow, rng), x)
    yield Case(flows=flows)


def reference(case, variant):
    """The library's own checks."""
    return SimpleNamespace(round_trip_property=nf.testing.check_invertible, log_det_property=nf.testing.check_log_det)


def complaint(answers, part, case, name):
    """What a student's test says of a flow, or None: an AssertionError is a complaint, another exception a mistake."""
    flow, x = case.flows[name]
    played = SimpleNamespace(forward=lambda x: flow.forward(x), inverse=lambda z: flow.inverse(z))
    try:
        getattr(answers, part)(played, x)
    except AssertionError as error:                              # of the reference, which is no submission
        return str(error) or "AssertionError"
    except Raised as error:
        if error.kind != "AssertionError":
            raise
        return error.message or "AssertionError"
    return None


def catches(part, name, letter, question):
    def check(answers, case, reference):
        if complaint(answers, part, case, name) is None:
            raise Fail("your test found nothing wrong with it", question)
    return Property(f"catches the broken flow {letter}", check, read='slide "Jacobian determinant"')


def spares(part, name, number, question):
    def check(answers, case, reference):
        said = complaint(answers, part, case, name)
        if said is not None:
            raise Fail(f"a false alarm; your test said: {said[:120]}", question)
    return Property(f"accuses not the right flow {number}", check, share=0, alone=False, alarm=True,
                    read='slide "Jacobian determinant", the box "Inverse function theorem"')


ANSWER = '''
import numpy as np


def close(got, expected):
    return np.abs(got - expected).max() <= 1e-6 * (1 + np.abs(expected).max())


def jacobian(function, x):
    h = 1e-5 * (1 + np.abs(x).max())
    return np.stack([(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(x.shape[1])], axis=-1)


def round_trip_property(flow, x):
    z, _ = flow.forward(x)
    back, _ = flow.inverse(z)
    assert close(back, x), "not undone"


def log_det_property(flow, x):
    z, log_det = flow.forward(x)
    expected = np.linalg.slogdet(jacobian(lambda x: flow.forward(x)[0], x))[1]
    assert np.abs(log_det - expected).max() < 1e-3, "forward"
    _, log_det = flow.inverse(z)
    assert np.abs(log_det + expected).max() < 1e-3, "inverse"
'''

BY_ROWS = '''
import math
import numpy as np


def round_trip_property(flow, x):
    for row in x:
        np.testing.assert_allclose(flow.inverse(flow.forward(row[None])[0])[0][0], row, rtol=1e-7, atol=1e-7)


def log_det_property(flow, x):
    z, log_dets = flow.forward(x)
    _, inverse_log_dets = flow.inverse(z)
    for i, row in enumerate(x):
        m = len(row)
        J = np.zeros((m, m))
        for b in range(m):
            h = np.zeros((1, m))
            h[0, b] = 1e-6 * (1 + abs(row[b]))
            J[:, b] = (flow.forward(row + h)[0] - flow.forward(row - h)[0])[0] / (2 * h[0, b])
        if not math.isclose(math.log(abs(np.linalg.det(J))), log_dets[i], abs_tol=1e-3):
            raise AssertionError(f"forward, row {i}")
        if not math.isclose(log_dets[i], -inverse_log_dets[i], abs_tol=1e-6):
            raise AssertionError(f"inverse, row {i}")
'''

EXERCISE = Exercise(
    title="Write the property", slide="Jacobian determinant", minutes=40,
    cases=cases, reference=reference, answer=ANSWER,
    parts={part: [*(catches(part, name, "ABCDEFGH"[k], question) for k, (name, question) in enumerate(names.items())),
                  *(spares(part, name, k + 1, question) for k, (name, (_, _, question)) in enumerate(RIGHT.items()))]
           for part, names in BROKEN.items()},
    right={"row by row": BY_ROWS,
           "the inverse has a Jacobian of its own": {
               "    assert np.abs(log_det + expected).max()":
               "    own = np.linalg.slogdet(jacobian(lambda z: flow.inverse(z)[0], z))[1]\n"
               "    assert np.abs(log_det - own).max()"}},
    wrong=[
        Wrong("finds nothing", {'assert close(back, x), "not undone"': "return True"}, "round_trip_property",
              "catches the broken flow A", asks="all of them", credit=0),
        Wrong("accuses all", {'assert close(back, x), "not undone"': "raise AssertionError"}, "round_trip_property",
              "accuses not the right flow 1", credit=0),
        Wrong("exactly equal", {"close(back, x)": "(back == x).all()"}, "round_trip_property",
              "accuses not the right flow 3", asks="compared to something", credit=0.5),
        Wrong("an absolute tolerance", {"1e-6 * (1 + np.abs(expected).max())": "1e-12"}, "round_trip_property",
              "accuses not the right flow 3", asks="compared to something", credit=0.75),
        Wrong("first coordinate only", {"close(back, x)": "close(back[:, 0], x[:, 0])"}, "round_trip_property",
              "catches the broken flow B", asks="all of them", credit=0.8),
        Wrong("sums, not places", {"close(back, x)": "close(back.sum(axis=1), x.sum(axis=1))"}, "round_trip_property",
              "catches the broken flow C", asks="place by place", credit=0.85),
        Wrong("one direction", {'assert np.abs(log_det + expected).max() < 1e-3, "inverse"': "pass"},
              "log_det_property", "catches the broken flow C", asks="both directions", credit=0.9),
        Wrong("no abs", {"np.linalg.slogdet(jacobian(lambda x: flow.forward(x)[0], x))[1]":
                         "np.log(np.linalg.det(jacobian(lambda x: flow.forward(x)[0], x)))", "< 1e-3": "<= 1e-3"},
              "log_det_property", "accuses not the right flow 2", asks="what has a logarithm", credit=0.75),
        Wrong("the directions against each other only", {
            'assert np.abs(log_det - expected).max() < 1e-3, "forward"': "expected = log_det"}, "log_det_property",
            "catches the broken flow G", asks="compute a Jacobian", credit=0.9),
        Wrong("abs of log_det", {"np.abs(log_det + expected)": "np.abs(np.abs(log_det) - np.abs(expected))",
                                 "np.abs(log_det - expected)": "np.abs(np.abs(log_det) - np.abs(expected))"},
              "log_det_property", "catches the broken flow E", asks="with the sign", credit=0.9)])
