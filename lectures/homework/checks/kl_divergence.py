"""Checks of `kl_divergence`: the reference is the library's forward_kl, both ways round."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, agree, as_array, equals, leaves_inputs_alone, shapes

FORWARD, REVERSE = ('slide "Recap of previous lecture", the box "' + name for name in ("Forward KL", "Reverse KL"))
VALUE = "kl has the value that it must have"
PRECISIONS, BITS = 1, 2                                          # the variants
CLOSED, SAMPLED = "kl_divergence_closed_form", "kl_divergence_monte_carlo"


def cases(rng, variant):
    """One number first: means that differ, then sigmas, then both, then two coordinates; then drawn ones."""
    for pi, p in (([[0], [1]], [[2], [1]]), ([[0], [2]], [[0], [1]]), ([[1], [1]], [[-1], [2]]),
                  ([[0, 1], [1, 2]], [[1, 1], [1, 1]])):
        x = np.array([[0, 1], [2, -1], [1, 1]], float)[:, :len(pi[0])]
        yield case(np.array(pi, float), np.array(p, float), x, x[:2] + 3, variant, show=True)
    for n, k, m in ((1, 2, 1), (4, 4, 4), (12, 5, 3)):
        pi, p = (np.stack([rng.standard_normal(m), np.exp(0.5 * rng.standard_normal(m))]) for _ in range(2))
        x_pi, x_p = (mean + sigma * rng.standard_normal((rows, m)) for (mean, sigma), rows in ((pi, n), (p, k)))
        yield case(pi, p, x_pi, x_p, variant)


def case(pi, p, x_pi, x_p, variant, show=False):
    """Two Gaussians, ``[mean, sigma]`` each, as models of the library: a fixed affine flow, a standard normal base."""
    pi, p = (nf.NormalizingFlow(nf.Standardize(*density)) for density in (pi, p))
    unit = math.log(2) if variant == BITS else 1.0
    inputs = {"x_pi": x_pi, "x_p": x_p}
    for name, flow in (("pi", pi.flow), ("p", p.flow)):
        inputs[f"mean_{name}"] = flow.mean
        inputs[f"{'tau' if variant == PRECISIONS else 'sigma'}_{name}"] = spread(flow.scale, variant)
    return Case(inputs if show else None, x_pi=x_pi, x_p=x_p, pi=pi, p=p, unit=unit, variant=variant,
                mean_pi=pi.flow.mean, mean_p=p.flow.mean,
                spread_pi=spread(pi.flow.scale, variant), spread_p=spread(p.flow.scale, variant),
                log_pi=lambda x: pi.log_prob(x) / unit, log_p=lambda x: p.log_prob(x) / unit)


def spread(sigma, variant):
    return 1 / sigma ** 2 if variant == PRECISIONS else sigma


def reference(case, variant):
    """The library's estimates from given samples. Of Gaussians with independent coordinates two samples are enough:

    log pi - log p is a sum of squares of single coordinates and of constants, whose mean over pi is that over the two
    points mean_pi + sigma_pi and mean_pi - sigma_pi: they have pi's mean and variances.
    """
    def closed_form(mean_pi, spread_pi, mean_p, spread_p):
        pi, p = (nf.NormalizingFlow(nf.Standardize(mean, 1 / np.sqrt(width) if variant == PRECISIONS else width))
                 for mean, width in ((mean_pi, spread_pi), (mean_p, spread_p)))
        two = pi.flow.mean + np.array([[1.0], [-1.0]]) * pi.flow.scale
        return nf.forward_kl(p, two, pi)[0] / case.unit

    return SimpleNamespace(
        kl_divergence_closed_form=closed_form,
        kl_divergence_monte_carlo=lambda x_pi, x_p, log_pi, log_p: (
            nf.forward_kl(case.p, x_pi, case.pi)[0] / case.unit, nf.forward_kl(case.pi, x_p, case.p)[0] / case.unit))


def exact(mean_of_p, spread_of_p):
    """The closed form, where p has that mean and that spread: its own, or those of pi."""
    return Call(lambda answers, case, mean_pi: answers.kl_divergence_closed_form(
        mean_pi, case.spread_pi, getattr(case, f"mean_{mean_of_p}"), getattr(case, f"spread_{spread_of_p}")), ["kl"],
        argument="mean_pi", shows=["mean_pi", "sigma_pi", "tau_pi", *["mean_p"] * (mean_of_p == "p"),
                                   *["sigma_p", "tau_p"] * (spread_of_p == "p")])


EXACT, MEANS, SIGMAS = exact("p", "p"), exact("p", "pi"), exact("pi", "p")
ESTIMATES = Call(lambda answers, case, x_pi: answers.kl_divergence_monte_carlo(
    x_pi, case.x_p, case.log_pi, case.log_p), ["forward", "reverse"], argument="x_pi")


def suspects(case, expected):
    (mean_pi, sigma_pi), (mean_p, sigma_p) = ((density.flow.mean, density.flow.scale) for density in (case.pi, case.p))
    kl, m, r = expected["kl"] * case.unit, len(mean_pi), sigma_pi / sigma_p
    other = reference(case, case.variant).kl_divergence_closed_form(case.mean_p, case.spread_p, case.mean_pi,
                                                                    case.spread_pi)
    distance = (mean_pi - mean_p) / sigma_p
    return [(other, "These are the right densities, each in the other's place: over which one is the mean taken?"),
            *((value / case.unit, question) for value, question in (
                (2 * kl, "Twice too much: what stands in front of the square in the exponent of a Gaussian?"),
                (kl + m / 2, "Off by the same amount for every coordinate: is it 0 where both densities are equal?"),
                (kl / m, "Coordinates are independent: what happens to the logarithm of a product?"),
                (kl + 2 * np.log(r).sum(), "The normalizing constants have the wrong sign: which one is larger?"),
                (kl - np.log(r).sum(), "Is a standard deviation taken for a variance, or the other way round?"),
                (kl + np.log(r).sum(), "Are the normalizing constants of both densities in it?"),
                (kl + 0.5 * (np.abs(distance) - distance ** 2).sum(), "The distance of the means: is it squared?"),
                (kl + 0.5 * (distance * sigma_p / sigma_pi - distance) @ (distance * sigma_p / sigma_pi + distance),
                 "The distance of the means is measured in units of one of the two densities: of which?")))]


def sampled(this, other, x, elsewhere):
    """Suspects of one of the estimates: KL(this, other), from samples x of `this`."""
    def of(case, expected):
        log_this, log_other = getattr(case, this), getattr(case, other)
        x_this, ratio = getattr(case, x), lambda x: log_this(x) - log_other(x)
        density = np.exp(log_this(x_this) * case.unit)
        weighted = "Weighted by the density: how often do likely x come up among samples already?"
        return [(-ratio(x_this).mean(), "The size is right and the sign is wrong: which density is in the numerator?"),
                (ratio(getattr(case, elsewhere)).mean(), "The samples of the other density were taken for these: over "
                                                         "which density is the mean?"),
                (-ratio(getattr(case, elsewhere)).mean(), "The other one of the two divergences: which comes first?"),
                (ratio(x_this).sum(), "Is it a sum over samples, or a mean?"),
                ((density * ratio(x_this)).mean(), weighted), ((density * ratio(x_this)).sum(), weighted),
                (np.exp(ratio(x_this)).mean(), "Where is the logarithm?"),
                (log_this(x_this).mean() / log_other(x_this).mean(), "A quotient of logarithms: which logarithm is "
                                                                     "asked for?"),
                (-log_other(x_this).mean(), "Is the density in it from which the samples are?"),
                (np.abs(ratio(x_this)).mean(), "An estimate may be negative: is something made positive?")]
    return of


def from_itself(answers, case, reference):
    value = answers.kl_divergence_closed_form(case.mean_pi, case.spread_pi, case.mean_pi, case.spread_pi)
    agree(as_array(value, "kl"), np.array(0.0), "kl of pi from itself")


def adds_up(answers, case, reference):
    inputs = case.mean_pi, case.spread_pi, case.mean_p, case.spread_p
    parts = [as_array(answers.kl_divergence_closed_form(*(value[[j]] for value in inputs)), "kl").sum()
             for j in range(len(case.mean_pi))]
    agree(as_array(answers.kl_divergence_closed_form(*inputs), "kl"), np.array(sum(parts)), "kl of all coordinates",
          [(np.mean(parts), "Coordinates are independent: what happens to the logarithm of a product?")])


ANSWER = '''
import numpy as np


def kl_divergence_closed_form(mean_pi, sigma_pi, mean_p, sigma_p):
    kl = np.log(sigma_p / sigma_pi) + (sigma_pi ** 2 + (mean_pi - mean_p) ** 2) / (2 * sigma_p ** 2) - 0.5
    return kl.sum()


def kl_divergence_monte_carlo(x_pi, x_p, log_pi, log_p):
    forward = np.mean(log_pi(x_pi) - log_p(x_pi))
    reverse = np.mean(log_p(x_p) - log_pi(x_p))
    return forward, reverse
'''

MATRICES = '''
import math
import numpy as np


def kl_divergence_closed_form(mean_pi, sigma_pi, mean_p, sigma_p):
    C_pi, C_p = np.diag(sigma_pi) ** 2, np.diag(sigma_p) ** 2
    d = mean_p - mean_pi
    precision = np.linalg.inv(C_p)
    log_dets = np.linalg.slogdet(C_p)[1] - np.linalg.slogdet(C_pi)[1]
    return 0.5 * (np.trace(precision @ C_pi) + d @ precision @ d - len(d) + log_dets)


def kl_divergence_monte_carlo(x_pi, x_p, log_pi, log_p):
    forward = sum(float(log_pi(row[None])[0] - log_p(row[None])[0]) for row in x_pi) / len(x_pi)
    return [forward, -math.fsum(log_pi(x_p) - log_p(x_p)) / len(x_p)]
'''

LOOP = '''
import math


def kl_divergence_closed_form(mean_pi, sigma_pi, mean_p, sigma_p):
    total = 0
    for mean, sigma, mu, s in zip(mean_pi, sigma_pi, mean_p, sigma_p):
        for x in (mean - sigma, mean + sigma):
            total += (((x - mu) / s) ** 2 - ((x - mean) / sigma) ** 2) / 4 + (math.log(s) - math.log(sigma)) / 2
    return total


def kl_divergence_monte_carlo(x_pi, x_p, log_pi, log_p):
    def kl(x, log_this, log_other):
        return (log_this(x) - log_other(x)).mean()
    return kl(x_pi, log_pi, log_p), kl(x_p, log_p, log_pi)
'''

FORWARD_VALUE, REVERSE_VALUE = "the estimate of KL(pi, p)", "the estimate of KL(p, pi)"
EXERCISE = Exercise(
    title="Kullback-Leibler divergence", slide="Recap of previous lecture", minutes=30,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "kl_divergence_closed_form": [
            equals(EXACT, "kl", VALUE, suspects=suspects, share=3, read=FORWARD),
            equals(MEANS, "kl", "kl, where only the means differ", read=FORWARD),
            equals(SIGMAS, "kl", "kl, where only the sigmas differ", read=FORWARD),
            Property("a density is at 0 from itself", from_itself, share=0.5, alone=False, shows=EXACT.shows[:2],
                     read='slide "Recap of previous lecture", the box "Divergence"'),
            Property("coordinates add up", adds_up, share=0.5, alone=False, shows=EXACT.shows,
                     read='slide "Recap of previous lecture", the box "Likelihood as product of conditionals"'),
            shapes(EXACT),
            leaves_inputs_alone(EXACT)],
        "kl_divergence_monte_carlo": [
            equals(ESTIMATES, "forward", FORWARD_VALUE, suspects=sampled("log_pi", "log_p", "x_pi", "x_p"), share=2,
                   read=FORWARD),
            equals(ESTIMATES, "reverse", REVERSE_VALUE, suspects=sampled("log_p", "log_pi", "x_p", "x_pi"), share=2,
                   read=REVERSE),
            shapes(ESTIMATES),
            leaves_inputs_alone(ESTIMATES)]},
    right={"matrices, and row by row": MATRICES, "the mean over two points, one function for both ways": LOOP},
    wrong=[
        Wrong("no half", {"(2 * sigma_p ** 2) - 0.5": "sigma_p ** 2 - 1", "np.log(sigma_p": "2 * np.log(sigma_p"},
              CLOSED, VALUE, asks="Twice too much", credit=0),
        Wrong("not 0 for equal densities", {" - 0.5\n": "\n"}, CLOSED, VALUE, asks="both densities are equal",
              credit=0),
        Wrong("variances for standard deviations", {"np.log(sigma_p / sigma_pi)": "np.log(sigma_p**2 / sigma_pi**2)"},
              CLOSED, VALUE, asks="taken for a variance", credit=0.43),
        Wrong("the logarithm's sign", {"np.log(sigma_p / sigma_pi)": "np.log(sigma_pi / sigma_p)"},
              CLOSED, VALUE, asks="wrong sign", credit=0.43),
        Wrong("no normalizing constants", {"np.log(sigma_p / sigma_pi) + ": ""}, CLOSED, VALUE,
              asks="constants of both", credit=0.43),
        Wrong("means not squared", {"(mean_pi - mean_p) ** 2)": "sigma_p * abs(mean_pi - mean_p))"}, CLOSED, VALUE,
              asks="is it squared", credit=0.43),
        Wrong("means in units of pi", {"(sigma_pi ** 2 + (mean_pi - mean_p) ** 2) / (2 * sigma_p ** 2)":
                                       "(sigma_pi / sigma_p) ** 2 / 2 + ((mean_pi - mean_p) / sigma_pi) ** 2 / 2"},
              CLOSED, VALUE, asks="units of one", credit=0.58),
        Wrong("mean over coordinates", {"kl.sum()": "kl.mean()"}, CLOSED, VALUE, asks="logarithm of a product",
              credit=0),
        Wrong("a number for each coordinate", {"kl.sum()": "kl"}, CLOSED, "kl: right shape, finite", credit=0),
        Wrong("sum over samples", {"np.mean": "np.sum"}, SAMPLED, FORWARD_VALUE, asks="sum over samples", credit=0),
        Wrong("weighted by the density", {"np.mean(log_pi(x_pi) - log_p(x_pi))":
                                          "np.mean(np.exp(log_pi(x_pi)) * (log_pi(x_pi) - log_p(x_pi)))"},
              SAMPLED, FORWARD_VALUE, asks="Weighted", credit=0.6),
        Wrong("samples of the other density", {"np.mean(log_pi(x_pi) - log_p(x_pi))":
                                               "np.mean(log_pi(x_p) - log_p(x_p))"},
              SAMPLED, FORWARD_VALUE, asks="samples of the other", credit=0.6),
        Wrong("the sign", {"np.mean(log_p(x_p) - log_pi(x_p))": "np.mean(log_pi(x_p) - log_p(x_p))"},
              SAMPLED, REVERSE_VALUE, asks="numerator", credit=0.6),
        Wrong("a quotient of logarithms", {"np.mean(log_pi(x_pi) - log_p(x_pi))":
                                           "np.mean(log_pi(x_pi)) / np.mean(log_p(x_pi))"},
              SAMPLED, FORWARD_VALUE, asks="quotient", credit=0.6),
        Wrong("a quotient of densities", {"np.mean(log_pi(x_pi) - log_p(x_pi))":
                                          "np.mean(np.exp(log_pi(x_pi) - log_p(x_pi)))"},
              SAMPLED, FORWARD_VALUE, asks="Where is the logarithm", credit=0.6),
        Wrong("made positive", {"np.mean(log_pi": "np.mean(abs(log_pi", "- log_p(x_pi))": "- log_p(x_pi)))"},
              SAMPLED, FORWARD_VALUE, asks="may be negative", credit=0.6)],
    opposite=[Opposite(
        "It keeps to another convention: KL(pi, p) is its KL(p, pi), and the other way round.",
        {"closed_form(mean_pi, sigma_pi, mean_p, sigma_p)": "closed_form(mean_p, sigma_p, mean_pi, sigma_pi)",
         "return forward, reverse": "return reverse, forward"})],
    variants={
        PRECISIONS: Variant(
            {"mean_pi, sigma_pi, mean_p, sigma_p)": "mean_pi, tau_pi, mean_p, tau_p)",
             "N(x_j; mean_pi_j, sigma_pi_j^2)": "N(x_j; mean_pi_j, 1 / tau_pi_j)",
             "N(x_j; mean_p_j, sigma_p_j^2)": "N(x_j; mean_p_j, 1 / tau_p_j)",
             "the sigmas positive": "the precisions tau positive"},
            {"    kl = np.log": "    sigma_pi, sigma_p = sigma_pi ** -0.5, sigma_p ** -0.5\n    kl = np.log"}),
        BITS: Variant({"KL(pi, p), in nats,": "KL(pi, p), in bits (logarithms to base 2),",
                       "of KL(p, pi), in nats:": "of KL(p, pi), in bits:",
                       "return the log-densities, in nats, one a row":
                       "return log2 of the densities, one a row"},
                      {"return kl.sum()": "return kl.sum() / np.log(2)"})})
