"""Checks of `assemble_model`: the reference is the library's model, whose base density draws the given noise."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import (TOLERANCE, Call, agree, equals, jacobian, leaves_inputs_alone, rows_apart,
                                         rows_of, shapes)

FIT = 'slide "Fitting normalizing flows", the box "MLE problem"'
DEFINITION = 'slide "Normalizing flows (NF)", the box "Definition"'
LOG_P, X = "log_p has the values that it must have", "x has the values that it must have"
DIFFERENCES = "log_p, up to a constant"
LOG_PROB, SAMPLE = "assemble_model_log_prob", "assemble_model_sample"
WIDE, BITS = 1, 2                                                # the variants: a base density N(0, 4 I); bits


class Base(nf.Gaussian):
    """N(0, scale^2 I), of which this noise is the next draw."""

    def __init__(self, noise, scale):
        super().__init__(np.zeros(noise.shape[1]), scale ** 2 * np.eye(noise.shape[1]))
        self.noise = scale * noise

    def sample(self, n, rng=None):
        return self.noise[:n]


def cases(rng, variant):
    """Two coordinates: a stretch, then a flow that stretches differently at each x; then drawn ones."""
    curve = nf.GaussianAutoregressive(2, ())
    curve.net.W0[...], curve.net.b0[...] = 1, [1, 0, 0, 0]
    for x, flow, text in (([[1, 2]], nf.Diagonal(2, W=[[2, 0], [0, -3]]), "z = (2 x_1, -3 x_2)"),
                          ([[1, 2], [0, 1]], curve, "z = (x_1 - 1, (x_2 - x_1) / sigma(x_1)), "
                                                    "log sigma = 5 tanh(x_1 / 5)")):
        yield case(np.array(x, float), flow, np.array(x, float) - 1, variant, text)
    for n, m in ((1, 3), (5, 1), (4, 4)):
        flow = nf.testing.randomize(nf.Composition([nf.GaussianAutoregressive(m, (4,), "tanh"), nf.Diagonal(m)]), rng)
        yield case(rng.standard_normal((n, m)), flow, rng.standard_normal((n, m)), variant)


def case(x, flow, noise, variant, text=None):
    show = text and {"x": x, "noise": noise, "flow": text}
    return Case(show, x=x, noise=noise, flow=flow, scale=2.0 if variant == WIDE else 1.0,
                unit=math.log(2) if variant == BITS else 1.0)


def given(case):
    return SimpleNamespace(forward=case.flow.forward, inverse=case.flow.inverse)


def reference(case, variant=0):
    """The library's model."""
    def model(noise):
        return nf.NormalizingFlow(case.flow, Base(noise, case.scale))

    return SimpleNamespace(assemble_model_log_prob=lambda x, flow: model(x).log_prob(x) / case.unit,
                           assemble_model_sample=lambda noise, flow: model(noise).sample(len(noise)))


DENSITY = Call(lambda answers, case, x: answers.assemble_model_log_prob(x, given(case)), ["log_p"], shows=["x", "flow"])
SAMPLES = Call(lambda answers, case, noise: answers.assemble_model_sample(noise, given(case)), ["x"], argument="noise",
               shows=["noise", "flow"])


def suspects_of_log_p(case, expected):
    z, log_det = case.flow.forward(case.x)
    base = nf.StandardNormal(case.x.shape[1])
    log_p, constant = base.log_prob(z), 0.5 * case.x.shape[1] * math.log(2 * math.pi)
    return [(value, question) for value, question in (
        (log_p - log_det, "The logarithm of the determinant has the other sign: does a density grow where the flow "
                          "stretches?"),
        (log_p, "Is the change of volume anywhere in it?"),
        (base.log_prob(case.x) + log_det, "The known density is that of z: at which point is it taken?"),
        (log_p + log_det + constant, "Off by the same number everywhere: does the base density have area 1?"),
        (log_p + log_det + constant - constant / case.x.shape[1],
         "Off by the same number everywhere: how often does one coordinate's constant come up?"),
        (2 * log_p + constant + log_det, "What stands in front of the square in the exponent of a Gaussian?"),
        (-log_p - 2 * constant + log_det, "Does the density grow with the distance from 0?"),
        (np.exp(log_p + log_det), "Is it p(x), or its logarithm?"),
        (np.exp(log_p) * log_det, "Which of the two terms is a logarithm, and which is not?"))]


