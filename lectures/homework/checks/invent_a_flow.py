"""Checks of `invent_a_flow`: whatever it is, it must be a flow, bend, couple, and beat the Gaussian on held-out data.

Nothing that the flow says of itself counts: the grader takes all Jacobians from differences of its values, and its
likelihood from these. The reference is the flow that the data are drawn from.
"""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Property, Variant, Wrong
from nfnumpy.homework.properties import (SUPPORTING, TOLERANCE, Call, agree, jacobian, leaves_inputs_alone,
                                         log_det_of_jacobian, rows_apart, rows_of, shapes)
from nfnumpy.testing.common import show

READ = 'slide "Normalizing flows (NF)", the box "Definition"'
TURNED = 1                                                       # the variant in which x_2 bends x_1
TRAIN, HELD_OUT = 400, 256
# Nats a sample. Where the data bend least, least squares gains 0.66 nats on the Gaussian, with a standard deviation of
# 0.10 over 1000 draws of both data sets: a right answer would have to be 5.5 of these below its mean to be refused.
MARGIN = 0.1
MASS = 1.2                                                       # of a density on the grid; a map that folds has more
SINGULAR = -12.0                                                 # log abs det: the slope of x^3 is a millionth by then
STANDARD = nf.StandardNormal(2)


class Parabola(nf.Flow):
    """z_1 = x_1, z_2 = (x_2 - height - bend x_1^2) / width; `turned`, with x_1 and x_2 exchanged."""

    def __init__(self, height, bend, width, turned):
        super().__init__((2,))
        self.height, self.bend, self.width, self.order = height, bend, width, [1, 0] if turned else [0, 1]

    def forward(self, x):
        first, second = x[:, self.order].T
        z = np.stack([first, (second - self.height - self.bend * first ** 2) / self.width], axis=1)
        return z[:, self.order], np.full(len(x), -math.log(self.width))

    def inverse(self, z):
        first, second = z[:, self.order].T
        x = np.stack([first, self.width * second + self.height + self.bend * first ** 2], axis=1)
        return x[:, self.order], np.full(len(z), math.log(self.width))


def cases(rng, variant):
    """A parabola of simple numbers, at whole ones, then drawn ones."""
    truth = Parabola(1.0, -1.0, 0.5, variant == TURNED)
    a, b = ("x_2", "x_1") if variant == TURNED else ("x_1", "x_2")
    text = f"{TRAIN} rows, {a} ~ N(0, 1), {b} = 1 - {a}^2 + noise of width 0.5"
    x, z = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [2.0, -3.0], [-2.0, 0.0]])
    yield case(truth, rng, x, z, {"x": x, "z": z, "x_train": text})
    for sign in (-1, 1):
        truth = Parabola(rng.uniform(-2, 2), sign * rng.uniform(0.7, 1.3), rng.uniform(0.4, 0.6), variant == TURNED)
        yield case(truth, rng, truth.inverse(rng.standard_normal((8, 2)))[0], rng.standard_normal((8, 2)))


def case(truth, rng, x, z, show=None):
    train, held_out = (truth.inverse(rng.standard_normal((n, 2)))[0] for n in (TRAIN, HELD_OUT))
    return Case(show, x=x, z=z, truth=truth, train=train, held_out=held_out, made=[])


def reference(case, variant):
    """The flow that the data are drawn from."""
    return SimpleNamespace(invented_flow=lambda x_train: case.truth)


def made_by(answers, case):
    """The flow that `answers` makes of the case's training data: once a case, since it may be fitted."""
    for maker, flow in case.made:
        if maker is answers:
            return flow
    flow = answers.invented_flow(case.train)
    if flow is None:
        raise Fail("expected an object with forward and inverse, got None: is a return missing?")
    case.made.append((answers, flow))
    return flow


FORWARD = Call(lambda answers, case, x: made_by(answers, case).forward(x), ["z", "log_det"], shows=["x", "x_train"])
INVERSE = Call(lambda answers, case, z: made_by(answers, case).inverse(z), ["x", "log_det"], argument="z",
               shows=["z", "x_train"])


def jacobians(answers, case, x):
    """``J[i, a, b] = dz_a / dx_b``, from values alone."""
    return jacobian(lambda x: rows_of(FORWARD(answers, case, x)["z"], x, "z"), x)


