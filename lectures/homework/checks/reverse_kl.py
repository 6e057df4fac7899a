"""Checks of `reverse_kl`: the reference is the library's function of that name; its base density draws the given z."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, equals, leaves_inputs_alone, shapes

READ = 'slide "Recap of previous lecture", the box "Reverse KL"'
VALUE, GRADIENT = "the estimate has the value that it must have", "the gradient has the values that it must have"
OWN = "the gradient is that of your estimate"
PART = "reverse_kl_estimate"
ENERGY, BITS = 1, 2                                              # the variants: an energy for log pi; bits
STEP = 1e-4                                                      # of a central difference, right to eight digits


class Base(nf.StandardNormal):
    """The standard normal, of which these z are the next draw."""

    def __init__(self, z):
        super().__init__(z.shape[1])
        self.z = z

    def sample(self, n, rng=None, dtype=np.float64):
        return self.z[:n].astype(dtype)


def cases(rng, variant):
    """A stretch and a shift of two coordinates, one row and two; then drawn ones, with two modes."""
    for z in ([[1, 2]], [[1, 2], [0, -1]]):
        flow = nf.Inverse(nf.Diagonal(2, W=[[2, 0], [0, -1]]))
        flow.flow.b[...] = [-1, 1]
        yield case(np.array(z, float), flow, nf.Gaussian([-1.0, 1.0], np.diag([1.0, 4.0])), variant, {
            "g": "x = (2 z_1 - 1, -z_2 + 1)", "pi": "N(x_1; -1, 1) N(x_2; 1, 4)",
            "theta": "(log abs a_1, log abs a_2, b_1, b_2) of x_j = a_j z_j + b_j"})
    for n, m in ((3, 1), (4, 4)):
        flow = nf.Composition([nf.Inverse(nf.GaussianAutoregressive(m, (3,), "tanh")), nf.Diagonal(m)])
        target = nf.energies.GaussianMixture(rng.standard_normal((2, m)), scales=1.5)
        yield case(rng.standard_normal((n, m)), nf.testing.randomize(flow, rng), target, variant)


def case(z, flow, target, variant, texts=None):
    sign = -1.0 if variant == ENERGY else 1.0
    unit = math.log(2) if variant == BITS else 1.0
    return Case({"z": z, **texts} if texts else None, z=z, flow=flow, target=target, unit=unit,
                log_pi=lambda x: sign * target.log_prob(x) / unit, score=lambda x: sign * target.score(x) / unit)


def reference(case, variant):
    """The library's value and gradient, from the given z."""
    def estimate(z, inverse_vjp, log_pi, score):
        model = nf.NormalizingFlow(case.flow, Base(z))
        value, gradient = nf.reverse_kl(model, case.target, len(z), np.random.default_rng(0))
        return value / case.unit, gradient / case.unit

    return SimpleNamespace(reverse_kl_estimate=estimate)


RESULT = Call(lambda answers, case, z: answers.reverse_kl_estimate(z, case.flow.inverse_vjp, case.log_pi, case.score),
              ["kl", "gradient"], argument="z")


def suspects_of_kl(case, expected):
    x, log_det = case.flow.inverse(case.z)
    n, m = case.z.shape
    log_p, log_pi = nf.StandardNormal(m).log_prob(case.z).mean(), case.target.log_prob(x).mean()
    log_det, constant = log_det.mean(), m / 2 * math.log(2 * math.pi)
    right = log_p - log_det - log_pi
    return [(value / case.unit, question) for value, question in (
        (-right, "The right size and the wrong sign: which density is in the numerator?"),
        (right - log_p, "Is the density of the samples in it, all of it?"),
        (right + constant, "Off by a number that depends on m only: does the base density have area 1?"),
        (right + 2 * log_det, "log_det has the wrong sign: where g stretches, does the density of the samples grow?"),
        (right + log_det, "Is the change of volume anywhere in it?"),
        (right + 2 * log_pi, "log pi has the wrong sign: is the estimate small where samples are likely under pi?"),
        (right + log_pi, "Is the target anywhere in it?"),
        (right + log_pi - case.target.log_prob(case.z).mean(),
         "The target is a density of x: at which point is it taken?"),
        (n * right, "Is it a sum over samples, or a mean?"), (right / n, "Is it a sum over samples, or a mean?"))]


