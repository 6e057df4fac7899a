"""Checks of `negative_log_likelihood`: the reference is the library's function of that name, on the library's flows."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, equals, leaves_inputs_alone, shapes

READ = 'slide "Fitting normalizing flows", the box "MLE problem"'
LOSS, GRADIENT = "loss has the value that it must have", "the gradient has the values that it must have"
OWN = "the gradient is that of your loss"
PART = "negative_log_likelihood_loss"
SUM, BITS = 1, 2                                                 # the variants: a sum over samples; bits per dimension
STEP = 1e-4                                                      # of a central difference, right to eight digits


def cases(rng, variant):
    """A stretch and a shift of two coordinates, one row and two; then drawn ones."""
    for x in ([[1, 2]], [[1, 2], [0, -1]]):
        flow = nf.Diagonal(2, W=[[2, 0], [0, -1]])
        flow.b[...] = [-1, 1]
        yield case(np.array(x, float), flow, variant, {
            "flow": "z = (2 x_1 - 1, -x_2 + 1)",
            "theta": "(log abs a_1, log abs a_2, b_1, b_2) of z_j = a_j x_j + b_j"})
    for n, m in ((3, 1), (4, 4), (5, 3)):
        flow = nf.Composition([nf.GaussianAutoregressive(m, (3,), "tanh"), nf.Diagonal(m)])
        yield case(rng.standard_normal((n, m)), nf.testing.randomize(flow, rng), variant)


def case(x, flow, variant, texts=None):
    return Case({"x": x, **texts} if texts else None, x=x, flow=flow,
                unit={SUM: 1 / len(x), BITS: x.shape[1] * math.log(2)}.get(variant, 1.0))


def reference(case, variant):
    """The library's loss and gradient."""
    def loss(x, flow_vjp):
        value, gradient = nf.negative_log_likelihood(nf.NormalizingFlow(case.flow), x)
        return value / case.unit, gradient / case.unit

    return SimpleNamespace(negative_log_likelihood_loss=loss)


RESULT = Call(lambda answers, case, x: answers.negative_log_likelihood_loss(x, case.flow.forward_vjp),
              ["loss", "gradient"])


def suspects_of_loss(case, expected):
    z, log_det = case.flow.forward(case.x)
    n, m = case.x.shape
    log_p, constant = nf.StandardNormal(m).log_prob(z).mean(), m / 2 * math.log(2 * math.pi)
    right = -log_p - log_det.mean()
    return [(value / case.unit, question) for value, question in (
        (-right, "The right size and the wrong sign: is it to be made small, or large?"),
        (right - constant, "Off by a number that depends on m only: does the base density have area 1?"),
        (right - constant + constant / m, "Off by a number that depends on m only: does the base density have area 1?"),
        (-log_p + log_det.mean(), "log_det has the wrong sign: where the flow stretches, does the density grow?"),
        (-log_p, "Is the change of volume anywhere in it?"),
        (n * right, "Is it a sum over samples, or a mean?"), (right / n, "Is it a sum over samples, or a mean?"),
        (right / m, "A mean over coordinates: what is to be averaged?"),
        (-2 * log_p - constant - log_det.mean(), "What stands in front of the square in the exponent of a Gaussian?"))]


def suspects_of_gradient(case, expected):
    (z, log_det), vjp = case.flow.forward_vjp(case.x)
    n, m = case.x.shape
    through_z, through_log_det = vjp(z / n, 0 * log_det)[1], vjp(0 * z, np.full(n, -1 / n))[1]
    right = through_z + through_log_det
    mixed = "z and log_det are both functions of theta: which sign has each of them?"
    uneven = "One of the two ways counts more than the other: is the mean taken on both?"
    return [(value / case.unit, question) for value, question in (
        (-right, "The right size and the wrong sign: does this gradient lead uphill?"),
        (through_z - through_log_det, mixed), (-through_z + through_log_det, mixed),
        (through_z, "theta reaches the loss on two ways: which one is missing?"),
        (through_log_det, "theta reaches the loss on two ways: which one is missing?"),
        (n * right, "Off by the number of samples: is it a sum over the batch, or a mean?"),
        (right / n, "Off by the number of samples: is it a sum over the batch, or a mean?"),
        (n * through_z + through_log_det, uneven),
        (through_z + n * through_log_det, uneven),
        (right / m, "Off by the number of coordinates: what is the mean over?"),
        (2 * through_z + through_log_det, "Twice too much on one way: what is the derivative of half a square?"))]


def own_gradient(answers, case, reference):
    """The answer's loss at other theta, against its gradient, in one direction that no parameter is left out of."""
    v = np.cos(np.arange(case.flow.n_params))
    theta, losses = case.flow.theta.copy(), []
    got = RESULT(answers, case)
    try:
        for h in (STEP, -STEP):
            case.flow.theta = theta + h * v
            losses.append(float(RESULT(answers, case)["loss"].ravel()[0]))
    finally:
        case.flow.theta = theta
    if got["gradient"].shape != theta.shape:
        raise Fail(f"expected gradient of shape {theta.shape}, got {got['gradient'].shape}",
                   "Of which two gradients that come back is this one?")
    slope, expected = float(got["gradient"] @ v), (losses[0] - losses[1]) / (2 * STEP)
    if not abs(slope - expected) <= 1e-5 * (1 + abs(expected)):
        raise Fail(f"in one direction the gradient says {slope:.6g}, and your own loss changes by {expected:.6g} per "
                   "unit of theta", "Is each term of the loss in the gradient, and with the same factor?")