def suspects_of_x(case, expected):
    return [(case.flow.forward(case.noise)[0], "Noise went the way that data go: which direction makes samples?"),
            (case.noise, "The samples are the noise itself: is the flow in it?")]


def differences(answers, case, reference):
    """log p(x_i) - log p(x_1): what is right of a density that has not area 1."""
    x = np.concatenate([case.x, case.x[::-1] + 1.0])
    got, expected = (DENSITY(this, case, x)["log_p"].ravel() for this in (answers, reference))
    if got.shape != expected.shape:
        raise Fail(f"expected {len(x)} numbers for {len(x)} rows, got {got.size}", "What belongs to each sample?")
    agree(got - got[0], expected - expected[0], "log p(x) - log p(x of row 0)")


def belongs_together(call, output):
    """Property: what is not right is at least a density and samples of one model; else it is no convention."""
    def check(answers, case, other):
        if not (hasattr(answers, LOG_PROB) and hasattr(answers, SAMPLE)):                # a pack with one of the two
            return
        got, expected = (call(this, case)[output] for this in (answers, reference(case)))
        if got.shape == expected.shape and np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
            return

        def sample(noise):
            return rows_of(SAMPLES(answers, case, noise)["x"], noise, "x")

        log_det = np.linalg.slogdet(jacobian(sample, case.noise))[1]
        expected = (nf.StandardNormal(case.noise.shape[1]).log_prob(case.noise) - log_det) / case.unit
        agree(DENSITY(answers, case, sample(case.noise))["log_p"], expected, "your log_p of your samples")
    return Property("samples and log_p belong to one model", check, share=0, alone=False, read=DEFINITION,
                    shows=call.shows)


ANSWER = '''
import numpy as np


def assemble_model_log_prob(x, flow):
    z, log_det = flow.forward(x)
    log_p = -0.5 * (z ** 2).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    return log_p + log_det


def assemble_model_sample(noise, flow):
    x, _ = flow.inverse(noise)
    return x
'''

BY_ROWS = '''
import math


def assemble_model_log_prob(x, flow):
    result = []
    for row in x:
        z, log_det = flow.forward(row[None])
        p = math.exp(log_det[0])
        for z_j in z[0]:
            p *= math.exp(-z_j ** 2 / 2) / math.sqrt(2 * math.pi)
        result.append(math.log(p))
    return result


def assemble_model_sample(noise, flow):
    return [flow.inverse(row[None])[0][0] for row in noise]
'''

THROUGH_Z = '''
import numpy


def assemble_model_log_prob(x, flow):
    z = flow.forward(x)[0]
    p = numpy.exp(-z * z / 2) / numpy.sqrt(2 * numpy.pi)
    return numpy.log(p).sum(axis=-1) - flow.inverse(z)[1]


def assemble_model_sample(noise, flow):
    return flow.inverse(noise)[0].copy()
'''