def suspects_of_gradient(case, expected):
    (x, log_det), vjp = case.flow.inverse_vjp(case.z)
    n, m = x.shape
    score = case.target.score(x)
    through_x, through_log_det = vjp(-score / n, 0 * log_det)[1], vjp(0 * x, np.full(n, -1 / n))[1]
    right, missing = through_x + through_log_det, "theta reaches the estimate on two ways: which one is missing?"
    uneven = "One of the two ways counts more than the other: is the mean taken on both?"
    return [(value / case.unit, question) for value, question in (
        (-right, "The right size and the wrong sign: does this gradient lead uphill?"),
        (through_log_det - through_x,
         "Where do the samples go when theta follows this gradient down: to where pi is large, or away?"),
        (through_x - through_log_det,
         "Do samples spread or contract when theta follows this gradient down, and what does the estimate want?"),
        (through_x, missing), (through_log_det, missing),
        (n * right, "Off by the number of samples: is it a sum over the batch, or a mean?"),
        (right / n, "Off by the number of samples: is it a sum over the batch, or a mean?"),
        (n * through_x + through_log_det, uneven), (through_x + n * through_log_det, uneven),
        (vjp(-score / n - case.z / n, np.full(n, -1 / n))[1],
         "Something flows back through x that does not depend on theta: what does z depend on?"),
        (vjp(-case.target.score(case.z) / n, np.full(n, -1 / n))[1],
         "The score is a function of x: at which point is it taken?"))]


def own_gradient(answers, case, reference):
    """The answer's estimate at other theta, against its gradient, in one direction that no parameter is left out of."""
    v = np.cos(np.arange(case.flow.n_params))
    theta, values = case.flow.theta.copy(), []
    got = RESULT(answers, case)
    try:
        for h in (STEP, -STEP):
            case.flow.theta = theta + h * v
            values.append(float(RESULT(answers, case)["kl"].ravel()[0]))
    finally:
        case.flow.theta = theta
    if got["gradient"].shape != theta.shape:
        raise Fail(f"expected gradient of shape {theta.shape}, got {got['gradient'].shape}",
                   "Of which two gradients that come back is this one?")
    slope, expected = float(got["gradient"] @ v), (values[0] - values[1]) / (2 * STEP)
    if not abs(slope - expected) <= 1e-5 * (1 + abs(expected)):
        raise Fail(f"in one direction the gradient says {slope:.6g}, and your own estimate changes by {expected:.6g} "
                   "per unit of theta", "Is it the same noise in both, and is each term in both?")


ANSWER = '''
import numpy as np


def reverse_kl_estimate(z, inverse_vjp, log_pi, score):
    n, m = z.shape
    (x, log_det), vjp = inverse_vjp(z)
    log_p = -0.5 * (z ** 2).sum(axis=1) - 0.5 * m * np.log(2 * np.pi) - log_det
    _, gradient = vjp(-score(x) / n, np.full(n, -1 / n))
    return np.mean(log_p - log_pi(x)), gradient
'''

BY_ROWS = '''
import math


def reverse_kl_estimate(z, inverse_vjp, log_pi, score):
    kl, gradient = 0, 0
    for row in z:
        (x, log_det), vjp = inverse_vjp(row[None])
        p = math.exp(-log_det[0])
        for z_j in row:
            p = p * math.exp(-z_j ** 2 / 2) / math.sqrt(2 * math.pi)
        kl += (math.log(p) - log_pi(x)[0]) / len(z)
        gradient = gradient + vjp(-score(x), 0 * log_det - 1)[1] / len(z)
    return kl, gradient
'''

TWO_WAYS = '''
import numpy


def reverse_kl_estimate(z, inverse_vjp, log_pi, score):
    (x, log_det), vjp = inverse_vjp(z)
    entropy = ((z * z).sum() + z.size * numpy.log(2 * numpy.pi)) / 2 + log_det.sum()
    through_x = vjp(score(x), numpy.zeros(len(z)))[1]
    through_log_det = vjp(numpy.zeros(z.shape), numpy.ones(len(z)))[1]
    return [-(entropy + log_pi(x).sum()) / len(z), -(through_x + through_log_det) / len(z)]
'''

