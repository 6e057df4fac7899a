"""The linear flows: values against plain loops, decompositions, conditioning, and what they refuse."""
import math

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.distributions import Gaussian
from nfnumpy.flows.dense import Dense
from nfnumpy.flows.elementwise import Diagonal
from nfnumpy.flows.linear import KINDS, ROTATED, linear_flow
from nfnumpy.flows.plu import PLU
from nfnumpy.flows.qr import QR, reflect, reflection_vectors
from nfnumpy.flows.triangular import Triangular


def variants(dim, rng):
    """Linear flows of every kind, with signs of both sorts, away from where they start."""
    signs = np.where(np.arange(dim) % 2, 1, -1)
    W = rng.standard_normal((dim, dim))
    flows = [Diagonal(dim, signs=signs), Triangular(dim, signs=signs), Triangular(dim, lower=False),
             Dense(dim, rng=rng), PLU(dim, rng=rng), QR(dim, rng=rng), QR(dim, sign=-1, rng=rng),
             Dense(dim, W=W), PLU(dim, W=W), QR(dim, W=W)]
    return [nf.testing.randomize(flow, rng) for flow in flows]


@pytest.mark.parametrize("dim", (1, 2, 5, 16))
def test_properties(dim):
    rng = np.random.default_rng(dim)
    for flow in variants(dim, rng):
        x = rng.standard_normal((4, dim))
        nf.testing.check_flow(flow, x)
        nf.testing.check_flow(nf.Inverse(flow), x)


def test_the_jacobian_is_the_matrix_w_and_the_slides_transpose_is_not():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3))
    for flow in variants(3, rng):
        J = nf.testing.jacobian(lambda v: flow.forward(v)[0], x)
        np.testing.assert_allclose(J[1], flow.W, atol=1e-14)
        assert flow.W.dtype == flow.dtype
        if not isinstance(flow, Diagonal):
            assert np.abs(J[1] - flow.W.T).max() > 0.01


# Values, by the formulas of the docstrings in plain Python: a consistent bijection that is not the one asked for would
# pass every property test.

def matrix_product(A, B):
    return [[sum(A[i][k] * B[k][j] for k in range(len(B))) for j in range(len(B[0]))] for i in range(len(A))]


def fill(dim, entry):
    return [[entry(i, j) for j in range(dim)] for i in range(dim)]


def check_values(flow, W, log_abs_det):
    dim = len(W)
    x = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
    flow.b = [0.1, -0.2, 0.3]
    z, log_det = flow.forward(np.array(x))
    for i in range(2):
        for j in range(dim):
            assert z[i, j] == pytest.approx(sum(W[j][k] * x[i][k] for k in range(dim)) + float(flow.b[j]), abs=1e-14)
        assert log_det[i] == pytest.approx(log_abs_det, abs=1e-14)
    back, back_log_det = flow.inverse(z)
    np.testing.assert_allclose(back, x, atol=1e-13)
    np.testing.assert_allclose(back_log_det, -log_det)


def test_diagonal_values():
    flow = Diagonal(3, signs=[1, -1, 1])
    flow.log_diagonal = [0.3, -0.2, 0.5]
    check_values(flow, [[math.exp(0.3), 0, 0], [0, -math.exp(-0.2), 0], [0, 0, math.exp(0.5)]], 0.6)


@pytest.mark.parametrize("lower", (True, False))
def test_triangular_values(lower):
    flow = Triangular(3, lower=lower, signs=[1, -1, 1])
    flow.log_diagonal, flow.off_diagonal = [0.3, -0.2, 0.5], [2.0, 3.0, 4.0]
    a, b, c = math.exp(0.3), -math.exp(-0.2), math.exp(0.5)
    check_values(flow, [[a, 0, 0], [2, b, 0], [3, 4, c]] if lower else [[a, 2, 3], [0, b, 4], [0, 0, c]], 0.6)


def test_dense_values():
    flow = Dense(3, W=[[1, 2, 3], [4, 5, 6], [7, 8, 10]])
    check_values(flow, [[1, 2, 3], [4, 5, 6], [7, 8, 10]], math.log(3))   # det = -3