def somewhere(case):
    return np.concatenate([case.x, case.held_out[:8]])


def undone(answers, case, reference):
    agree(INVERSE(answers, case, FORWARD(answers, case)["z"])["x"], case.x, "inverse(forward(x))")


def reached(answers, case, reference):
    """tanh is an inverse of something, but not on all of R^m."""
    question = "These z are samples of N(0, I): which x do they come from?"
    x = INVERSE(answers, case)["x"]
    if not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x.reshape(len(x), -1)).all(axis=1)))
        raise Fail(f"at z = {show(case.z[row])} the inverse gives {show(x[row])}", question)
    try:
        agree(FORWARD(answers, case, x)["z"], case.z, "forward(inverse(z))")
    except Fail as fail:
        raise Fail(fail.seen, fail.question or question) from None


def regular(answers, case, reference):
    """x^3 is invertible, and its inverse has no derivative at 0."""
    x = somewhere(case)
    log_abs_det = np.linalg.slogdet(jacobians(answers, case, x))[1]
    if not (log_abs_det > SINGULAR).all():
        row = int(np.argmin(log_abs_det > SINGULAR))
        raise Fail(f"at x = {show(x[row])} the determinant of the Jacobian is {np.exp(log_abs_det[row]):.3g}",
                   "A slope of 0: how steep is the inverse there, and what is the density?")


def bends(answers, case, reference):
    """The identity is a flow, and so is every invertible matrix."""
    J = jacobians(answers, case, somewhere(case))
    if not np.ptp(J, axis=0).max() > TOLERANCE * (1 + np.abs(J).max()):
        raise Fail(f"the Jacobian is {show(J[0].ravel())}, row by row, wherever it was looked at",
                   "A straight map makes a Gaussian of a Gaussian: which densities can it not reach?")


def couples(answers, case, reference):
    """x^3 and tanh, or any function of one coordinate at a time, with rows exchanged or not."""
    J = jacobians(answers, case, somewhere(case))
    moves = (np.abs(J) > TOLERANCE).any(axis=0)
    if not (moves.sum(axis=1) > 1).any():
        raise Fail("each z_j moves with one coordinate of x only",
                   "p(x) is then a product of a density for each coordinate: what does x_1 tell about x_2 in the data?")
    bends(answers, case, reference)


def beats(answers, case, reference):
    """The mean log p(x) of held-out data, with the grader's own Jacobians; of a density that has mass 1."""
    couples(answers, case, reference)
    total = mass(answers, case)
    if not total < MASS:
        raise Fail(f"the area below your p(x) is {total:.3g}, as far as that can be seen on a grid",
                   "More than 1: do several x share one z?")
    got = log_prob(answers, case, case.held_out).mean()
    gaussian = nf.Gaussian(case.train.mean(axis=0), np.cov(case.train.T, bias=True))
    best = gaussian.log_prob(case.held_out).mean()
    if not got > best + MARGIN:
        raise Fail(f"log p(x) of {HELD_OUT} rows held back is {got:.3f} nats on average; the Gaussian with mean and "
                   f"covariance of x_train has {best:.3f}; more than {MARGIN} better is asked for",
                   "Draw z = f(x) of the data: does it look like N(0, I)? What is left in it that can be told?")


def log_prob(answers, case, x):
    z = rows_of(FORWARD(answers, case, x)["z"], x, "z")
    return STANDARD.log_prob(z) + np.linalg.slogdet(jacobians(answers, case, x))[1]


