"""Checks of `plu`: the reference is the library's PLU flow, its gradient put into matrices."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.flows.linear_map import beside_diagonal
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (SUPPORTING, Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart,
                                         shapes)

READ = 'slide "Linear normalizing flows", LU-decomposition'
DETERMINANT = 'slide "Jacobian structure", case 2'
INVERTED, SOFTPLUS = 1, 4                                        # variants: exp(-log_diagonal), log(1 + exp(r))


def cases(rng, variant):
    """Two coordinates and whole numbers first; then one, a cycle of three, whose P is not symmetric, and n = m."""
    for x in ([[1, 2]], [[1, 0], [2, -1]]):
        yield case(np.array(x, float), [1, 0], np.array([[7, 7], [3, 7]]), np.array([[7, 2], [7, 7]]), [1, -1],
                   [1, -1], variant, show=True)
    for n, perm in ((2, [0]), (3, [1, 2, 0]), (4, [2, 0, 3, 1])):
        m = len(perm)
        yield case(rng.standard_normal((n, m)), perm, *rng.standard_normal((2, m, m)), rng.standard_normal(m),
                   np.where(np.arange(m) % 2, 1, -1), variant)


def case(x, perm, L, U, diagonal, signs, variant, show=False):
    """`diagonal` holds the parameters of the diagonal as the variant has them."""
    inputs = {"x": x, "P": np.eye(len(perm))[perm], "L": 1.0 * L, "U": 1.0 * U,
              "log_diagonal": np.array(diagonal, float), "signs": np.array(signs, float),
              "grad_z": (1 + np.arange(x.size) % 3).reshape(x.shape) - 2.0, "grad_log_det": 1.0 + np.arange(len(x)) % 2}
    flow = nf.PLU(len(perm), perm=perm, signs=signs)
    flow.below[...] = L[beside_diagonal(len(perm), lower=True)]
    flow.above[...] = U[beside_diagonal(len(perm), lower=False)]
    flow.log_diagonal[...], slope = log_diagonal(inputs["log_diagonal"], variant)
    names = {"log_diagonal": "r"} if variant == SOFTPLUS else {}  # as the variant's text calls it
    return Case({names.get(name, name): value for name, value in inputs.items()} if show else None,
                flow=flow, slope=slope, **inputs)


def log_diagonal(parameter, variant):
    """The logarithm of U's diagonal, abs, and its derivative with respect to the parameter."""
    if variant == INVERTED:
        return -parameter, -1.0
    if variant == SOFTPLUS:
        diagonal = np.logaddexp(0, parameter)
        return np.log(diagonal), -np.expm1(-diagonal) / diagonal
    return parameter, 1.0


def reference(case, variant):
    """The library's flow at the case's parameters, its gradient put into matrices."""
    def vjp_of(x, *parameters):
        outputs, flow_vjp = case.flow.forward_vjp(x)

        def vjp(grad_z, grad_log_det):
            grad_x, grad_theta = flow_vjp(grad_z, grad_log_det)
            grad, m = case.flow.named(grad_theta), x.shape[1]
            grad_L, grad_U = np.zeros((2, m, m))
            grad_L[beside_diagonal(m, lower=True)] = grad["below"]
            grad_U[beside_diagonal(m, lower=False)] = grad["above"]
            return grad_x, grad_L, grad_U, case.slope * grad["log_diagonal"]
        return outputs, vjp

    return SimpleNamespace(plu_forward=lambda x, *parameters: case.flow.forward(x), plu_vjp=vjp_of)


PARAMETERS = ["P", "L", "U", "log_diagonal", "signs"]
SHOWN = [*PARAMETERS, "r"]


def parameters(case):
    return [getattr(case, name) for name in PARAMETERS]


FORWARD = Call(lambda answers, case, x: answers.plu_forward(x, *parameters(case)), ["z", "log_det"],
               shows=["x", *SHOWN])
VALUES = Call(lambda answers, case, x: answers.plu_vjp(x, *parameters(case))[0], ["z", "log_det"],
              shows=["x", *SHOWN])


