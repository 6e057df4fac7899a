"""What the lecture claims of linear flows: what each parametrization reaches, what it costs, what a stack is."""
import itertools
import math

import cost_figures as costs
import linear_figures as figures
import numpy as np
import pytest
import scipy.linalg
from matplotlib.figure import Figure
from scipy.optimize import minimize

import nfnumpy as nf
from nfnumpy.flows.linear import KINDS, linear_flow
from nfnumpy.flows.linear_map import random_rotation


# What each parametrization reaches

def without_pivoting(A):
    """The unit-lower L and upper U with L U = A, by elimination without row exchanges: there is only one pair."""
    L, U = np.eye(len(A)), np.array(A, float)
    for k in range(len(A)):
        L[k + 1:, k] = U[k + 1:, k] / U[k, k]
        U[k + 1:] -= np.outer(L[k + 1:, k], U[k])
    return L, np.triu(U)


def minors(A):
    """The leading principal minors: determinants of the upper left corners."""
    return np.array([np.linalg.det(A[:k, :k]) for k in range(1, len(A) + 1)])


def test_dense_holds_every_invertible_matrix():
    rng = np.random.default_rng(0)
    flow = nf.Dense(4, rng=0)
    for sign in (1, -1):
        W = rng.standard_normal((4, 4))
        W[0] *= sign * np.sign(np.linalg.det(W))
        flow.W = W
        np.testing.assert_array_equal(flow.W, W)
        assert flow.log_abs_det == pytest.approx(np.linalg.slogdet(W)[1], abs=1e-12)


@pytest.mark.parametrize("dim", (1, 2, 3, 6))
def test_qr_reaches_all_of_one_component_and_nothing_of_the_other(dim):
    """Any W with the right sign is a theta of the *same* flow: its constants are those of every W of its component."""
    rng = np.random.default_rng(dim)
    flows = {sign: nf.QR(dim, sign=sign, rng=0) for sign in (1, -1)}
    for _ in range(20):
        W = rng.standard_normal((dim, dim))
        decomposed, flow = nf.QR(dim, W=W), flows[int(np.sign(np.linalg.det(W)))]
        np.testing.assert_array_equal(decomposed.signs, flow.signs)
        flow.theta = decomposed.theta
        np.testing.assert_allclose(flow.W, W, atol=1e-13)
    for sign, flow in flows.items():
        for _ in range(20):
            flow.theta = rng.standard_normal(flow.n_params)
            assert np.sign(np.linalg.det(flow.W)) == sign


def test_one_component_is_the_continuous_image_of_all_of_r_to_the_m_squared():
    """W = exp(A - A^T) R: the exponentials of antisymmetric matrices are all rotations, R has a positive diagonal."""
    rng = np.random.default_rng(0)
    for dim in (2, 3, 5):
        W = rng.standard_normal((dim, dim))
        W[0] *= np.sign(np.linalg.det(W))
        flow = nf.QR(dim, W=W)
        generator = scipy.linalg.logm(flow.Q).real
        np.testing.assert_allclose(generator, -generator.T, atol=1e-12)
        np.testing.assert_allclose(scipy.linalg.expm(generator) @ flow.R, W, atol=1e-12)


@pytest.mark.parametrize("dim", (1, 2, 3, 4))
def test_plu_reaches_exactly_the_matrices_with_leading_minors_of_the_frozen_signs(dim):
    rng = np.random.default_rng(dim)
    for _ in range(10):
        flow = nf.PLU(dim, perm=rng.permutation(dim), signs=rng.choice([1, -1], dim))
        frozen, below = np.cumprod(flow.signs), np.tri(dim, k=-1, dtype=bool)
        flow.theta = rng.standard_normal(flow.n_params)          # whatever theta is, the signs are the frozen ones
        np.testing.assert_array_equal(np.sign(minors(flow.W[flow.inverse_perm])), frozen)
        for _ in range(20):                                      # a W is a theta of this flow, or its minors say no
            W = rng.standard_normal((dim, dim))
            A = W[flow.inverse_perm]                             # P^T W
            L, U = without_pivoting(A)
            fits = (np.sign(np.diagonal(U)) == flow.signs).all()  # only one L U = A, so these pivots decide
            assert fits == (np.sign(minors(A)) == frozen).all()
            if fits:
                flow.below, flow.above, flow.log_diagonal = L[below], U[below.T], np.log(np.abs(np.diagonal(U)))
                np.testing.assert_allclose(flow.W, W, atol=1e-9)


