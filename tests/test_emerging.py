"""Masked and emerging convolutions: plain loops, triangular Jacobians, and what the inverse does to errors."""
import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.flows.emerging import EmergingConv, MaskedConv

SHAPES = ((1, 1, 1), (1, 6, 2), (3, 5, 1), (5, 4, 2), (2, 3, 3))
SIZES = (1, 3, 5, 7)


def randomized(flow, seed=0):
    """Taps as they come, N(0, 0.04 / (channels d^2)); the centre and the biases moved as well."""
    rng = np.random.default_rng(seed)
    for name, array in flow.named().items():
        if not name.endswith("taps"):
            array += 0.1 * rng.standard_normal(array.shape)
    return flow


def factors(shape, kernel_size, seed=0):
    return [randomized(MaskedConv(shape, kernel_size, reverse, rng=seed), seed) for reverse in (False, True)]


@pytest.mark.parametrize("kernel_size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_properties(shape, kernel_size):
    x = np.random.default_rng(0).standard_normal((3, *shape))
    for flow in (*factors(shape, kernel_size), randomized(EmergingConv(shape, kernel_size, rng=0))):
        nf.testing.check_flow(flow, x)
    nf.testing.check_flow(nf.Inverse(flow), x)


def masked_convolution(flow, x):
    """z[i, j] = sum_ab K_ab x[i - a, j - b] + b in plain loops, from the parameters; reverse: all turned round."""
    height, width, channels = flow.x_shape
    if flow.reverse:
        x = x[::-1, ::-1, ::-1]
    reach = (flow.kernel_size - 1) // 2
    taps, off_diagonal = iter(flow.taps), iter(flow.off_diagonal)
    C = np.zeros((channels, channels))
    for row in range(channels):
        for column in range(row):
            C[row, column] = next(off_diagonal)
        C[row, row] = np.exp(flow.log_diagonal[row])
    z = np.zeros(x.shape)
    for a in range(reach + 1):
        for b in range(reach + 1):
            K = C if a == b == 0 else next(taps)
            for i in range(height):
                for j in range(width):
                    for out in range(channels):
                        for channel in range(channels):
                            if i - a >= 0 and j - b >= 0:
                                z[i, j, out] += K[out, channel] * x[i - a, j - b, channel]
    z += flow.b
    return z[::-1, ::-1, ::-1] if flow.reverse else z


@pytest.mark.parametrize("kernel_size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_in_plain_loops(shape, kernel_size):
    x = np.random.default_rng(1).standard_normal((2, *shape))
    first, second = factors(shape, kernel_size)
    for flow in (first, second):
        z, log_det = flow.forward(x)
        for n in range(2):
            np.testing.assert_allclose(z[n], masked_convolution(flow, x[n]), atol=1e-13)
            assert log_det[n] == pytest.approx(shape[0] * shape[1] * sum(flow.log_diagonal), abs=1e-13)
    both = EmergingConv(shape, kernel_size, rng=0)
    both.theta = np.concatenate([first.theta, second.theta])
    expected = masked_convolution(second, masked_convolution(first, x[0]))
    np.testing.assert_allclose(both.forward(x)[0][0], expected, atol=1e-13)


def jacobian(flow):
    return nf.testing.jacobian(lambda x: flow.forward(x)[0], np.zeros((1, *flow.x_shape)))[0]


@pytest.mark.parametrize("kernel_size", (3, 5))
def test_each_factors_jacobian_is_triangular_and_the_products_is_not(kernel_size):
    first, second = factors((5, 3, 2), kernel_size)
    lower, upper = jacobian(first), jacobian(second)
    assert not np.triu(lower, 1).any() and np.tril(lower, -1).any()
    assert not np.tril(upper, -1).any() and np.triu(upper, 1).any()
    np.testing.assert_allclose(np.diagonal(lower).reshape(15, 2), np.exp([first.log_diagonal] * 15), rtol=1e-13)
    np.testing.assert_allclose(np.diagonal(upper).reshape(15, 2), np.exp([second.log_diagonal[::-1]] * 15), rtol=1e-13)
    both = EmergingConv((5, 3, 2), kernel_size)
    both.theta = np.concatenate([first.theta, second.theta])
    J = jacobian(both)
    np.testing.assert_allclose(J, upper @ lower, atol=1e-13)
    assert np.triu(J, 1).any() and np.tril(J, -1).any()


@pytest.mark.parametrize("kernel_size", (1, 3, 5))
def test_the_two_quadrants_make_a_square_of_kernel_size(kernel_size):
    flow = EmergingConv((9, 9, 1), kernel_size, rng=0)
    seen = jacobian(flow)[40].reshape(9, 9) != 0                 # what the pixel in the middle sees
    expected = np.zeros((9, 9), bool)
    reach = (kernel_size - 1) // 2
    expected[4 - reach:5 + reach, 4 - reach:5 + reach] = True
    np.testing.assert_array_equal(seen, expected)


def test_the_inverse_is_substitution_pixel_by_pixel():
    """The plain loop over all pixels that the antidiagonals replace."""
    flow = factors((4, 5, 2), 5)[0]
    z = np.random.default_rng(0).standard_normal((1, 4, 5, 2))
    x = np.zeros((4, 5, 2))
    for i in range(4):
        for j in range(5):
            rest = z[0, i, j] - flow.b
            for a in range(3):
                for b in range(3):
                    if (a, b) != (0, 0) and i >= a and j >= b:
                        rest = rest - flow.K[a, b] @ x[i - a, j - b]
            x[i, j] = np.linalg.solve(flow.C, rest)
    np.testing.assert_allclose(flow.inverse(z)[0][0], x, atol=1e-13)


@pytest.mark.parametrize("reverse", (False, True))
def test_a_strong_tap_amplifies_errors_exponentially_and_the_log_determinant_does_not_show_it(reverse):
    flow = MaskedConv((1, 24, 1), 3, reverse)
    flow.taps[...] = 0
    z = np.random.default_rng(0).standard_normal((1, 1, 24, 1))
    for tap in (0.5, 1.5, 3.0):
        flow.taps[0] = tap
        first = np.zeros_like(z)
        first[0, 0, -1 if reverse else 0] = 1e-3
        change = flow.inverse(z + first)[0] - flow.inverse(z)[0]
        last = change[0, 0, 0 if reverse else -1, 0]
        assert abs(last) == pytest.approx(1e-3 * tap ** 23, rel=1e-3)
        assert flow.forward(z)[1] == 0
    x = np.random.default_rng(1).standard_normal((1, 1, 24, 1))  # 3^23 is 1e11: five digits of sixteen are left
    error = np.abs(flow.inverse(flow.forward(x)[0])[0] - x).max()
    assert 1e-9 < error < 1e-3


@pytest.mark.parametrize("side", (8, 16, 32))
def test_small_taps_bound_the_amplification_for_any_image(side):
    """With s, the largest row sum of the off-centre taps relative to the centre, below 1: at most 1 / (1 - s)."""
    rng = np.random.default_rng(0)
    flow = MaskedConv((side, side, 2), 3, rng=0)
    s = np.abs(flow.taps).sum(axis=(0, 2)).max()
    assert 0.1 < s < 0.5
    z = rng.standard_normal((1, side, side, 2))
    for scale, noise in ((1, rng.choice([-1.0, 1.0], z.shape)), (0.9 / s, np.ones_like(z))):
        flow.taps *= scale
        bound = 1 / (1 - np.abs(flow.taps).sum(axis=(0, 2)).max())
        assert np.abs(flow.inverse(z + noise)[0] - flow.inverse(z)[0]).max() <= bound * (1 + 1e-12)
    flow.taps[...] = -np.abs(flow.taps)                          # all paths of an error add up
    assert np.abs(flow.inverse(z + noise)[0] - flow.inverse(z)[0]).max() > 0.5 / (1 - 0.9) if side > 8 else True


def test_empty_batch_float32_and_saving(tmp_path):
    flow = randomized(EmergingConv((3, 4, 2), 5, rng=0, dtype=np.float32))
    for method in (flow.forward_vjp, flow.inverse_vjp):
        (out, log_det), vjp = method(np.zeros((0, 3, 4, 2)))
        grad, grad_theta = vjp(out, log_det)
        assert out.shape == grad.shape == (0, 3, 4, 2) and log_det.shape == (0,) and not grad_theta.any()
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 2)).astype(np.float32)
    for part in (flow, randomized(MaskedConv((3, 4, 2), reverse=True, rng=0))):
        nf.save(nf.NormalizingFlow(part), tmp_path / "model.npz")
        np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").flow.forward(x)[0], part.forward(x)[0])


def test_refusals():
    for kernel_size in (0, 2, 4, 3.0):
        with pytest.raises(ValueError, match="kernel_size: expected"):
            EmergingConv((3, 3, 1), kernel_size)
    with pytest.raises(ValueError, match="shape: expected"):
        MaskedConv((3, 3))
