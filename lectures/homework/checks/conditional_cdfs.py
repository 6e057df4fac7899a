"""Checks of `conditional_cdfs`: densities made by the library's Gaussian autoregressive flow, x = sigma r + mu, from
independent r of a known distribution: Gaussian, for which the map to z is the lecture's flow, or logistic.
"""
import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from scipy.special import expit, log_expit, logit, ndtr, ndtri

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, sees_only,
                                         shapes, undoes)

PAGE = 'expressivity.md, "Any density to uniform noise"'
TRIANGULAR = 'slide "Jacobian structure", case 3'
SYMMETRIC, REVERSED = 1, 3                                       # variants: noise in (-1, 1); the order turned round


@dataclasses.dataclass
class Noise:
    """A distribution of one number: its distribution function, the inverse, and its log-density."""

    cdf: Callable
    quantile: Callable
    log_prob: Callable


NORMAL = Noise(ndtr, ndtri, lambda r: -0.5 * r ** 2 - 0.5 * np.log(2 * np.pi))
LOGISTIC = Noise(expit, logit, lambda r: log_expit(r) + log_expit(-r))


def cases(rng, variant):
    """Whole numbers and a Gaussian with mean x_1 and log sigma near x_1; then logistic ones: one coordinate, n = m."""
    for x in ([[1, 2]], [[0, 1], [-1, 0]]):
        yield case(np.array(x, float), flow_of(2, variant), NORMAL, variant, show=True)
    for n, m, noise in ((2, 1, LOGISTIC), (3, 3, LOGISTIC)):
        flow = flow_of(m, variant, rng)
        yield case(flow.inverse(rng.uniform(-2, 2, (n, m)))[0], flow, noise, variant)


def flow_of(m, variant, rng=None):
    """The library's flow, with random parameters, or with a linear network of whole numbers, for two coordinates."""
    order = "reversed" if variant == REVERSED else "natural"
    flow = nf.GaussianAutoregressive(m, () if rng is None else (4,), "tanh", order, rng)
    if rng is not None:
        return nf.testing.randomize(flow, rng)
    flow.net.W0[...], flow.net.b0[...] = 1, [1, 0, 0, 0]
    return flow


def case(x, flow, noise, variant, show=False):
    def cdf(column, before):
        mu, log_sigma = moments(flow, column, before, variant)
        return noise.cdf((column - mu) * np.exp(-log_sigma))

    def quantile(F, before):
        mu, log_sigma = moments(flow, F, before, variant)
        return np.exp(log_sigma) * noise.quantile(F) + mu

    def log_prob(column, before):
        mu, log_sigma = moments(flow, column, before, variant)
        return noise.log_prob((column - mu) * np.exp(-log_sigma)) - log_sigma

    (r, _), (mu, log_sigma) = flow.forward(x), flow.conditionals(x)
    u = turned(noise.cdf(r), variant)
    by_hand = {"x": x, "density": "x_j has N(mu_j, sigma_j^2)", "mu": mu, "log sigma": log_sigma, "u": u}
    return Case(by_hand if show else None, x=x, u=u, flow=flow, noise=noise, cdf=cdf, quantile=quantile,
                log_prob=log_prob)


def moments(flow, column, before, variant):
    """mu and log sigma of the coordinate that has the columns `before`, or a ValueError for what are none."""
    n, m = len(column), flow.x_shape[0]
    if np.ndim(column) != 1 or np.ndim(before) != 2 or len(before) != n or np.shape(before)[1] >= m:
        raise ValueError(f"expected one column (n,) and the others (n, k) with k from 0 to {m - 1}, got shapes "
                         f"{np.shape(column)} and {np.shape(before)}")
    k, x = before.shape[1], np.zeros((n, m))
    x[:, (m - k if variant == REVERSED else 0):][:, :k] = before
    j = m - 1 - k if variant == REVERSED else k
    return [moment[:, j] for moment in flow.conditionals(x)]


def turned(u, variant):
    """Noise of (0, 1) in the variant's interval."""
    return 2 * u - 1 if variant == SYMMETRIC else u


