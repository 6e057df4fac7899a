"""Products with a masked matrix in blocks, against the plain formulas with mask * W."""
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfnumpy.nets.made import hidden_degrees, made_masks
from nfnumpy.nets.masked import MaskedProducts, blocks

seeds = st.integers(0, 1000)


@given(n=st.integers(0, 3), above=st.integers(0, 9), below=st.integers(0, 9), block=st.integers(1, 4), seed=seeds)
def test_blocks_give_the_plain_products(n, above, below, block, seed):
    """For any mask; what `out` held before, NaN included, does not count."""
    rng = np.random.default_rng(seed)
    mask = rng.random((above, below)) < rng.random()
    W, h, grad_a = (rng.standard_normal(shape) for shape in ((above, below), (n, below), (n, above)))
    M, grad_W = mask * W, np.full((above, below), np.nan)
    with mock.patch("nfnumpy.nets.masked.BLOCK", block):
        products = MaskedProducts(mask)
    np.testing.assert_allclose(products.apply(h, M), h @ M.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(products.pull_input(grad_a, M), grad_a @ M, rtol=1e-12, atol=1e-12)
    products.pull_weight(grad_a, h, mask, out=grad_W)
    np.testing.assert_allclose(grad_W, mask * (grad_a.T @ h), rtol=1e-12, atol=1e-12)


@given(above=st.integers(0, 9), below=st.integers(0, 9), block=st.integers(1, 4), seed=seeds)
def test_blocks_hold_every_row_once_and_all_ones(above, below, block, seed):
    mask = np.random.default_rng(seed).random((above, below)) < 0.3
    with mock.patch("nfnumpy.nets.masked.BLOCK", block):
        pairs = blocks(mask)
    held, rows_held = np.zeros_like(mask), np.zeros(above, int)
    for rows, columns in pairs:
        held[rows, columns] = True
        rows_held[rows] += 1
    assert (rows_held == 1).all() and not (mask & ~held).any()


@pytest.mark.parametrize("degrees", [np.arange(1, 44), np.arange(43, 0, -1)], ids=["natural", "reversed"])
def test_wide_layers_of_made_skip_close_to_half(degrees):
    """Sorted degrees make the masks block triangular, in both orders: of 512 x 512 weights, 8 blocks use 9/16."""
    hidden = [hidden_degrees(512, 1, 43)] * 2
    mask = made_masks(degrees, hidden, 2)[1]
    used = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in blocks(mask))
    assert used < 0.6 * mask.size
