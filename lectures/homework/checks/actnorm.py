"""Checks of `actnorm`: the reference is the library's flow, initialised on the batch, or at given parameters."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import (SINGLE, SUPPORTING, TOLERANCE, Call, equals, fitted, leaves_inputs_alone,
                                         log_det_of_jacobian, rows_apart, shapes)

READ = 'slide "Jacobian structure", case 2'
PAPER = 'Glow, section 3.1, "Actnorm"'
SCALE_AND_SHIFT, PRECISION = 1, 2                                # variants: z = scale x + shift; log precision
NAMES = {SCALE_AND_SHIFT: ["shift", "log_scale"], PRECISION: ["mu", "log_precision"]}
OUTPUTS = ["output 1", "output 2"]                               # mu and log sigma, whatever the variant calls them


def cases(rng, variant):
    """Vectors and images with whole numbers; of hidden ones many channels, n = m, one channel, all axes alike."""
    yield case(np.array([[1.0, 5.0], [3.0, -5.0]]), np.array([1.0, 2.0]), np.array([1.0, -2.0]), variant, show=True)
    yield case(np.arange(12.0).reshape(2, 1, 3, 2) ** 2 % 7, np.array([1.0, 2.0]), np.array([1.0, -2.0]), variant, True)
    for shape in ((4, 4), (3, 1), (2, 3, 1, 3), (2, 2, 2, 2)):
        mu, log_sigma = rng.standard_normal((2, shape[-1]))
        yield case(mu + np.exp(0.5 * log_sigma) * rng.standard_normal(shape), mu + 0.5, log_sigma, variant)


def case(x, mu, log_sigma, variant, show=False):
    given = dict(zip(NAMES.get(variant, ["mu", "log_sigma"]), shown(mu, log_sigma, variant)))
    return Case({"x": x, **given} if show else None, x=x, mu=mu, log_sigma=log_sigma, given=list(given.values()),
                pixels=x[0].size // len(mu))


def shown(mu, log_sigma, variant):
    """The parameters in the variant's convention."""
    if variant == SCALE_AND_SHIFT:
        return -mu * np.exp(-log_sigma), -log_sigma
    return mu, -2 * log_sigma if variant == PRECISION else log_sigma


def read(first, second, variant):
    """mu and log sigma, from what `shown` gives: scale and shift of the other direction are found in the same way."""
    return (first, -second / 2) if variant == PRECISION else shown(first, second, variant)


def reference(case, variant):
    """The library's flow."""
    def initialize(x):
        flow = nf.ActNorm(x.shape[1:])
        flow.initialize(x)
        return shown(flow.mu.copy(), flow.log_sigma.copy(), variant)

    def forward(x, *given):
        flow = nf.ActNorm(x.shape[1:])
        flow.mu[...], flow.log_sigma[...] = read(*given, variant)
        return flow.forward(x)

    return SimpleNamespace(actnorm_initialize=initialize, actnorm_forward=forward)


INITIALIZE = Call(lambda answers, case, x: answers.actnorm_initialize(x), OUTPUTS, shows=["x"])
FORWARD = Call(lambda answers, case, x: answers.actnorm_forward(x, *case.given), ["z", "log_det"])


def suspects_of_mu(case, expected):
    return [(np.full_like(case.mu, case.x.mean()), "Each channel has a mean of its own: which axis stays?")]


def suspects_of_log_sigma(case, expected):
    x, log_sigma = case.x, expected["output 2"]
    n = x.size // len(log_sigma)
    return [(np.exp(log_sigma), "Is it sigma, or its logarithm?"),
            (2 * log_sigma, "Is it the variance or the standard deviation that divides?"),
            (log_sigma + 0.5 * np.log(n / (n - 1)), "A variance of what: by which number is the sum divided?"),
            (np.full_like(log_sigma, np.log(x.std())), "Each channel has a sigma of its own: which axis stays?")]


def suspects_of_z(case, expected):
    x, mu, sigma = case.x, case.mu, np.exp(case.log_sigma)
    every = tuple(range(x.ndim - 1))
    return [((x - mu) * sigma, "Larger sigma, larger z: which of the two directions multiplies?"),
            (x / sigma - mu, "What comes first, the shift or the scale? Would the first batch come out centred?"),
            ((x - mu) / sigma ** 2, "Is it the variance or the standard deviation that divides?"),
            ((x - mu) / case.log_sigma, "What is given, sigma or its logarithm?"),
            ((x - x.mean(axis=every)) / x.std(axis=every), "Parameters are taken from a batch: when is that done?")]