def reference(case, variant):
    """The library's flow to r, then one coordinate at a time to u or z: du/dr = p(r), dz/dr = p(r) / N(z)."""
    per_coordinate = np.log(2) if variant == SYMMETRIC else 0.0

    def forward(x, *functions):
        r, log_det = case.flow.forward(x)
        return turned(case.noise.cdf(r), variant), log_det + (case.noise.log_prob(r) + per_coordinate).sum(axis=1)

    def inverse(u, *functions):
        r = case.noise.quantile((u + 1) / 2 if variant == SYMMETRIC else u)
        x, log_det = case.flow.inverse(r)
        return x, log_det - (case.noise.log_prob(r) + per_coordinate).sum(axis=1)

    def normal(x, *functions):
        r, log_det = case.flow.forward(x)
        z = ndtri(case.noise.cdf(r))
        return z, log_det + (case.noise.log_prob(r) - NORMAL.log_prob(z)).sum(axis=1)

    return SimpleNamespace(conditional_cdf_forward=forward, conditional_cdf_inverse=inverse,
                           conditional_cdf_normal=normal)


DENSITY = ["density", "mu", "log sigma"]
FORWARD = Call(lambda answers, case, x: answers.conditional_cdf_forward(x, case.cdf, case.log_prob), ["u", "log_det"],
               shows=["x", *DENSITY])
INVERSE = Call(lambda answers, case, u: answers.conditional_cdf_inverse(u, case.quantile, case.log_prob),
               ["x", "log_det"], argument="u", shows=["u", *DENSITY])
NORMAL_NOISE = Call(lambda answers, case, x: answers.conditional_cdf_normal(x, case.cdf, case.log_prob),
                    ["z", "log_det"], shows=["x", *DENSITY])


def lower(case):
    """Output a may move with input b only if b does not come after a in the order."""
    place = np.argsort(case.flow.order)
    return place[None, :] <= place[:, None]


def one_by_one(function, values, given=None):
    """Column j from ``function(values_j, given before j)``; given what has come out so far, if None."""
    out = np.zeros_like(values)
    for j in range(values.shape[1]):
        out[:, j] = function(values[:, j], (out if given is None else given)[:, :j])
    return out


ON_WHICH = "What does the distribution of x_2 depend on: on x_1, or on u_1?"


def suspects_of_u(case, expected):
    log_p = one_by_one(case.log_prob, case.x, case.x)
    return [(one_by_one(case.cdf, case.x), ON_WHICH),
            (one_by_one(case.cdf, case.x, 0 * case.x), "Each x_1 has another distribution of x_2: where is x_1?"),
            (np.exp(log_p), "Is it a density, or its integral?")]


def suspects_of_x(case, expected):
    return [(one_by_one(case.quantile, case.u, case.u), ON_WHICH),
            (one_by_one(case.quantile, case.u, 0 * case.u), "It goes through the coordinates once: when is x_1 known?")]


def suspects_of_log_det(case, expected):
    log_p = one_by_one(case.log_prob, case.x, case.x)
    return [(np.exp(log_p.sum(axis=1)), "Is it the density, or its logarithm?"),
            (np.exp(log_p).sum(axis=1), "Is it the density, or its logarithm?"),
            (log_p[:, -1], "How many factors has the density?"),
            (log_p.mean(axis=1), "Is it a sum over the coordinates, or a mean?")]


def suspects_of_normal_log_det(case, expected):
    log_p, z = one_by_one(case.log_prob, case.x, case.x).sum(axis=1), expected["z"]
    log_n = NORMAL.log_prob(z).sum(axis=1)
    return [(log_p, "There are two maps, to u and from u to z: do both of them count?"),
            (log_p + log_n, "From u to z: where is its slope large, in the middle or at the ends?"),
            (log_p + 0.5 * (z ** 2).sum(axis=1), "Every row is off by the same amount: has N(0, 1) area 1?")]