EXERCISE = Exercise(
    title="A model", slide="Fitting normalizing flows", minutes=15,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        LOG_PROB: [
            equals(DENSITY, "log_p", LOG_P, suspects=suspects_of_log_p, share=3, read=FIT),
            Property(DIFFERENCES, differences, share=2, read=FIT, shows=DENSITY.shows),
            shapes(DENSITY),
            rows_apart(DENSITY),
            leaves_inputs_alone(DENSITY),
            belongs_together(DENSITY, "log_p")],
        SAMPLE: [
            equals(SAMPLES, "x", X, suspects=suspects_of_x, share=3, read=DEFINITION),
            shapes(SAMPLES),
            rows_apart(SAMPLES),
            leaves_inputs_alone(SAMPLES),
            belongs_together(SAMPLES, "x")]},
    right={"row by row, through p": BY_ROWS, "the logarithm of p(z), and minus the inverse's log_det": THROUGH_Z},
    wrong=[
        Wrong("minus log_det", {"log_p + log_det": "log_p - log_det"}, LOG_PROB, LOG_P, asks="other sign", credit=0),
        Wrong("no log_det", {"log_p + log_det": "log_p"}, LOG_PROB, LOG_P, asks="change of volume", credit=0),
        Wrong("the base density at x", {"(z ** 2)": "(x ** 2)"}, LOG_PROB, LOG_P, asks="at which point", credit=0),
        Wrong("no constant", {" - 0.5 * z.shape[1] * np.log(2 * np.pi)": ""}, LOG_PROB, LOG_P, asks="area 1",
              credit=0.55),
        Wrong("the constant of one coordinate", {"z.shape[1] * np.log": "np.log"}, LOG_PROB, LOG_P,
              asks="how often does one", credit=0.55),
        Wrong("no half", {"-0.5 * (z": "-(z"}, LOG_PROB, LOG_P, asks="in front of the square", credit=0),
        Wrong("p for log p", {"return log_p + log_det": "return np.exp(log_p) * np.exp(log_det)"}, LOG_PROB, LOG_P,
              asks="or its logarithm", credit=0),
        Wrong("log_det summed over the batch", {"log_p + log_det": "log_p + log_det.sum()"}, LOG_PROB,
              "a row does not see other rows", asks="sum or a mean over the batch", credit=0),
        Wrong("one number for the batch", {"log_p + log_det": "(log_p + log_det).sum()"}, LOG_PROB, LOG_P,
              asks="One number for the whole batch", credit=0),
        Wrong("a column added to a row", {".sum(axis=1)": ".sum(axis=1, keepdims=True)"}, LOG_PROB, LOG_P, credit=0),
        Wrong("forward for inverse", {"flow.inverse(noise)": "flow.forward(noise)"}, SAMPLE, X,
              asks="way that data go", credit=0),
        Wrong("the pair", {"x, _ = flow.inverse(noise)": "x = flow.inverse(noise)"}, SAMPLE, X, credit=0),
        Wrong("noise of its own", {"flow.inverse(noise)": "flow.inverse(np.random.default_rng(0).standard_normal("
                                                          "noise.shape))"}, SAMPLE, X, credit=0),
        Wrong("the noise itself", {"return x\n": "return noise\n"}, SAMPLE, X, asks="noise itself", credit=0),
        Wrong("more noise", {"return x\n": "return x + noise\n"}, SAMPLE, X, credit=0)],
    opposite=[Opposite("It keeps to another convention: its flow goes from noise to data, x = f(z).",
                       {"flow.forward(x)": "flow.inverse(x)", "flow.inverse(noise)": "flow.forward(noise)"})],
    variants={
        WIDE: Variant({"The base density is standard normal, p(z) = N(z; 0, I).":
                       "The base density is normal with standard deviation 2, p(z) = N(z; 0, 4 I)."},
                      {"np.log(2 * np.pi)": "np.log(8 * np.pi)", "-0.5 * (z ** 2)": "-0.125 * (z ** 2)",
                       "flow.inverse(noise)": "flow.inverse(2 * noise)"}),
        BITS: Variant({"log p(x) of each row, in nats.": "The logarithm to base 2 of p(x), of each row, in bits.",
                       "Returns log p(x), (n,).": "Returns (n,). The flow's log_det is in nats all the same."},
                      {"return log_p + log_det": "return (log_p + log_det) / np.log(2)"})})