def suspects_of_log_det(case, expected):
    log_det = expected["log_det"]
    return [(log_det / case.pixels, "Right for vectors, wrong for images: what did you not count?"),
            (log_det / len(case.mu), "Is it a sum over the channels, or a mean?"),
            (log_det / case.pixels / len(case.mu), "Is it a sum over channels and pixels, or a mean?")]


def standard(answers, case, reference):
    """The reference's forward at the student's parameters: mean 0, mean square 1 in every channel."""
    given = INITIALIZE(answers, case)
    expected = INITIALIZE(reference, case)
    first, second = (fitted(given[name], expected[name], name) for name in OUTPUTS)
    values = reference.actnorm_forward(case.x, first, second)[0].reshape(-1, len(case.mu))
    tolerance = SINGLE if np.float32 in (first.dtype, second.dtype) else TOLERANCE
    for channel, (mean, variance) in enumerate(zip(np.mean(values, axis=0), np.var(values, axis=0))):
        if not (abs(mean) <= tolerance and abs(variance - 1) <= tolerance):
            raise Fail(f"with these parameters channel {channel + 1} of z has mean {mean:.4g}, variance {variance:.4g}",
                       "Over which axes does the batch have a mean and a variance?")


ANSWER = '''
import numpy as np


def actnorm_initialize(x):
    values = x.reshape(-1, x.shape[-1])
    return values.mean(axis=0), np.log(values.std(axis=0))


def actnorm_forward(x, mu, log_sigma):
    pixels = x[0].size // len(mu)
    z = (x - mu) * np.exp(-log_sigma)
    return z, np.full(len(x), -pixels * log_sigma.sum())
'''

CHANNEL_BY_CHANNEL = '''
import numpy as np


def actnorm_initialize(x):
    mu, log_sigma = [], []
    for c in range(x.shape[-1]):
        channel = x[..., c].ravel().tolist()
        mean = sum(channel) / len(channel)
        mu.append(mean)
        log_sigma.append(0.5 * np.log(sum((value - mean) ** 2 for value in channel) / len(channel)))
    return mu, log_sigma


def actnorm_forward(x, mu, log_sigma):
    z, log_det = np.zeros(x.shape), np.zeros(len(x))
    for index in np.ndindex(x.shape):
        c = index[-1]
        z[index] = (x[index] - mu[c]) / np.exp(log_sigma[c])
        log_det[index[0]] -= log_sigma[c]
    return z, log_det
'''

BROADCAST = {
    "    values = x.reshape(-1, x.shape[-1])\n    return values.mean(axis=0), np.log(values.std(axis=0))":
    "    every = tuple(range(x.ndim - 1))\n    return x.mean(axis=every), 0.5 * np.log(x.var(axis=every))",
    "return z, np.full(len(x), -pixels * log_sigma.sum())":
    "return z, -np.broadcast_to(log_sigma, x.shape).reshape(len(x), -1).sum(axis=1)"}