def test_no_permutation_holds_the_rotation_by_120_degrees_with_positive_diagonals():
    W = figures.rotation(120)
    for perm in itertools.permutations(range(2)):
        assert (minors(W[np.argsort(perm)]) < 0).any()
    flow = nf.PLU(2, W=W)
    assert flow.perm.tolist() == [1, 0] and flow.signs.tolist() == [1, -1]
    np.testing.assert_allclose(flow.W, W, atol=1e-15)


@pytest.mark.parametrize("dim", (2, 3, 4, 6))
def test_a_fixed_p_with_a_positive_diagonal_holds_one_rotation_in_two_to_the_m_minus_one(dim):
    """Signs of columns, an even number of them -1, turn a rotation into others: exactly one has all minors > 0.

    They keep the uniform distribution over rotations, so that the probability is one over their number.
    """
    rng = np.random.default_rng(dim)
    columns = [signs for signs in itertools.product((1, -1), repeat=dim) if np.prod(signs) == 1]
    assert len(columns) == 2 ** (dim - 1)
    for _ in range(10):
        W = random_rotation(dim, rng)
        assert sum((minors(W * signs) > 0).all() for signs in columns) == 1


DISTANCES = [(name, target, degrees) for name in figures.families() for target in ("rotation", "mirrored")
             for degrees in (60, 120, 200, 300)]


@pytest.mark.parametrize("name, target, degrees", DISTANCES)
def test_the_distances_in_closed_form_are_what_descent_on_theta_finds(name, target, degrees):
    make, *closed_forms = figures.families()[name]
    distance = closed_forms[target == "mirrored"](degrees)
    W = getattr(figures, target)(degrees)
    assert distance - 1e-9 <= figures.nearest(make(W), W, starts=1) <= distance + 2e-3


def test_the_distance_to_p_i_with_a_positive_diagonal_is_that_to_its_closure():
    """Descent on W itself under w_11 >= 0 and det W >= 0, without any theta."""
    constraints = [{"type": "ineq", "fun": bound} for bound in (lambda w: w[0], lambda w: w[0] * w[3] - w[1] * w[2])]
    closed_form = figures.families()["P = I, positive diagonal"]
    rng = np.random.default_rng(0)
    for target, distance in ((figures.rotation, closed_form[1]), (figures.mirrored, closed_form[2])):
        for degrees in (30, 120, 180, 250):
            W = target(degrees).ravel()
            best = min((minimize(lambda w: ((w - W) ** 2).sum(), rng.standard_normal(4), method="SLSQP",
                                 constraints=constraints, options={"ftol": 1e-12}) for _ in range(6)),
                       key=lambda result: result.fun if result.success else math.inf)
            assert math.sqrt(best.fun) == pytest.approx(distance(degrees), abs=1e-4)


def test_the_infimum_at_120_degrees_is_approached_and_not_attained():
    flow, (cosine, sine) = nf.PLU(2, perm=[0, 1]), figures.rotation(120)[:, 0]
    for small in (1e-2, 1e-4, 1e-6):
        L, U = without_pivoting([[small, -sine], [sine, cosine]])
        flow.below, flow.above, flow.log_diagonal = L[1, :1], U[0, 1:], np.log(np.diagonal(U))
        assert np.linalg.norm(flow.W - figures.rotation(120)) == pytest.approx(0.5 + small, rel=1e-9)


# J_f

@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_as_the_slide_defines_it_is_w(kind):
    """Central differences by hand: J[a, b] = dz_a / dx_b. W^T has the same determinant, and is what a vjp applies."""
    rng = np.random.default_rng(0)
    flow = nf.testing.randomize(linear_flow(4, kind, rng=rng), rng)
    x, h = rng.standard_normal((1, 4)), 1e-4
    J = np.empty((4, 4))
    for b in range(4):
        step = h * np.eye(4)[b]
        J[:, b] = (flow.forward(x + step)[0] - flow.forward(x - step)[0])[0] / (2 * h)
    np.testing.assert_allclose(J, flow.W, atol=1e-9)
    assert kind == "diagonal" or np.abs(J - flow.W.T).max() > 0.01
    assert flow.forward(x)[1][0] == pytest.approx(np.linalg.slogdet(J.T)[1], abs=1e-8)
    grad_z = rng.standard_normal((1, 4))
    np.testing.assert_allclose(flow.forward_vjp(x)[1](grad_z, 0.0)[0][0], J.T @ grad_z[0], atol=1e-8)


# Cost: by what is read and written, never by a clock