def test_plu_values():
    flow = PLU(3, perm=[2, 0, 1], signs=[1, -1, 1])
    flow.below, flow.above, flow.log_diagonal = [2.0, 3.0, 4.0], [5.0, 6.0, 7.0], [0.3, -0.2, 0.5]
    L = [[1, 0, 0], [2, 1, 0], [3, 4, 1]]
    U = [[math.exp(0.3), 5, 6], [0, -math.exp(-0.2), 7], [0, 0, math.exp(0.5)]]
    LU = matrix_product(L, U)
    check_values(flow, [LU[2], LU[0], LU[1]], 0.6)               # (P l)_k = l[perm[k]]


@pytest.mark.parametrize("sign", (1, -1))
def test_qr_values(sign):
    flow = QR(3, sign=sign, rng=0)
    V = [[1.0, 2.0, -1.0], [0.5, 0.0, 3.0], [-2.0, 1.0, 1.0]]
    flow.V, flow.above, flow.log_diagonal = V, [5.0, 6.0, 7.0], [0.3, -0.2, 0.5]
    s = -sign                                                    # det H_1 H_2 H_3 = -1
    Q = fill(3, lambda i, j: float(i == j))
    for v in V:                                                  # Q = H_1 H_2 H_3 diag(1, 1, s)
        vv = sum(c * c for c in v)
        Q = matrix_product(Q, fill(3, lambda i, j: (i == j) - 2 * v[i] * v[j] / vv))
    Q = matrix_product(Q, [[1, 0, 0], [0, 1, 0], [0, 0, s]])
    R = [[math.exp(0.3), 5, 6], [0, math.exp(-0.2), 7], [0, 0, math.exp(0.5)]]
    check_values(flow, matrix_product(Q, R), 0.6)
    np.testing.assert_allclose(flow.Q, Q, atol=1e-14)
    np.testing.assert_allclose(flow.R, R, atol=1e-14)
    assert np.sign(np.linalg.det(flow.W)) == sign


# Decompositions

def matrices():
    rng = np.random.default_rng(0)
    for dim in (1, 2, 3, 8, 33):
        rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        rotation[0] *= np.sign(np.linalg.det(rotation))
        other = rotation * np.where(np.arange(dim) == 0, -1, 1)
        nearly = np.linalg.qr(np.eye(dim) + 1e-9 * rng.standard_normal((dim, dim)))[0]
        yield from (np.eye(dim), -np.eye(dim), rng.permutation(np.eye(dim)), np.eye(dim)[::-1], rotation, other, nearly,
                    rng.standard_normal((dim, dim)), np.tri(dim), 1e-6 * rotation, 1e6 * other)


@pytest.mark.parametrize("kind", ROTATED)
def test_decompositions_reproduce_their_matrix_to_rounding(kind):
    for W in matrices():
        flow = KINDS[kind](len(W), W=W)
        assert np.abs(flow.W - W).max() <= 4e-15 * len(W) * np.abs(W).max()
        assert flow.log_abs_det == pytest.approx(np.linalg.slogdet(W)[1], abs=1e-10)


def test_default_is_a_random_rotation_and_the_sign_of_qr_that_of_its_determinant():
    for kind in ROTATED:
        W = KINDS[kind](5, rng=1).W
        np.testing.assert_allclose(W @ W.T, np.eye(5), atol=1e-14)
        assert np.linalg.det(W) == pytest.approx(1)
        assert np.abs(W - KINDS[kind](5, rng=2).W).max() > 0.1
    assert np.linalg.det(QR(5, sign=-1, rng=1).W) == pytest.approx(-1)


def test_no_parameter_vector_changes_the_sign_of_the_determinant_but_dense_reaches_both():
    rng = np.random.default_rng(0)
    for W in (np.diag([1.0, 2.0, 3.0]), np.diag([1.0, -2.0, 3.0])):
        for kind in ("plu", "qr", "triangular", "diagonal"):
            flow = KINDS[kind](3, W=W)
            for _ in range(20):
                flow.theta = rng.standard_normal(flow.n_params)
                assert np.sign(np.linalg.det(flow.W)) == np.sign(np.linalg.det(W))