MU, LOG_SIGMA, Z, LOG_DET = (f"{name} has the values that it must have" for name in (*OUTPUTS, "z", "log_det"))
EXERCISE = Exercise(
    title="ActNorm", slide="Jacobian structure", minutes=25,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "actnorm_initialize": [
            equals(INITIALIZE, "output 1", suspects=suspects_of_mu, share=2, read=PAPER),
            equals(INITIALIZE, "output 2", suspects=suspects_of_log_sigma, share=2, read=PAPER),
            Property("z of the first batch has mean 0 and variance 1", standard, shows=["x"], read=PAPER, **SUPPORTING),
            shapes(INITIALIZE),
            leaves_inputs_alone(INITIALIZE)],
        "actnorm_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=2, read=PAPER),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2, read=READ),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read=READ),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)]},
    right={"channel by channel": CHANNEL_BY_CHANNEL, "several axes, and broadcasting": BROADCAST},
    wrong=[
        Wrong("another variance", {"values.std(axis=0)": "values.std(axis=0, ddof=1)"}, "actnorm_initialize", LOG_SIGMA,
              asks="divided", credit=0.6),
        Wrong("the variance", {"values.std": "values.var"}, "actnorm_initialize", LOG_SIGMA, asks="variance or the",
              credit=0.6),
        Wrong("no logarithm", {"np.log(values.std(axis=0))": "values.std(axis=0)"}, "actnorm_initialize", LOG_SIGMA,
              asks="its logarithm", credit=0.6),
        Wrong("one for all channels", {
            "return values.mean(axis=0), np.log(values.std(axis=0))":
            "return np.full(x.shape[-1], x.mean()), np.full(x.shape[-1], np.log(x.std()))"}, "actnorm_initialize", MU,
            asks="which axis stays", credit=0.3),
        Wrong("a mean for every pixel", {"values = x.reshape(-1, x.shape[-1])": "values = x"}, "actnorm_initialize", MU,
              credit=0.3),
        Wrong("the sign of log_sigma", {"np.log(values": "-np.log(values"}, "actnorm_initialize", LOG_SIGMA,
              asks="sign is wrong", credit=0.6),
        Wrong("times sigma", {"np.exp(-log_sigma)": "np.exp(log_sigma)"}, "actnorm_forward", Z, asks="multiplies",
              credit=0.6),
        Wrong("scales, then shifts", {"(x - mu) * np.exp(-log_sigma)": "x * np.exp(-log_sigma) - mu"},
              "actnorm_forward", Z, asks="come out centred", credit=0.7),
        Wrong("no exp", {"* np.exp(-log_sigma)": "/ log_sigma"}, "actnorm_forward", Z, asks="sigma or its logarithm",
              credit=0.6),
        Wrong("initialises at every call", {"pixels = x": "mu, log_sigma = actnorm_initialize(x)\n    pixels = x"},
              "actnorm_forward", Z, asks="when is that done", credit=0.6),
        Wrong("no pixels", {"-pixels * log_sigma": "-log_sigma"}, "actnorm_forward", LOG_DET, asks="did you not count",
              credit=0.7),
        Wrong("log_det with the other sign", {"-pixels": "pixels"}, "actnorm_forward", LOG_DET, asks="sign is wrong",
              credit=0.7),
        Wrong("one number", {"np.full(len(x), -pixels * log_sigma.sum())": "-pixels * log_sigma.sum()"},
              "actnorm_forward", LOG_DET, asks="One number", credit=0.7),
        Wrong("writes into x", {"    z = (x - mu)": "    x -= mu\n    z = x"}, "actnorm_forward",
              "the caller's arrays stay as they were", asks="belongs to the caller")],
    opposite=[Opposite(
        "It keeps to another convention: its log_sigma is minus that of the formula, z = sigma (x - mu).",
        {"np.log(values": "-np.log(values", "np.exp(-log_sigma)": "np.exp(log_sigma)", "-pixels": "pixels"})],
    variants={
        SCALE_AND_SHIFT: Variant(
            {"one mu and one log_sigma": "one shift and one log_scale",
             "z = (x - mu) / sigma,       sigma = exp(log_sigma)": "z = scale x + shift,       scale = exp(log_scale)",
             "Returns mu and log_sigma,": "Returns shift and log_scale,", "(x, mu, log_sigma)": "(x, shift, log_scale)",
             "mu and log_sigma (channels,)": "shift and log_scale (channels,)"},
            {"return values.mean(axis=0), np.log(values.std(axis=0))":
             "return -values.mean(axis=0) / values.std(axis=0), -np.log(values.std(axis=0))",
             "(x - mu) * np.exp(-log_sigma)": "x * np.exp(log_sigma) + mu", "-pixels": "pixels"}),
        PRECISION: Variant(
            {"one log_sigma": "one log_precision", "sigma = exp(log_sigma)": "1 / sigma^2 = exp(log_precision)",
             "mu and log_sigma": "mu and log_precision", "(x, mu, log_sigma)": "(x, mu, log_precision)"},
            {"np.log(values.std(axis=0))": "-2 * np.log(values.std(axis=0))",
             "np.exp(-log_sigma)": "np.exp(log_sigma / 2)",
             "-pixels * log_sigma.sum()": "pixels * log_sigma.sum() / 2"})})