def gradients(weight_z, weight_log_det):
    """The vjp at the case's gradients, or with one of them zero: along one path only."""
    def call(answers, case, x):
        _, vjp = answers.plu_vjp(x, *parameters(case))
        return vjp(weight_z * case.grad_z[:len(x)], weight_log_det * case.grad_log_det[:len(x)])
    return Call(call, ["grad_x", "grad_L", "grad_U", "grad_log_diagonal"], shows=[
        "x", *SHOWN, *["grad_z"] * weight_z, *["grad_log_det"] * weight_log_det])


def suspects_of_z(case, expected):
    (P, L, U, *_), x = parameters(case), case.x
    unit, diagonal = case.flow.L, np.diag(np.diagonal(case.flow.U))
    return [(x @ (P @ (np.tril(L, -1) + np.diag(np.diagonal(L))) @ case.flow.U).T,
             "What stands on the diagonal of L, whatever the array holds there?"),
            (x @ (P @ L @ U).T, "Which entries of the arrays L and U count, and which do not?"),
            (x @ (P @ unit @ (np.triu(U, 1) + np.diag(case.log_diagonal))).T,
             "The diagonal of U: is it given itself, or by its logarithm?"),
            (x @ (P @ unit @ (np.triu(U, 1) + np.abs(diagonal))).T, "Which sign has the diagonal of U?"),
            (x, "z is x: is anything computed?")]


def suspects_of_log_det(case, expected):
    product = case.signs.prod() * np.exp(expected["log_det"])
    return [(product, "Is it the determinant, or its logarithm?"), (np.abs(product), "Is it the determinant, or its "
                                                                    "logarithm?"),
            (expected["log_det"] / len(case.x[0]), "Is it a sum over the coordinates, or a mean?")]


def suspects_of_grad_L(case, expected):
    U = case.flow.U
    full = (case.grad_z @ case.P).T @ (case.x @ U.T)
    return [(full, "A gradient for the diagonal of L, and above it: which entries are parameters?"),
            (np.tril(full), "A gradient for the diagonal of L: which entries are parameters?"),
            (np.tril((case.grad_z @ case.P.T).T @ (case.x @ U.T), -1), "On its way back a gradient goes through P: "
                                                                       "the same way as x, or the other one?")]


def suspects_of_grad_log_diagonal(case, expected):
    entries = np.diagonal((case.grad_z @ case.P @ case.flow.L).T @ case.x)
    return [(entries, "That is the gradient for the diagonal itself: how does the loss reach its logarithm?")]


def suspects_of_path(case, expected):
    return [(np.full_like(expected["grad_log_diagonal"], 1.0),
             "One for all samples: each of them has a log_det, and a gradient for it."),
            (np.full_like(expected["grad_log_diagonal"], case.grad_log_det.mean()), "A sum over samples, or a mean?"),
            (case.grad_log_det, "As many rows as coordinates: over which of the two is there a sum?")]


ANSWER = '''
import numpy as np


def plu_factors(L, U, log_diagonal, signs):
    L = np.tril(L, -1) + np.eye(len(L))
    return L, np.triu(U, 1) + np.diag(signs * np.exp(log_diagonal))


def plu_forward(x, P, L, U, log_diagonal, signs):
    return plu_vjp(x, P, L, U, log_diagonal, signs)[0]


def plu_vjp(x, P, L, U, log_diagonal, signs):
    L, U = plu_factors(L, U, log_diagonal, signs)
    u = x @ U.T
    l = u @ L.T
    z = l @ P.T

    def vjp(grad_z, grad_log_det):
        grad_l = grad_z @ P
        grad_u = grad_l @ L
        grad_L, grad_U = grad_l.T @ u, grad_u.T @ x
        grad_log_diagonal = np.diag(grad_U) * np.diag(U) + grad_log_det.sum()
        return grad_u @ U, np.tril(grad_L, -1), np.triu(grad_U, 1), grad_log_diagonal

    return (z, np.full(len(x), log_diagonal.sum())), vjp
'''