def test_reflection_vectors_fill_up_with_pairs_that_cancel():
    for Q in (np.eye(4), np.diag([1.0, 1.0, -1.0, -1.0]), np.eye(4)[[1, 0, 3, 2]]):
        V = reflection_vectors(Q)
        assert V.shape == (4, 4) and V.any(axis=1).all()
        np.testing.assert_allclose(reflect(V[::-1], np.eye(4))[0].T, Q, atol=1e-15)


def test_a_reflection_does_not_depend_on_the_length_of_its_vector():
    rng = np.random.default_rng(0)
    flow, x = QR(4, rng=0), rng.standard_normal((5, 4))
    (z, log_det), vjp = flow.forward_vjp(x)
    grad_V = flow.named(vjp(rng.standard_normal(z.shape), 1.0)[1])["V"]
    np.testing.assert_allclose((grad_V * flow.V).sum(axis=1), 0, atol=1e-14)    # nothing along v
    flow.V *= np.array([[-3.0], [1e-5], [1e5], [2.0]])
    np.testing.assert_allclose(flow.forward(x)[0], z, atol=1e-13)


# Conditioning

@pytest.mark.parametrize("kind", ROTATED)
def test_ill_conditioned_matrices_round_trip(kind):
    """Condition number up to 1e8: the round trip stays within 1e-6 of the row's length."""
    rng = np.random.default_rng(0)
    for condition in (1e2, 1e5, 1e8):
        for dim in (2, 5, 16):
            left, right = (np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(2))
            flow = KINDS[kind](dim, W=left @ np.diag(np.geomspace(1, 1 / condition, dim)) @ right)
            x = rng.standard_normal((20, dim))
            for there, back in ((flow.forward, flow.inverse), (flow.inverse, flow.forward)):
                error = np.linalg.norm(back(there(x)[0])[0] - x, axis=1) / np.linalg.norm(x, axis=1)
                assert error.max() < 1e-6


def test_ill_conditioned_triangular_round_trip():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 16))
    for lower in (True, False):
        beside = np.tri(16, k=-1) if lower else np.tri(16, k=-1).T
        W = (np.eye(16) + 0.1 * beside) @ np.diag(np.geomspace(1, 1e-8, 16))
        flow = Triangular(16, lower=lower, W=W)
        error = np.linalg.norm(flow.inverse(flow.forward(x)[0])[0] - x, axis=1) / np.linalg.norm(x, axis=1)
        assert error.max() < 1e-6


# Contract details that the property checks do not reach

def test_one_number_as_grad_log_det_counts_for_every_row_and_an_empty_batch_for_none():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3))
    for flow in variants(3, rng):
        for method in (flow.forward_vjp, flow.inverse_vjp):
            (out, _), vjp = method(x)
            for one, many in zip(vjp(out, 0.7), vjp(out, np.full(4, 0.7))):
                np.testing.assert_allclose(one, many, rtol=1e-13)
            (out, log_det), vjp = method(x[:0])
            grad, grad_theta = vjp(out, log_det)
            assert out.shape == grad.shape == (0, 3) and log_det.shape == (0,) and not grad_theta.any()


def test_saved_flows_come_back(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3))
    for flow in variants(3, rng):
        nf.save(nf.NormalizingFlow(flow), tmp_path / "model.npz")
        again = nf.load(tmp_path / "model.npz").flow
        assert type(again) is type(flow)
        np.testing.assert_array_equal(again.forward(x)[0], flow.forward(x)[0])
        assert repr(flow).startswith(type(flow).__name__ + "(dim=3")


def test_linear_flow_builds_each_kind():
    for kind in KINDS:
        flow = linear_flow(4, kind, rng=0, dtype=np.float32)
        assert type(flow) is KINDS[kind] and flow.x_shape == (4,) and flow.dtype == np.float32
    with pytest.raises(ValueError, match="kind: expected one of diagonal, .* got 'lu'"):
        linear_flow(4, "lu")
    for kind in KINDS:
        with pytest.raises(ValueError, match="dim: expected a whole number of at least 1, got 0"):
            linear_flow(0, kind)