def mass(answers, case):
    """The midpoint rule on a box that holds the data; its steps are as wide as the parabola or less."""
    low, high = case.held_out.min(axis=0) - 1, case.held_out.max(axis=0) + 1
    steps = np.ceil((high - low) / 0.4).astype(int)
    sides = [low[b] + (np.arange(steps[b]) + 0.5) * (high[b] - low[b]) / steps[b] for b in (0, 1)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    return float(np.exp(log_prob(answers, case, grid)).sum() * np.prod((high - low) / steps))


BEATS = "held-out data are likelier than under the best Gaussian"
UNDONE, REACHED = "the inverse undoes the forward transform", "every z has an x"
REGULAR, BENDS = "the Jacobian is nowhere singular", "the Jacobian is not the same everywhere"
COUPLES = "it couples x_1 and x_2, and not by a matrix"

ANSWER = '''
import types
import numpy as np


def invented_flow(x_train):
    mean, std = x_train[:, 0].mean(), x_train[:, 0].std()

    def features(x_1):
        return np.stack([np.ones_like(x_1), x_1, x_1 ** 2], axis=1)

    weights = np.linalg.lstsq(features(x_train[:, 0]), x_train[:, 1], rcond=None)[0]
    width = (x_train[:, 1] - features(x_train[:, 0]) @ weights).std()
    log_det = -np.log(std) - np.log(width)

    def forward(x):
        z_1 = (x[:, 0] - mean) / std
        z_2 = (x[:, 1] - features(x[:, 0]) @ weights) / width
        return np.stack([z_1, z_2], axis=1), np.full(len(x), log_det)

    def inverse(z):
        x_1 = std * z[:, 0] + mean
        x_2 = width * z[:, 1] + features(x_1) @ weights
        return np.stack([x_1, x_2], axis=1), np.full(len(z), -log_det)

    return types.SimpleNamespace(forward=forward, inverse=inverse)
'''

# Rational bumps in the shift, a scale that depends on x_1, loops over rows, and an inverse by bisection.
BY_BISECTION = '''
import math
import numpy as np


class Flow:
    def __init__(self, x_train):
        self.w = np.linalg.lstsq(np.array([self.features(a) for a in x_train[:, 0]]), x_train[:, 1], rcond=None)[0]
        rest = [b - self.shift(a) for a, b in x_train]
        self.scale = 1 / np.std(rest)

    def features(self, a):
        return [1.0, a, a * a, 1 / (1 + a * a)]

    def shift(self, a):
        return float(np.dot(self.w, self.features(a)))

    def bent(self, b):
        return b + 0.1 * math.tanh(b)

    def forward(self, x):
        z, log_det = [], []
        for a, b in x:
            scale = self.scale * math.exp(0.05 * math.sin(a))
            rest = (b - self.shift(a)) * scale
            z.append([a, self.bent(rest)])
            log_det.append(math.log(scale) + math.log(1 + 0.1 / math.cosh(min(abs(rest), 300)) ** 2))
        return np.array(z), np.array(log_det)

    def inverse(self, z):
        x = []
        for a, target in z:
            low, high = target - 1, target + 1
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if self.bent(middle) < target else (low, middle)
            x.append([a, low / (self.scale * math.exp(0.05 * math.sin(a))) + self.shift(a)])
        x = np.array(x)
        return x, -self.forward(x)[1]


def invented_flow(x_train):
    return Flow(x_train)
'''

ELEMENTWISE = '''
import types
import numpy as np


def invented_flow(x_train):
    def forward(x):
        return {f}, np.log({slope}).sum(axis=1)

    def inverse(z):
        x = {g}
        return x, -np.log({slope}).sum(axis=1)

    return types.SimpleNamespace(forward=forward, inverse=inverse)
'''


def elementwise(f, g, slope):
    """A whole answer, as a change of ANSWER."""
    return {ANSWER: ELEMENTWISE.format(f=f, g=g, slope=slope)}


PART = "invented_flow"
EXERCISE = Exercise(
    title="Invent a flow", slide="Normalizing flows (NF)", minutes=60,
    cases=cases, reference=reference, answer=ANSWER,
    parts={PART: [
        Property(COUPLES, couples, read='slide "Jacobian structure", case 3', shows=["x_train"]),
        Property(BEATS, beats, share=4, read='slide "Fitting normalizing flows"', shows=["x_train"]),
        Property(BENDS, bends, read='slide "Linear normalizing flows"', shows=["x", "x_train"], **SUPPORTING),
        Property(REGULAR, regular, read='slide "Jacobian determinant", the box "Inverse function theorem"',
                 shows=["x", "x_train"], **SUPPORTING),
        Property(UNDONE, undone, read=READ, shows=["x", "x_train"], **SUPPORTING),
        Property(REACHED, reached, read=READ, shows=["z", "x_train"], **SUPPORTING),
        shapes(FORWARD, "z and log_det: right shape, finite"),
        log_det_of_jacobian(FORWARD, "z", read='slide "Jacobian determinant"'),
        log_det_of_jacobian(INVERSE, "x", name="the inverse's log_det is that of the Jacobian of x",
                            read='slide "Jacobian determinant", the box "Inverse function theorem"'),
        rows_apart(FORWARD),
        leaves_inputs_alone(FORWARD)]},
    right={
        "an object, row by row, inverted by bisection": BY_BISECTION,
        "more features than it takes": {"x_1 ** 2]": "x_1 ** 2, np.sin(x_1), np.tanh(x_1)]"},
        "z_1 and z_2 exchanged, turned round": {
            "return np.stack([z_1, z_2], axis=1)": "return np.stack([-z_2, z_1], axis=1)",
            "z[:, 0] + mean": "z[:, 1] + mean", "width * z[:, 1]": "-width * z[:, 0]"}},
    wrong=[
        Wrong("the identity", elementwise("1.0 * x", "1.0 * z", "np.ones_like(x)"), PART, BENDS,
              asks="straight map", credit=0),
        Wrong("the best Gaussian", {"x_1, x_1 ** 2]": "x_1]"}, PART, BEATS, asks="straight map", credit=0),
        Wrong("x^3", elementwise("x ** 3", "np.cbrt(z)", "3 * x ** 2"), PART, REGULAR, asks="how steep", credit=0),
        Wrong("x^3 does not couple", elementwise("x ** 3", "np.cbrt(z)", "3 * x ** 2"), PART, COUPLES,
              asks="a product of", credit=0),
        Wrong("tanh", elementwise("np.tanh(x)", "np.arctanh(z)", "1 / np.cosh(x) ** 2"), PART, REACHED,
              asks="which x", credit=0),
        Wrong("tanh does not couple", elementwise("np.tanh(x)", "np.arctanh(z)", "1 / np.cosh(x) ** 2"), PART, BEATS,
              asks="a product of", credit=0),
        Wrong("arcsinh of each, exchanged", elementwise(
            "np.arcsinh(x)[:, ::-1]", "np.sinh(z)[:, ::-1]", "1 / np.sqrt(1 + x ** 2)"), PART, COUPLES,
            asks="a product of", credit=0),
        Wrong("another bend than that of the data", {
            "np.linalg.lstsq(features(x_train[:, 0]), x_train[:, 1], rcond=None)[0]": "np.array([0.0, 0.0, 0.1])"},
            PART, BEATS, asks="look like N(0, I)", credit=0.6),
        Wrong("folds", {"        return np.stack([z_1, z_2], axis=1), np.full(len(x), log_det)":
                        "        return np.stack([z_1, 30 * np.sin(z_2)], axis=1), np.full(len(x), log_det)"},
              PART, BEATS, asks="share one z", credit=0.5),
        Wrong("log_det of the other direction", {"len(z), -log_det": "len(z), log_det"}, PART,
              "the inverse's log_det is that of the Jacobian of x", asks="sign is wrong"),
        Wrong("the logarithm of one slope only", {"log_det = -np.log(std) - np.log(width)": "log_det = -np.log(width)"},
              PART, "log_det is that of the Jacobian of z", asks="not counted"),
        Wrong("the inverse is conditioned on z_1", {"features(x_1) @ weights": "features(z[:, 0]) @ weights"},
              PART, UNDONE, credit=0.95),
        Wrong("standardised by the batch", {"z_1 = (x[:, 0] - mean)": "z_1 = (x[:, 0] - x[:, 0].mean())"},
              PART, "a row does not see other rows", asks="over the batch")],
    variants={
        TURNED: Variant(
            {"np.stack([x_1, height + bend * x_1 ** 2 + width * noise], axis=1)":
             "np.stack([height + bend * x_2 ** 2 + width * noise, x_2], axis=1)",
             "x_1, noise =": "x_2, noise ="},
            {"x_train[:, 0]": "x_train[:, :1].T[0]", "x[:, 0]": "x[:, :1].T[0]", "z[:, 0]": "z[:, :1].T[0]",
             "x_train[:, 1]": "x_train[:, 0]", "x[:, 1]": "x[:, 0]", "z[:, 1]": "z[:, 0]",
             "[:, :1].T[0]": "[:, 1]", "[z_1, z_2]": "[z_2, z_1]", "np.stack([x_1, x_2]": "np.stack([x_2, x_1]"})})