ANSWER = '''
import numpy as np
from scipy.special import ndtri


def conditional_cdf_forward(x, cdf, log_prob):
    u, log_det = np.zeros_like(x), np.zeros(len(x))
    for j in range(x.shape[1]):
        u[:, j] = cdf(x[:, j], x[:, :j])
        log_det += log_prob(x[:, j], x[:, :j])
    return u, log_det


def conditional_cdf_inverse(u, quantile, log_prob):
    x, log_det = np.zeros_like(u), np.zeros(len(u))
    for j in range(u.shape[1]):
        x[:, j] = quantile(u[:, j], x[:, :j])
        log_det -= log_prob(x[:, j], x[:, :j])
    return x, log_det


def conditional_cdf_normal(x, cdf, log_prob):
    u, log_det = conditional_cdf_forward(x, cdf, log_prob)
    z = ndtri(u)
    return z, log_det + (0.5 * z ** 2 + 0.5 * np.log(2 * np.pi)).sum(axis=1)
'''

ROW_BY_ROW = '''
from statistics import NormalDist

import numpy as np


def conditional_cdf_forward(x, cdf, log_prob):
    u, log_det = [], []
    for row in x:
        u.append([cdf(row[j:j + 1], row[None, :j])[0] for j in range(len(row))])
        log_det.append(sum(log_prob(row[j:j + 1], row[None, :j])[0] for j in range(len(row))))
    return u, log_det


def conditional_cdf_inverse(u, quantile, log_prob):
    x = 0 * u
    for _ in range(u.shape[1]):
        x = np.stack([quantile(u[:, j], x[:, :j]) for j in range(u.shape[1])], axis=1)
    return x, -sum(log_prob(x[:, j], x[:, :j]) for j in range(u.shape[1]))


def conditional_cdf_normal(x, cdf, log_prob):
    u, log_det = conditional_cdf_forward(x, cdf, log_prob)
    z = [[NormalDist().inv_cdf(u_ij) for u_ij in row] for row in u]
    return z, [total - sum(np.log(NormalDist().pdf(z_ij)) for z_ij in row) for total, row in zip(log_det, z)]
'''

SLOGDET = {"    return u, log_det\n": """
    def f(x):
        return np.stack([cdf(x[:, j], x[:, :j]) for j in range(x.shape[1])], axis=1)
    columns = [(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.shape[1])]
    return u, np.linalg.slogdet(np.stack(columns, axis=-1))[1]
"""}