# Whitening

def test_whitening_is_the_gaussian_fit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 5)) * [1, 1e-6, 1e6, 1, 1] + [0, 1, 1e6, -5, 3]
    flow = Triangular.whitening(x)
    z, _ = flow.forward(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(z.T @ z / 200, np.eye(5), atol=1e-8)
    np.testing.assert_allclose(nf.NormalizingFlow(flow).log_prob(x), Gaussian.fit(x).log_prob(x), rtol=1e-9)
    assert flow.lower and (np.diagonal(flow.W) > 0).all()
    assert Triangular.whitening(x, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("x", (np.zeros((0, 2)), np.eye(2), np.outer(np.arange(9.0), [1, 2]), np.ones((5, 1))))
def test_whitening_refuses_what_has_no_gaussian_fit(x):
    with pytest.raises(ValueError, match="expected"):
        Triangular.whitening(x)


# Refusals

@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_that_cannot_be_held_is_refused(kind):
    for W, message in ((np.ones((2, 3)), r"W: expected a square matrix of shape \(3, 3\), got shape \(2, 3\)"),
                       (np.eye(2), r"W: expected a square matrix of shape \(3, 3\), got shape \(2, 2\)"),
                       (np.diag([1.0, np.nan, 1.0]), "W: expected finite numbers, got 1 that are NaN"),
                       (1j * np.eye(3), "W: expected real numbers"),
                       (np.diag([1.0, 0.0, 0.0]), "W: .* of numerical rank 1")):
        with pytest.raises(ValueError, match=message):
            KINDS[kind](3, W=W)


@pytest.mark.parametrize("kind", ROTATED)
def test_a_numerically_singular_matrix_is_refused_with_its_rank(kind):
    rng = np.random.default_rng(0)
    W = rng.standard_normal((5, 2)) @ rng.standard_normal((2, 5))
    with pytest.raises(ValueError, match="numerical rank 2"):
        KINDS[kind](5, W=W)


def test_other_refusals():
    with pytest.raises(ValueError, match="expected a lower triangular matrix, got 1 entries"):
        Triangular(2, W=[[1, 2], [0, 1]])
    with pytest.raises(ValueError, match="expected an upper triangular matrix, got 1 entries"):
        Triangular(2, lower=False, W=[[1, 0], [2, 1]])
    with pytest.raises(ValueError, match="expected a diagonal matrix, got 2 entries"):
        Diagonal(2, W=[[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="signs: expected 2 numbers that are 1 or -1"):
        Diagonal(2, signs=[1, 2])
    with pytest.raises(ValueError, match="perm: expected a permutation"):
        PLU(2, perm=[0, 2])
    with pytest.raises(ValueError, match="perm: expected a permutation of 0..2, got 2 numbers"):
        PLU(3, perm=[0, 1])
    with pytest.raises(ValueError, match="W: expected either W or"):
        PLU(2, W=np.eye(2), perm=[0, 1])
    with pytest.raises(ValueError, match="W: expected either W or"):
        QR(2, W=np.eye(2), sign=1)
    with pytest.raises(ValueError, match="sign: expected 1 or -1, got 0"):
        QR(2, sign=0)


def test_theta_outside_of_the_domain_is_refused_at_run_time():
    flow = QR(3, rng=0)
    flow.V[1] = 0
    for call in (flow.forward, flow.inverse, flow.forward_vjp, flow.inverse_vjp):
        with pytest.raises(ValueError, match="V: expected reflection vectors that are not zero, got 1 that are"):
            call(np.ones((2, 3)))
    flow = Dense(2, rng=0)
    flow.W = np.ones((2, 2))
    for call in (flow.forward, flow.inverse):
        with pytest.raises(ValueError, match="W: expected an invertible matrix in theta, got one of numerical rank 1"):
            call(np.ones((2, 2)))


@pytest.mark.parametrize("kind", ["diagonal", "triangular", "dense", "plu", "qr"])
def test_there_is_no_linear_flow_without_dimensions(kind):
    with pytest.raises(ValueError, match="dim: expected a whole number of at least 1, got 0"):
        nf.linear(0, kind)