@pytest.mark.parametrize("kind", ("diagonal", "triangular", "plu", "qr"))
def test_the_log_determinant_of_a_decomposed_matrix_reads_m_numbers(kind):
    flow = nf.testing.randomize(linear_flow(7, kind, rng=0), np.random.default_rng(0))
    expected, read = np.linalg.slogdet(flow.W)[1], []

    class Watched(type(flow)):
        def __getattribute__(self, name):
            read.append(name)
            return super().__getattribute__(name)

    for name, part in flow.named().items():
        if name != "log_diagonal":
            part[...] = np.nan                                   # a number that enters would show, and so would its use
    flow.__class__ = Watched
    assert flow.log_abs_det == pytest.approx(expected, abs=1e-12)
    assert set(read) == {"log_abs_det", "log_diagonal"}          # no L, U, R or W is built on the way either
    assert flow.log_diagonal.size == 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_log_determinant_is_m_ones_or_else_an_inverse(kind):
    flow = nf.testing.randomize(linear_flow(5, kind, rng=0), np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((1, 5))
    grad = flow.named(flow.forward_vjp(x)[1](np.zeros((1, 5)), 1.0)[1])
    for name, part in grad.items():
        expected = {"log_diagonal": 1.0, "W": np.linalg.inv(flow.W).T}.get(name, 0.0)
        np.testing.assert_allclose(part, np.broadcast_to(expected, part.shape), atol=1e-12)


def test_the_measurement_times_what_it_says():
    for kind in KINDS:
        flow = linear_flow(3, kind, rng=0)
        x = np.random.default_rng(1).standard_normal((1, 3))
        log_det, gradient, inverse = (call() for call in costs.operations(kind, 3).values())
        assert log_det == flow.log_abs_det
        np.testing.assert_array_equal(gradient[1], flow.forward_vjp(x)[1](0 * x, 1.0)[1])
        np.testing.assert_allclose(inverse[0], x, atol=1e-14)
    sizes = (2, 3)
    table = costs.measure(sizes, ("diagonal", "plu"), repetitions=1, shortest=1e-5)
    assert list(table) == list(costs.OPERATIONS)
    for rows in table.values():
        assert list(rows) == ["diagonal", "plu"] and all(len(times) == len(sizes) for times in rows.values())


# The cofactor expansion

@pytest.mark.parametrize("m", range(1, 8))
def test_cofactors_take_e_times_m_factorial_operations_and_lu_two_thirds_of_m_cubed(m):
    A = np.random.default_rng(m).standard_normal((m, m))
    (slow, cofactor_count), (fast, lu_count) = (
        determinant(A.tolist()) for determinant in (costs.cofactor_determinant, costs.lu_determinant))
    assert slow == pytest.approx(np.linalg.det(A), rel=1e-10)
    assert fast == pytest.approx(slow, rel=1e-10)
    assert cofactor_count == costs.cofactor_operations(m) == math.floor(math.e * math.factorial(m)) - 2
    assert lu_count == costs.lu_operations(m)
    assert (cofactor_count < lu_count) == (m in (2, 3))          # for 1 x 1 neither has anything to do
    assert abs(costs.lu_operations(1000) / (2 / 3 * 1000 ** 3) - 1) < 1e-3


def test_lu_counts_row_exchanges_in_the_sign():
    assert costs.lu_determinant([[0.0, 1.0], [1.0, 0.0]])[0] == -1


# A stack of linear flows is one linear flow

def test_a_stack_of_linear_flows_is_one_dense_flow():
    rng = np.random.default_rng(0)
    dim, x = 5, rng.standard_normal((6, 5))
    perm = rng.permutation(dim)
    flows = [nf.Permutation(perm), *(linear_flow(dim, kind, rng=rng) for kind in KINDS), nf.QR(dim, sign=-1, rng=rng),
             nf.Inverse(nf.PLU(dim, rng=rng))]
    flows = [nf.testing.randomize(flow, rng) for flow in flows]
    W, b = np.eye(dim), np.zeros(dim)
    for flow in flows:                                           # W_k (W x + b) + b_k, read off f_k(0) and f_k(e_j)
        b_k = flow.forward(np.zeros((1, dim)))[0][0]
        W_k = (flow.forward(np.eye(dim))[0] - b_k).T
        W, b = W_k @ W, W_k @ b + b_k
    one, stack = nf.Dense(dim, W=W), nf.Composition(flows)
    one.b = b
    for direction in ("forward", "inverse"):
        (many, many_log_det), (single, log_det) = (getattr(flow, direction)(x) for flow in (stack, one))
        np.testing.assert_allclose(many, single, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(many_log_det, log_det, atol=1e-10)
    assert stack.n_params > 5 * one.n_params                     # many more parameters, and not one more function
    np.testing.assert_allclose(nf.NormalizingFlow(stack).log_prob(x), nf.NormalizingFlow(one).log_prob(x), rtol=1e-9)


def test_linear_layers_on_images_are_one_dense_flow_on_their_pixels():
    rng = np.random.default_rng(0)
    shape, size = (3, 2, 2), 12
    stack = nf.Composition([nf.testing.randomize(nf.ActNorm(shape), rng), nf.Conv1x1(shape, "qr", rng=rng),
                            nf.EmergingConv(shape, 3, rng=rng), nf.Conv1x1(shape, "plu", rng=rng)])
    b = stack.forward(np.zeros((1, *shape)))[0].reshape(size)
    W = (stack.forward(np.eye(size).reshape(size, *shape))[0].reshape(size, size) - b).T
    one, x = nf.Dense(size, W=W), rng.standard_normal((4, *shape))
    one.b = b
    for many, single in zip(stack.forward(x), one.forward(x.reshape(4, size))):
        np.testing.assert_allclose(many.reshape(single.shape), single, atol=1e-11)


# The factors, the errors, the page

def test_the_zeros_that_the_heat_maps_show_are_exact():
    W = np.random.default_rng(4).standard_normal((8, 8))
    plu, qr = nf.PLU(8, W=W), nf.QR(8, W=W)
    assert not np.triu(plu.L, 1).any() and (np.diagonal(plu.L) == 1).all()
    assert not np.tril(plu.U, -1).any() and not np.tril(qr.R, -1).any() and (np.diagonal(qr.R) > 0).all()
    for k, v in enumerate(qr.V):                                 # H_(k+1) leaves the first k coordinates alone
        H = figures.reflection(v)
        np.testing.assert_array_equal(H[:k], np.eye(8)[:k])
        np.testing.assert_array_equal(H[:, :k], np.eye(8)[:, :k])
        assert np.linalg.det(H) == pytest.approx(-1)


def test_one_tap_amplifies_an_error_by_its_power_and_small_taps_stay_below_the_bound():
    first, everywhere = np.eye(24)[0], np.ones(24)
    for tap, rounded in ((1.5, 1.1e4), (3.0, 9.4e10)):
        np.testing.assert_allclose(figures.amplification(tap, first), tap ** np.arange(24), rtol=1e-12)
        assert float(f"{figures.amplification(tap, first)[-1]:.1e}") == rounded
        assert figures.tapped(tap).forward(np.ones((1, 1, 24, 1)))[1][0] == 0
    for tap in (0.5, 0.9):
        error = figures.amplification(-tap, everywhere)          # 1 + a + a^2 + ... of it
        np.testing.assert_allclose(error, (1 - tap ** np.arange(1, 25)) / (1 - tap), rtol=1e-12)
        assert (error < 1 / (1 - tap)).all() and error[-1] > 0.9 / (1 - tap)
        worst = max(figures.amplification(tap, signs).max()
                    for signs in np.random.default_rng(0).choice([-1.0, 1.0], (50, 24)))
        assert worst < 1 / (1 - tap)


def test_the_bound_is_relative_to_the_centre_of_the_kernel():
    """Errors of x stay within max |C^-1 error of z| / (1 - s); within max |error of z| / (1 - s) they need not."""
    rng = np.random.default_rng(0)
    flow = nf.MaskedConv((6, 7, 2), 3, rng=0)
    flow.log_diagonal, flow.off_diagonal = [-1.0, 0.5], [0.3]
    inverse = np.linalg.inv(flow.C)
    s = np.abs(inverse @ flow.taps).sum(axis=(0, 2)).max()
    z, errors = rng.standard_normal((1, 6, 7, 2)), rng.choice([-1.0, 1.0], (20, 1, 6, 7, 2))
    change = [np.abs(flow.inverse(z + error)[0] - flow.inverse(z)[0]).max() for error in errors]
    bounds = [np.abs(error @ inverse.T).max() / (1 - s) for error in errors]
    assert 0.1 < s < 0.9 and all(a <= b for a, b in zip(change, bounds)) and max(change) > 1 / (1 - s)


def test_every_figure_is_drawn():
    times = [1e-6 * m for m in (256, 512, 1024)]
    table = {name: {kind: times for kind in KINDS} for name in costs.OPERATIONS}
    for figure in (figures.emerging_figure(), figures.factors_figure(), costs.cofactor_figure(),
                   costs.cost_figure(table, (256, 512, 1024))):   # reach_figure's work is tested above
        assert isinstance(figure, Figure) and figure.axes