DENSE = '''
import numpy as np


def plu_matrices(P, L, U, log_diagonal, signs):
    m = len(P)
    lower, upper = np.eye(m), np.diag(signs) @ np.diag(np.exp(log_diagonal))
    for a in range(m):
        for b in range(m):
            if a > b:
                lower[a, b] = L[a, b]
            if a < b:
                upper[a, b] = U[a, b]
    return lower, upper, P @ lower @ upper


def plu_forward(x, P, L, U, log_diagonal, signs):
    W = plu_matrices(P, L, U, log_diagonal, signs)[2]
    return [W @ row for row in x], [np.linalg.slogdet(W)[1] for _ in x]


def plu_vjp(x, P, L, U, log_diagonal, signs):
    lower, upper, W = plu_matrices(P, L, U, log_diagonal, signs)

    def vjp(grad_z, grad_log_det):
        grad_W = sum(np.outer(g, row) + d * np.linalg.inv(W).T for g, row, d in zip(grad_z, x, grad_log_det))
        grad_lower, grad_upper = P.T @ grad_W @ upper.T, lower.T @ P.T @ grad_W
        return (grad_z @ W, np.tril(grad_lower, -1), np.triu(grad_upper, 1),
                np.array([grad_upper[j, j] * upper[j, j] for j in range(len(W))]))

    return (x @ W.T, np.log(abs(np.linalg.det(W))) * np.ones(len(x))), vjp
'''

