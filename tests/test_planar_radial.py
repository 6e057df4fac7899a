"""Planar and radial flows: invertible whatever their parameters are, with roots that are bracketed and found."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.flows import increasing
from nfnumpy.flows.increasing import SMALLEST, above_minus_one, increasing_root
from nfnumpy.testing.derivatives import theta_derivative

FLOWS = [nf.Planar, nf.Radial]
seeds, dims = st.integers(0, 2 ** 32 - 1), st.integers(1, 16)
wide = st.floats(-500, 500)                                      # e^-500 times the complex step is no subnormal number
# From steep to flat: 1 + c may be a thousandth or a billion, and s from where tanh is linear to where it is constant.
large = st.floats(0, 9).map(lambda power: 10 ** power)
coefficients = st.one_of(st.just(SMALLEST - 1), st.floats(SMALLEST - 1, 1), large)
heights = st.one_of(st.floats(-3, 3), large, large.map(lambda number: number ** -30.0))


def moved(cls, dim, size, rng):
    """A flow with parameters uniform in [-size, size]."""
    flow = cls(dim, rng=rng)
    flow.theta[...] = rng.uniform(-size, size, flow.n_params)
    return flow


def planar_phi(a, c):
    return a + c * np.tanh(a), 1 + c * (1 - np.tanh(a) ** 2), np.abs(a) + np.abs(c * np.tanh(a))


@given(t=wide)
def test_the_reparametrized_number_stays_above_minus_one(t):
    c, slope = above_minus_one(np.float64(t))
    assert SMALLEST - 1 <= c <= max(t, 0) and 0 <= slope <= 1 + 1e-12    # e^(t - c): rounding of t
    step = above_minus_one(t + 1e-30j)[0].imag / 1e-30
    np.testing.assert_allclose(slope, step, rtol=1e-12)
    assert above_minus_one(np.float64(t + 1))[0] >= c


@given(c=coefficients, s=heights)
def test_the_planar_root_is_bracketed_unique_and_found(c, s):
    near, far = sorted((s / (1 + c), s))
    # rounding of phi, whose terms are at most a and c a; of subnormal numbers, tiny
    slack = 4 * np.finfo(float).eps * (abs(near) + abs(far)) + np.finfo(float).tiny
    assert planar_phi(near, c)[0] <= s + slack and planar_phi(far, c)[0] >= s - slack
    grid = np.linspace(near, far, 50)
    slopes = planar_phi(grid, c)[1]
    assert (slopes >= SMALLEST - 1e-15).all() and (slopes <= 1 + max(c, 0)).all()
    a = nf.Planar(1)._root(np.array([s]), np.float64(c))
    value, slope, _ = planar_phi(a, c)
    rounding = 8 * np.finfo(float).eps * (abs(s) + np.abs(a) + np.abs(c * np.tanh(a))) + np.finfo(float).tiny
    assert near - 1e-12 * abs(near) <= a <= far + 1e-12 * abs(far)
    assert np.abs(value - s) <= rounding + slope * np.spacing(np.abs(a))
    assert np.abs(value - s) <= 1e-10 * (1 + abs(s) + abs(c))


@given(c=coefficients, s=heights)
def test_newtons_method_from_its_start_needs_few_steps(c, s):
    """The claim behind the bound on the number of steps, which no test would miss if a root were just accepted."""
    calls = []

    def phi(a):
        calls.append(a)
        return planar_phi(a, c)

    s = np.array([s])
    increasing_root(phi, s, np.minimum(s, s / (1 + c)), np.maximum(s, s / (1 + c)), s / (1 + c))
    assert len(calls) < increasing.MOST / 4


@given(seed=seeds)
def test_a_bracket_holds_where_newtons_method_alone_diverges(seed):
    """Steps of tanh at random places: from the flat parts a tangent leaps far out of the bracket."""
    rng = np.random.default_rng(seed)
    at, steep = rng.uniform(-5, 5, (3, 1)), 10 ** rng.uniform(0, 3, (3, 1))

    def phi(a):
        h = np.tanh(steep * (a - at))
        return 1e-3 * a + h.sum(axis=0), 1e-3 + (steep * (1 - h ** 2)).sum(axis=0), np.abs(h).sum(axis=0)

    root = rng.uniform(-8, 8, 6)
    found = increasing_root(phi, phi(root)[0], np.full(6, -10.0), np.full(6, 10.0), rng.uniform(-10, 10, 6))
    # phi is known to rounding, 1e-15, and its slope is at least 1e-3
    np.testing.assert_allclose(found, root, atol=1e-11)


@pytest.mark.parametrize("cls", FLOWS)
@given(dim=dims, seed=seeds, size=st.sampled_from([0.1, 1.0, 3.0, 10.0]), spread=st.sampled_from([1e-6, 1.0, 1e3]))
def test_sampling_undoes_the_density_to_1e_10(cls, dim, seed, size, spread):
    rng = np.random.default_rng(seed)
    flow = moved(cls, dim, size, rng)
    x = spread * rng.standard_normal((6, dim))
    z, log_det = flow.forward(x)
    back, log_det_back = flow.inverse(z)
    assert np.abs(back - x).max() <= 1e-10 * (1 + np.abs(x).max())
    # log D has the derivative 2 c h h' / D, up to 1000 times |w| per unit of z, at D = 0.001
    np.testing.assert_allclose(log_det_back, -log_det, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", FLOWS)
@given(dim=dims, seed=seeds)
def test_every_property_holds_far_from_the_identity(cls, dim, seed):
    rng = np.random.default_rng(seed)
    nf.testing.check_flow(moved(cls, dim, 2.0, rng), rng.standard_normal((4, dim)), rng=seed)


@pytest.mark.parametrize("cls", FLOWS)
def test_a_new_flow_is_the_identity(cls):
    x = np.random.default_rng(0).standard_normal((5, 3))
    for result, log_det in (cls(3, rng=0).forward(x), cls(3, rng=0).inverse(x)):
        np.testing.assert_allclose(result, x, rtol=1e-14)
        assert not log_det.any()


@given(seed=seeds, size=st.floats(-330, 0).map(lambda power: 10 ** power))
def test_planar_with_w_down_to_zero(seed, size):
    """u_hat stays bounded as w vanishes, since c - t is (slope - 1) t at most. Its direction follows that of w."""
    rng = np.random.default_rng(seed)
    flow = moved(nf.Planar, 3, 2.0, rng)
    flow.w *= size
    assert np.linalg.norm(flow.u_hat) <= 2 * np.linalg.norm(flow.u) + 1e-12
    x = rng.standard_normal((4, 3))
    nf.testing.check_invertible(flow, x)
    nf.testing.check_log_det(flow, x)
    if size > 1e-9:                                              # below, a complex step is no small one beside w
        check_gradient_of_theta(flow, x, rng)


def check_gradient_of_theta(flow, x, rng):
    """By complex steps alone: real ones would turn a short w around."""
    for method in ("forward", "inverse"):
        (out, log_det), vjp = getattr(flow, method + "_vjp")(x)
        pull, weight, v = (rng.standard_normal(shape) for shape in (out.shape, len(x), flow.n_params))
        moved_out, moved_log_det = theta_derivative(flow, method, x, v)
        expected = (pull * moved_out).sum() + (weight * moved_log_det).sum()
        grad_theta = vjp(pull, weight)[1]
        np.testing.assert_allclose(grad_theta @ v, expected, atol=1e-9 * (1 + np.abs(grad_theta).max()))


@given(dim=dims, seed=seeds)
def test_the_radial_quadratic_is_the_bracketed_root(dim, seed):
    rng = np.random.default_rng(seed)
    flow = moved(nf.Radial, dim, 3.0, rng)
    alpha, (c, _) = np.exp(flow.log_alpha[0]), above_minus_one(flow.beta[0])
    x = 3 * rng.standard_normal((6, dim))
    R = np.linalg.norm(x - flow.z_0, axis=1)
    low, high = np.minimum(R, R / (1 + c)), np.maximum(R, R / (1 + c))
    found = increasing_root(lambda r: (r * (1 + c * alpha / (alpha + r)), 1 + c * (alpha / (alpha + r)) ** 2, r),
                            R, low, high, R)
    r = np.linalg.norm(flow.forward(x)[0] - flow.z_0, axis=1)
    assert (low * (1 - 1e-12) <= r).all() and (r <= high * (1 + 1e-12)).all()
    np.testing.assert_allclose(r, found, rtol=1e-10)


def test_radial_at_its_centre():
    flow = moved(nf.Radial, 3, 1.0, np.random.default_rng(0))
    centre = flow.z_0[None].copy()
    for method in (flow.forward_vjp, flow.inverse_vjp):
        (out, log_det), vjp = method(centre)
        np.testing.assert_array_equal(out, centre)
        assert np.isfinite(log_det).all() and all(np.isfinite(grad).all() for grad in vjp(np.ones((1, 3)), 1.0))


@pytest.mark.parametrize("cls", FLOWS)
def test_the_direction_of_the_paper_is_the_sampling_one(cls):
    """Against the paper's formulas, written out for one sample with u_hat and beta_hat given."""
    rng = np.random.default_rng(3)
    flow, z = moved(cls, 2, 2.0, rng), rng.standard_normal(2)
    if cls is nf.Planar:
        x = z + flow.u_hat * np.tanh(flow.w @ z + flow.b)
    else:
        alpha, r = np.exp(flow.log_alpha), np.linalg.norm(z - flow.z_0)
        x = z + alpha * above_minus_one(flow.beta[0])[0] / (alpha + r) * (z - flow.z_0)
    np.testing.assert_allclose(flow.inverse(z[None])[0][0], x, rtol=1e-14)
    np.testing.assert_array_equal(nf.Inverse(flow).forward(z[None])[0], flow.inverse(z[None])[0])


@pytest.mark.parametrize("cls", FLOWS)
def test_dimensions_below_one_are_refused(cls):
    with pytest.raises(ValueError, match="dim: expected a whole number of at least 1, got 0"):
        cls(0)


@pytest.mark.parametrize("cls", FLOWS)
def test_a_stack_of_them_comes_closer_to_u1_by_reverse_kl(cls):
    rng = np.random.default_rng(0)
    model, target = nf.NormalizingFlow(nf.Composition([cls(2, rng=rng) for _ in range(8)])), nf.energies.U1()
    adam = nf.Adam(model.theta, lr=0.02)
    before = nf.reverse_kl(model, target, 2000, 1)[0]
    for _ in range(60):
        adam.step(nf.reverse_kl(model, target, 100, rng)[1])
    after = nf.reverse_kl(model, target, 2000, 1)[0]
    assert after + target.log_z < 0.6 * (before + target.log_z), (before, after)