ANSWER = '''
import numpy as np


def negative_log_likelihood_loss(x, flow_vjp):
    (z, log_det), vjp = flow_vjp(x)
    n, m = z.shape
    log_p = -0.5 * (z ** 2).sum(axis=1) - 0.5 * m * np.log(2 * np.pi) + log_det
    _, gradient = vjp(z / n, np.full(n, -1 / n))
    return -log_p.mean(), gradient
'''

BY_ROWS = '''
import math


def negative_log_likelihood_loss(x, flow_vjp):
    loss, gradient = 0, 0
    for row in x:
        (z, log_det), vjp = flow_vjp(row[None])
        for z_j in z[0]:
            loss -= math.log(math.exp(-z_j ** 2 / 2) / math.sqrt(2 * math.pi)) / len(x)
        loss -= log_det[0] / len(x)
        gradient = gradient + vjp(z, -1 + 0 * log_det)[1]
    return loss, gradient / len(x)
'''

TWO_WAYS = '''
import numpy


def negative_log_likelihood_loss(x, flow_vjp):
    (z, log_det), vjp = flow_vjp(x)
    energy = ((z * z).sum() + z.size * numpy.log(2 * numpy.pi)) / 2
    through_z = vjp(z, numpy.zeros(len(x)))[1]
    through_log_det = vjp(numpy.zeros(z.shape), numpy.ones(len(x)))[1]
    return [(energy - log_det.sum()) / len(x), (through_z - through_log_det) / len(x)]
'''

GRADIENT_LINE = "vjp(z / n, np.full(n, -1 / n))"
EXERCISE = Exercise(
    title="The negative log-likelihood", slide="Fitting normalizing flows", minutes=30,
    cases=cases, reference=reference, answer=ANSWER,
    parts={PART: [
        equals(RESULT, "loss", LOSS, suspects=suspects_of_loss, share=3.5, read=READ),
        equals(RESULT, "gradient", GRADIENT, suspects=suspects_of_gradient, share=2.5, read=READ),
        Property(OWN, own_gradient, share=0.5, alone=False, read=READ),
        shapes(RESULT, share=0.25),
        leaves_inputs_alone(RESULT, share=0.25)]},
    right={"row by row": BY_ROWS, "one way after the other": TWO_WAYS},
    wrong=[
        Wrong("no constant", {" - 0.5 * m * np.log(2 * np.pi)": ""}, PART, LOSS, asks="area 1", credit=0.5),
        Wrong("the constant of one coordinate", {"0.5 * m * np": "0.5 * np"}, PART, LOSS, asks="area 1", credit=0.5),
        Wrong("no log_det", {" + log_det": "", "-1 / n": "0.0"}, PART, LOSS, asks="change of volume", credit=0),
        Wrong("minus log_det", {" + log_det": " - log_det", "-1 / n": "1 / n"}, PART, LOSS, asks="wrong sign",
              credit=0),
        Wrong("-z / n", {"vjp(z / n": "vjp(-z / n"}, PART, GRADIENT, asks="which sign", credit=0.58),
        Wrong("+ on log_det", {"np.full(n, -1 / n)": "np.full(n, 1 / n)"}, PART, GRADIENT, asks="which sign",
              credit=0.58),
        Wrong("uphill", {GRADIENT_LINE: "vjp(-z / n, np.full(n, 1 / n))"}, PART, GRADIENT, asks="uphill", credit=0.58),
        Wrong("no 1/n", {GRADIENT_LINE: "vjp(z, np.full(n, -1.0))"}, PART, GRADIENT, asks="sum over the batch",
              credit=0.58),
        Wrong("1/n on one way", {GRADIENT_LINE: "vjp(z / n, np.full(n, -1.0))"}, PART, GRADIENT, asks="counts more",
              credit=0.58),
        Wrong("1/(nm)", {GRADIENT_LINE: "vjp(z / n / m, np.full(n, -1 / n / m))"}, PART, GRADIENT,
              asks="number of coordinates", credit=0.58),
        Wrong("no path through log_det", {"np.full(n, -1 / n)": "np.zeros(n)"}, PART, GRADIENT, asks="two ways",
              credit=0.58),
        Wrong("z for half a square", {"vjp(z / n": "vjp(2 * z / n"}, PART, GRADIENT, asks="half a square", credit=0.58),
        Wrong("the gradient of x", {"_, gradient = vjp": "gradient, _ = vjp"}, PART, OWN, asks="Of which two",
              credit=0.58),
        Wrong("a loss for each sample", {"-log_p.mean()": "-log_p"}, PART, LOSS, asks="One number", credit=0.42)],
    opposite=[
        Opposite("It keeps to another convention: the sum over the samples, where the slide's mean was asked for.",
                 {"log_p.mean()": "log_p.sum()", GRADIENT_LINE: "vjp(z, np.full(n, -1.0))"}),
        Opposite("It keeps to another convention: the log-likelihood itself, which is made large, and its gradient.",
                 {"-log_p.mean()": "log_p.mean()", GRADIENT_LINE: "vjp(-z / n, np.full(n, 1 / n))"})],
    variants={
        SUM: Variant({"a mean over samples, in nats": "a sum over samples, in nats",
                      "loss = -(1/n) sum_i log p(x_i)": "loss = - sum_i log p(x_i)"},
                     {"log_p.mean()": "log_p.sum()", GRADIENT_LINE: "vjp(z, np.full(n, -1.0))"}),
        BITS: Variant({"a mean over samples, in nats, and": "a mean over samples, in bits per dimension, and",
                       "loss = -(1/n) sum_i log p(x_i)": "loss = -(1/(n m)) sum_i log2 p(x_i)"},
                      {"-log_p.mean()": "-log_p.mean() / m / np.log(2)",
                       GRADIENT_LINE: "vjp(z / n / m / np.log(2), np.full(n, -1 / n / m / np.log(2)))"})})