U, X, Z, LOG_DET = (f"{name} has the values that it must have" for name in ("u", "x", "z", "log_det"))
EXERCISE = Exercise(
    title="Any density to noise", slide="Gaussian autoregressive NF", minutes=40,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "conditional_cdf_forward": [
            equals(FORWARD, "u", suspects=suspects_of_u, share=2, read=PAGE),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2, read=TRIANGULAR),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "u", read=TRIANGULAR),
            sees_only(FORWARD, "u", lower, "u_j moves with x_j and those that come before it only", read=PAGE),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "conditional_cdf_inverse": [
            equals(INVERSE, "x", suspects=suspects_of_x, share=2, read=PAGE),
            equals(INVERSE, "log_det", share=2,
                   read='slide "Jacobian determinant", the box "Inverse function theorem"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the forward transform", read=PAGE),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)],
        "conditional_cdf_normal": [
            equals(NORMAL_NOISE, "z", share=2, read=PAGE),
            equals(NORMAL_NOISE, "log_det", suspects=suspects_of_normal_log_det, share=2,
                   read='slide "Composition of normalizing flows"'),
            shapes(NORMAL_NOISE),
            log_det_of_jacobian(NORMAL_NOISE, "z", read=TRIANGULAR)]},
    right={"row by row, and m Jacobi passes": ROW_BY_ROW, "log_det by slogdet of the full Jacobian": SLOGDET},
    wrong=[
        Wrong("conditioned on u", {"= cdf(x[:, j], x[:, :j])": "= cdf(x[:, j], u[:, :j])"},
              "conditional_cdf_forward", U, asks="or on u_1", credit=0.65),
        Wrong("marginals", {"= cdf(x[:, j], x[:, :j])": "= cdf(x[:, j], 0 * x[:, :j])"}, "conditional_cdf_forward", U,
              asks="where is x_1", credit=0.65),
        Wrong("x_j before itself", {"x[:, :j]": "x[:, :j + 1]"}, "conditional_cdf_forward", U, credit=0),
        Wrong("the density for its integral", {"= cdf(x[:, j], x[:, :j])": "= np.exp(log_prob(x[:, j], x[:, :j]))"},
              "conditional_cdf_forward", U, asks="its integral", credit=0.65),
        Wrong("p for log p", {"+= log_prob(x[:, j], x[:, :j])": "+= np.exp(log_prob(x[:, j], x[:, :j]))"},
              "conditional_cdf_forward", LOG_DET, asks="its logarithm", credit=0.7),
        Wrong("the last factor only", {"log_det += log": "log_det = log"}, "conditional_cdf_forward", LOG_DET,
              asks="How many factors", credit=0.7),
        Wrong("log_det with the other sign", {"log_det += log": "log_det -= log"}, "conditional_cdf_forward", LOG_DET,
              asks="sign is wrong", credit=0.7),
        Wrong("summed over the batch", {"    return u, log_det\n": "    return u, log_det.sum() + 0 * log_det\n"},
              "conditional_cdf_forward", "a row does not see other rows", asks="sum or a mean", credit=0.7),
        Wrong("the inverse conditioned on u", {"quantile(u[:, j], x[:, :j])": "quantile(u[:, j], u[:, :j])"},
              "conditional_cdf_inverse", X, asks="or on u_1", credit=0.3),
        Wrong("the inverse in one pass", {"quantile(u[:, j], x[:, :j])": "quantile(u[:, j], 0 * u[:, :j])"},
              "conditional_cdf_inverse", X, asks="when is x_1 known", credit=0.3),
        Wrong("log_det of the other direction", {"log_det -= log": "log_det += log"}, "conditional_cdf_inverse",
              LOG_DET, asks="which direction", credit=0.7),
        Wrong("x is u itself", {"x, log_det = np.zeros_like(u)": "x, log_det = u"}, "conditional_cdf_inverse",
              "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("Phi for its inverse", {"z = ndtri(u)": "from scipy.special import ndtr\n    z = ndtr(u)"},
              "conditional_cdf_normal", Z, credit=0.3),
        Wrong("the second map not counted", {"return z, log_det + (0.5 * z ** 2 + 0.5 * np.log(2 * np.pi)).sum(axis=1)":
                                             "return z, log_det"}, "conditional_cdf_normal", LOG_DET,
              asks="two maps", credit=0.6),
        Wrong("plus log N", {"log_det + (0.5": "log_det - (0.5"}, "conditional_cdf_normal", LOG_DET,
              asks="where is its slope large", credit=0.6),
        Wrong("no 2 pi", {" + 0.5 * np.log(2 * np.pi)": ""}, "conditional_cdf_normal", LOG_DET, asks="area 1",
              credit=0.6)],
    variants={
        SYMMETRIC: Variant(
            {"u_j = F(x_j | x_{1:j-1})": "u_j = 2 F(x_j | x_{1:j-1}) - 1",
             "u (n, m), in (0, 1),": "u (n, m), in (-1, 1),",
             "Uniform noise to data, and": "Uniform noise on (-1, 1) to data, and"},
            {"= cdf(x[:, j], x[:, :j])": "= 2 * cdf(x[:, j], x[:, :j]) - 1",
             "log_det += log": "log_det += np.log(2) + log", "log_det -= log": "log_det -= np.log(2) + log",
             "quantile(u[:, j], x": "quantile((u[:, j] + 1) / 2, x",
             "z = ndtri(u)": "z = ndtri((u + 1) / 2)\n    log_det = log_det - np.log(2) * x.shape[1]"}),
        REVERSED: Variant(
            {"p(x_1) p(x_2 | x_1) ... p(x_m | x_{1:m-1})": "p(x_m) p(x_{m-1} | x_m) ... p(x_1 | x_{2:m})",
             "before": "after", "first one has none": "last one has none", "x_{1:j-1}": "x_{j+1:m}",
             "(n, j - 1)": "(n, m - j)"},
            {"x[:, :j]": "x[:, j + 1:]", "j in range(u.shape[1])": "j in reversed(range(u.shape[1]))"})})
