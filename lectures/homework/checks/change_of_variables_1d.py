"""Checks of `change_of_variables_1d`: the reference is the library's model with a one-dimensional flow."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, equals, leaves_inputs_alone, rows_apart, shapes

BOX = 'slide "Normalizing flows prerequisites", the box "Change of variable theorem"'
VALUES = "log p(x) has the values that it must have"
BITS = 2                                                         # the variant that asks for bits


def cases(rng, variant):
    """Straight lines, one of them falling; then drawn ones, and a curve."""
    for slope, x in ((2, [1]), (-2, [1]), (-2, [1, 0, -1])):
        yield case(line(slope, -1), 1 - 2 * (slope < 0), np.array(x, float), variant, f"{slope} x - 1")
    for n in (1, 2, 16):
        yield case(line(-rng.uniform(0.3, 3), rng.standard_normal()), -1, rng.standard_normal(n), variant)
        yield case(Sinh((1,)), 1, rng.standard_normal(n), variant)


class Sinh(nf.Flow):
    """z = sinh(x), a curve with a formula each way."""

    def forward(self, x):
        return np.sinh(x), np.log(np.cosh(x[:, 0]))              # f' = cosh

    def inverse(self, z):
        return np.arcsinh(z), -0.5 * np.log1p(z[:, 0] ** 2)      # g' = 1 / sqrt(1 + z^2)


def line(slope, shift):
    """The library's flow z = slope x + shift."""
    flow = nf.Diagonal(1, signs=[int(np.sign(slope))])
    flow.log_diagonal[...], flow.b[...] = math.log(abs(slope)), shift
    return flow


def case(flow, sign, x, variant, text=None):
    """The flow's f and its derivative, as functions of (n,); base N(1, 1/4), so that no sign is lost in a square."""
    base = nf.Gaussian([1.0], [[0.25]])
    unit = math.log(2) if variant == BITS else 1.0

    def derivative(x):
        return sign * np.exp(flow.forward(x[:, None])[1])        # abs f' = exp(log_det)

    def of_inverse(z):
        return sign * np.exp(flow.inverse(z[:, None])[1])

    model = nf.NormalizingFlow(flow, base)
    grid = np.sort(flow.inverse(np.linspace(-2.0, 4.0, 64)[:, None])[0][:, 0])     # six standard deviations each way
    return Case({"x": x, "f(x)": text, "density of z": "N(1, 1/4)"} if text else None, x=x, grid=grid,
                f=lambda x: flow.forward(x[:, None])[0][:, 0], slope=of_inverse if variant == 1 else derivative,
                log_prob_z=lambda z: base.log_prob(z[:, None]) / unit,
                expected=lambda x: model.log_prob(x[:, None]) / unit, log_slope=lambda x: flow.forward(x[:, None])[1],
                unit=unit, base=base)


def reference(case, variant):
    """The library's log_prob of the flow."""
    return SimpleNamespace(log_density_1d=lambda x, f, df, log_prob_z: case.expected(x))


LOG_P = Call(lambda answers, case, x: answers.log_density_1d(x, case.f, case.slope, case.log_prob_z), ["log_p"])


def suspects(case, expected):
    z, log_slope = case.f(case.x), case.log_slope(case.x)
    return [(case.log_prob_z(z) - log_slope, "The logarithm of the slope has the other sign: where does f stretch, and "
                                             "does a density grow there or shrink?"),
            (case.log_prob_z(z), "Is the change of length anywhere in it?"),
            (case.log_prob_z(case.x) + log_slope, "The known density is that of z: at which number is it taken?"),
            (np.exp(case.log_prob_z(z)) * np.exp(log_slope), "Is it p(x), or its logarithm?"),
            (np.exp(case.log_prob_z(z)) + log_slope, "Which of the two terms is a logarithm, and which is not?")]