Z, LOG_DET = "z has the values that it must have", "log_det has the values that it must have"
FACTORS = "return L, np.triu(U, 1) + np.diag(signs * np.exp(log_diagonal))"
EXERCISE = Exercise(
    title="PLU", slide="Linear normalizing flows", minutes=45,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "plu_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=2, read=READ),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2, read=DETERMINANT),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read=DETERMINANT),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "plu_vjp": [
            equals(gradients(1, 0), "grad_x", "grad_x", read=READ),
            equals(gradients(1, 0), "grad_L", "grad_L", suspects=suspects_of_grad_L, share=2, read=READ),
            equals(gradients(1, 0), "grad_U", "grad_U", share=2, read=READ),
            equals(gradients(1, 0), "grad_log_diagonal", "grad_log_diagonal, of a loss of z alone",
                   suspects=suspects_of_grad_log_diagonal, share=2, read=READ),
            equals(gradients(0, 1), "grad_log_diagonal", "grad_log_diagonal, of a loss of log_det alone",
                   suspects=suspects_of_path, share=2, read=DETERMINANT),
            equals(gradients(1, 1), "grad_U", "log_det adds to no gradient but that of log_diagonal", read=DETERMINANT,
                   **SUPPORTING),
            shapes(gradients(1, 1)),
            equals(VALUES, "z", "z is still right", alone=False),
            equals(VALUES, "log_det", "log_det is still right", alone=False)]},
    right={
        "through W and W^-T, entry by entry": DENSE,
        "P as an order, and the diagonal apart": {
            "z = l @ P.T": "order = P.argmax(axis=1)\n    z = l[:, order]",
            "grad_l = grad_z @ P\n": "grad_l = np.zeros_like(grad_z)\n        grad_l[:, order] = grad_z\n",
            "np.diag(grad_U) * np.diag(U)": "(grad_u * x).sum(axis=0) * signs * np.exp(log_diagonal)"}},
    wrong=[
        Wrong("the diagonal for its logarithm", {"signs * np.exp(log_diagonal)": "log_diagonal"}, "plu_forward", Z,
              asks="by its logarithm", credit=0.65),
        Wrong("no signs", {"signs * np.exp": "np.exp"}, "plu_forward", Z, asks="Which sign", credit=0.7),
        Wrong("L's diagonal not enforced", {"np.tril(L, -1) + np.eye(len(L))": "np.tril(L)"}, "plu_forward", Z,
              asks="on the diagonal of L", credit=0.65),
        Wrong("the arrays as they are", {"L, U = plu_factors(L, U, log_diagonal, signs)\n": "pass\n"}, "plu_forward", Z,
              asks="Which entries", credit=0.65),
        Wrong("the determinant itself", {"log_diagonal.sum())": "np.exp(log_diagonal.sum()))"}, "plu_forward", LOG_DET,
              asks="its logarithm", credit=0.7),
        Wrong("no abs", {"log_diagonal.sum())": "np.log(np.linalg.det(U)))"}, "plu_forward", LOG_DET,
              asks="not finite", credit=0.7),
        Wrong("one number", {"np.full(len(x), log_diagonal.sum())": "log_diagonal.sum()"}, "plu_forward", LOG_DET,
              asks="One number", credit=0.7),
        Wrong("a mean", {"log_diagonal.sum())": "log_diagonal.mean())"}, "plu_forward", LOG_DET, asks="a mean",
              credit=0.7),
        Wrong("writes into L", {"    L = np.tril(L, -1) + np.eye(len(L))\n":
                                "    L *= np.tril(np.ones_like(L), -1)\n    L += np.eye(len(L))\n"}, "plu_forward",
              "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("grad_L not strictly lower", {"np.tril(grad_L, -1)": "np.tril(grad_L)"}, "plu_vjp", "grad_L",
              asks="diagonal of L", credit=0.85),
        Wrong("grad_L full", {"np.tril(grad_L, -1)": "grad_L"}, "plu_vjp", "grad_L", asks="above it", credit=0.85),
        Wrong("no chain through exp", {" * np.diag(U)": ""}, "plu_vjp", "grad_log_diagonal, of a loss of z alone",
              asks="reach its logarithm", credit=0.85),
        Wrong("grad_log_det not summed", {"grad_log_det.sum()": "grad_log_det"}, "plu_vjp",
              "grad_log_diagonal, of a loss of log_det alone", asks="As many rows", credit=0.85),
        Wrong("grad_log_det not used", {"grad_log_det.sum()": "1"}, "plu_vjp",
              "grad_log_diagonal, of a loss of log_det alone", asks="each of them has", credit=0.85),
        Wrong("no path through log_det", {" + grad_log_det.sum()": ""}, "plu_vjp",
              "grad_log_diagonal, of a loss of log_det alone", asks="zero everywhere", credit=0.85),
        Wrong("back through P the wrong way", {"grad_z @ P\n": "grad_z @ P.T\n"}, "plu_vjp", "grad_L",
              asks="through P", credit=0.4),
        Wrong("W^-1 for W^-T", DENSE.replace("inv(W).T", "inv(W)"), "plu_vjp",
              "grad_log_diagonal, of a loss of log_det alone", credit=0.85)],
    opposite=[
        Opposite("It keeps to another convention: its rows are multiplied by W from the right, z = W^T x.",
                 {"u = x @ U.T\n    l = u @ L.T\n    z = l @ P.T": "u = x @ P\n    l = u @ L\n    z = l @ U",
                  "grad_l = grad_z @ P\n        grad_u = grad_l @ L\n": "grad_l = grad_z @ U.T\n"
                  "        grad_u = grad_l @ L.T\n",
                  "grad_l.T @ u, grad_u.T @ x": "u.T @ grad_l, l.T @ grad_z", "grad_u @ U, ": "grad_u @ P.T, "}),
        Opposite("It keeps to another convention: its P is the transpose, W = P^T L U.",
                 {"grad_z @ P\n": "grad_z @ P.T\n", "l @ P.T": "l @ P"}),
        Opposite("It keeps to another convention: the triangular factors change places, W = P U L.",
                 {"u = x @ U.T\n    l = u @ L.T": "u = x @ L.T\n    l = u @ U.T", "grad_l @ L": "grad_l @ U",
                  "grad_l.T @ u, grad_u.T @ x": "grad_u.T @ x, grad_l.T @ u", "grad_u @ U,": "grad_u @ L,"})],
    variants={
        INVERTED: Variant(
            {"U: signs_j exp(log_diagonal_j) on the diagonal": "U: signs_j / exp(log_diagonal_j) on the diagonal"},
            {"np.exp(log_diagonal)": "np.exp(-log_diagonal)", "log_diagonal.sum())": "-log_diagonal.sum())",
             "np.diag(grad_U) * np.diag(U) + grad_log_det.sum()":
             "-np.diag(grad_U) * np.diag(U) - grad_log_det.sum()"}),
        SOFTPLUS: Variant(
            {"signs_j exp(log_diagonal_j) on the diagonal": "signs_j log(1 + exp(r_j)) on the diagonal",
             "log_diagonal": "r"},
            {"np.exp(log_diagonal)": "np.logaddexp(0, log_diagonal)",
             "log_diagonal.sum())": "np.log(np.logaddexp(0, log_diagonal)).sum())",
             "np.diag(grad_U) * np.diag(U) + grad_log_det.sum()":
             "(np.diag(grad_U) * signs + grad_log_det.sum() / np.logaddexp(0, log_diagonal))"
             " / (1 + np.exp(-log_diagonal))"})})