GRADIENT_LINE = "vjp(-score(x) / n, np.full(n, -1 / n))"
EXERCISE = Exercise(
    title="The reverse KL divergence", slide="Recap of previous lecture", minutes=40,
    cases=cases, reference=reference, answer=ANSWER,
    parts={PART: [
        equals(RESULT, "kl", VALUE, suspects=suspects_of_kl, share=3, read=READ),
        equals(RESULT, "gradient", GRADIENT, suspects=suspects_of_gradient, share=3, read=READ),
        Property(OWN, own_gradient, share=0.5, alone=False, read=READ),
        shapes(RESULT, share=0.25),
        leaves_inputs_alone(RESULT, share=0.25)]},
    right={"row by row": BY_ROWS, "one way after the other": TWO_WAYS},
    wrong=[
        Wrong("log p(z) dropped", {"-0.5 * (z ** 2).sum(axis=1) - 0.5 * m * np.log(2 * np.pi) - log_det": "-log_det"},
              PART, VALUE, asks="density of the samples", credit=0.6),
        Wrong("no constant", {" - 0.5 * m * np.log(2 * np.pi)": ""}, PART, VALUE, asks="area 1", credit=0.6),
        Wrong("log_det dropped", {" - log_det\n": "\n", "np.full(n, -1 / n)": "np.zeros(n)"}, PART, GRADIENT,
              asks="which one is missing", credit=0),
        Wrong("log_det's sign, in both", {" - log_det\n": " + log_det\n", "np.full(n, -1 / n)": "np.full(n, 1 / n)"},
              PART, VALUE, asks="log_det has the wrong sign", credit=0),
        Wrong("log_det's sign, in the gradient", {"np.full(n, -1 / n)": "np.full(n, 1 / n)"}, PART, GRADIENT,
              asks="spread or contract", credit=0.5),
        Wrong("+ score", {"vjp(-score": "vjp(score"}, PART, GRADIENT, asks="where pi is", credit=0.5),
        Wrong("x detached", {"-score(x) / n": "0 * x"}, PART, GRADIENT, asks="which one is missing", credit=0.5),
        Wrong("no path through log_det", {"np.full(n, -1 / n)": "np.zeros(n)"}, PART, GRADIENT,
              asks="which one is missing", credit=0.5),
        Wrong("noise drawn anew for the gradient", {"    _, gradient": """
    z = np.random.default_rng(0).standard_normal(z.shape)
    (y, _), vjp = inverse_vjp(z)
    _, gradient""", "vjp(-score(x)": "vjp(-score(y)"}, PART, GRADIENT, credit=0.5),
        Wrong("noise drawn anew for both", {"    n, m = z.shape": """
    n, m = z.shape
    z = np.random.default_rng(0).standard_normal(z.shape)"""}, PART, VALUE, credit=0),
        Wrong("the target at z", {"log_pi(x)": "log_pi(z)"}, PART, VALUE, asks="density of x", credit=0.6),
        Wrong("the score at z", {"score(x)": "score(z)"}, PART, GRADIENT, asks="function of x", credit=0.5),
        Wrong("no 1/n", {GRADIENT_LINE: "vjp(-score(x), -np.ones(n))"}, PART, GRADIENT, asks="sum over the batch",
              credit=0.5),
        Wrong("1/n on one way", {"np.full(n, -1 / n)": "-np.ones(n)"}, PART, GRADIENT, asks="counts more", credit=0.5),
        Wrong("log p(z) pulls at x", {"vjp(-score(x) / n": "vjp((-z - score(x)) / n"}, PART, GRADIENT,
              asks="depend on", credit=0.5),
        Wrong("the gradient of z", {"_, gradient = vjp": "gradient, _ = vjp"}, PART, OWN, asks="Of which two",
              credit=0.5)],
    opposite=[
        Opposite("It keeps to another convention: the sum over the samples, where their mean was asked for.",
                 {"np.mean": "np.sum", GRADIENT_LINE: "vjp(-score(x), -np.ones(n))"}),
        Opposite("It keeps to another convention: minus the divergence, the lower bound that is made large.",
                 {"np.mean": "-np.mean", GRADIENT_LINE: "vjp(score(x) / n, np.full(n, 1 / n))"})],
    variants={
        ENERGY: Variant({"log_pi(x), (n,), in nats          score(x), (n, m), its gradient with respect to x":
                         "energy(x), (n,), in nats          slope(x), (n, m), its gradient with respect to x",
                         "The target pi is known by two functions:":
                         "The target is pi = exp(-energy):",
                         "inverse_vjp, log_pi, score)": "inverse_vjp, energy, slope)",
                         "inverse_vjp; log_pi; and score.": "inverse_vjp; energy; and slope."},
                        {"- log_pi(x)": "+ log_pi(x)", "-score(x)": "score(x)"}),
        BITS: Variant({"KL(p, pi), in nats,": "KL(p, pi), in bits,",
                       "log_pi(x), (n,), in nats          score(x), (n, m), its gradient":
                       "log_pi(x), (n,), to base 2        score(x), (n, m), its gradient"},
                      {"np.mean(log_p - log_pi(x))": "np.mean(log_p / np.log(2) - log_pi(x))",
                       "np.full(n, -1 / n)": "np.full(n, -1 / n / np.log(2))"})})