def integral(answers, case, reference):
    """The trapezoid rule, at 64 places, which is exact to a thousandth for these densities."""
    with np.errstate(over="ignore"):
        p = np.exp(LOG_P(answers, case, case.grid)["log_p"].ravel() * case.unit)
    if p.shape != case.grid.shape:
        raise Fail(f"expected {len(case.grid)} numbers for {len(case.grid)} rows, got {p.size}")
    total = float((0.5 * (p[1:] + p[:-1]) * np.diff(case.grid)).sum())
    if not abs(total - 1) < 0.01:
        raise Fail(f"the area below p(x) is {total:.4g}", "What does every density's area have to be?")


ANSWER = '''
import numpy as np


def log_density_1d(x, f, df, log_prob_z):
    return log_prob_z(f(x)) + np.log(np.abs(df(x)))
'''

BY_ROWS = '''
import math
import numpy as np


def log_density_1d(x, f, df, log_prob_z):
    result = []
    for x_i in x:
        one = np.array([x_i])
        result.append(math.log(math.exp(log_prob_z(f(one))[0]) * abs(df(one)[0])))
    return result
'''

EXERCISE = Exercise(
    title="Change of variables", slide="Normalizing flows prerequisites", minutes=15,
    cases=cases, reference=reference, answer=ANSWER,
    parts={"log_density_1d": [
        equals(LOG_P, "log_p", VALUES, suspects=suspects, share=3, read=BOX),
        Property("the density has area 1", integral, share=1, alone=False, read=BOX),
        shapes(LOG_P),
        rows_apart(LOG_P),
        leaves_inputs_alone(LOG_P)]},
    right={
        "row by row, through p": BY_ROWS,
        "half the logarithm of the square": {"np.log(np.abs(df(x)))": "0.5 * np.log(df(x) ** 2)"},
        "by a difference of f": {"df(x)": "(f(x + 1e-6) - f(x - 1e-6)) / 2e-6"}},
    wrong=[
        Wrong("minus log abs f'", {"+ np.log": "- np.log"}, "log_density_1d", VALUES,
              asks="other sign", credit=0),
        Wrong("no abs", {"np.abs(df(x))": "df(x)"}, "log_density_1d", VALUES,
              asks="not finite", credit=0),
        Wrong("f' at z", {"df(x)": "df(f(x))"}, "log_density_1d", VALUES, credit=0),
        Wrong("log p at x", {"log_prob_z(f(x))": "log_prob_z(x)"}, "log_density_1d", VALUES,
              asks="at which number", credit=0),
        Wrong("p for log p", {"log_prob_z(f(x))": "np.exp(log_prob_z(f(x)))"}, "log_density_1d", VALUES,
              asks="is a logarithm", credit=0),
        Wrong("no change of length", {" + np.log(np.abs(df(x)))": ""}, "log_density_1d", VALUES,
              asks="change of length", credit=0),
        Wrong("summed over the batch", {
            "return log": "return sum(np.log(np.abs(df(x)))) + log",
            " + np.log(np.abs(df(x)))\n": "\n"},
            "log_density_1d", "a row does not see other rows", asks="sum or a mean over the batch", credit=0),
        Wrong("a column", {"return log_prob_z(f(x)) + np.log(np.abs(df(x)))":
                           "return (log_prob_z(f(x)) + np.log(np.abs(df(x))))[:, None]"},
              "log_density_1d", "log_p: right shape, finite", asks="too many")],
    variants={
        1: Variant({"log_density_1d(x, f, df, log_prob_z)": "log_density_1d(x, f, dg, log_prob_z)",
                    "p(x) = p(f(x)) abs f'(x)": "p(x) = p(z) / abs g'(z),      z = f(x),      x = g(z)",
                    "df, its derivative, df(x) = f'(x)": "dg, the derivative of its inverse g, dg(z) = g'(z)"},
                   {"+ np.log(np.abs(df(x)))": "- np.log(np.abs(df(f(x))))"}),
        BITS: Variant({"log p(x), in nats,": "The logarithm to base 2 of p(x), in bits,",
                       "log_prob_z, log p(z) in nats. Returns log p(x), (n,).":
                       "log_prob_z, the logarithm to base 2 of p(z). Returns that of p(x), (n,)."},
                      {"np.log(": "np.log2("})})
