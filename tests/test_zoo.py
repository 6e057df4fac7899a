"""Every flow in the zoo, with random parameters, keeps every rule of the contract."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.testing.zoo import BUILDERS

seeds = st.integers(0, 2 ** 32 - 1)
SLOW = ("continuous",)                                           # a solver takes a hundred evaluations: fewer examples
QUICK = [name for name in BUILDERS if name not in SLOW]
fewer = settings(max_examples=settings.default.max_examples // 5)    # what other examples have checked already, once more


def animal(name, dim, seed, n=4):
    rng = np.random.default_rng(seed)
    flow = nf.testing.randomize(BUILDERS[name](dim, rng), rng)
    return flow, rng.standard_normal((n, *flow.x_shape))


@pytest.mark.parametrize("name", QUICK)
@given(dim=st.integers(1, 16), seed=seeds)
def test_every_property_holds_in_float64(name, dim, seed):
    flow, x = animal(name, dim, seed)
    nf.testing.check_flow(flow, x, rng=seed)


@pytest.mark.parametrize("name", QUICK)
@fewer
@given(dim=st.integers(1, 16), seed=seeds)
def test_float32_keeps_its_dtype_and_its_stated_round_trip(name, dim, seed):
    flow, x = animal(name, dim, seed)
    flow, x = flow.astype(np.float32), x.astype(np.float32)
    nf.testing.check_dtype(flow, x)
    nf.testing.check_invertible(flow, x)


@pytest.mark.parametrize("name", QUICK)
@fewer
@given(dim=st.integers(1, 6), seed=seeds)
def test_the_inverse_of_every_flow_is_a_flow(name, dim, seed):
    """Both directions have been checked already: their swap is what is new here."""
    flow, x = animal(name, dim, seed)
    z, _ = flow.forward(x)
    nf.testing.check_flow(nf.Inverse(flow), z, rng=seed)


@pytest.mark.parametrize("name", QUICK)
@fewer
@given(dim=st.integers(1, 6), seed=seeds)
def test_float32_gradients_agree_with_float64(name, dim, seed):
    """The same vjps in single precision: 1e-3 of the gradient's size, where float32 has seven digits to lose."""
    flow, x = animal(name, dim, seed)
    single = flow.astype(np.float32)
    for method, value in (("forward_vjp", x), ("inverse_vjp", flow.forward(x)[0])):
        (out, log_det), vjp = getattr(flow, method)(value)
        _, vjp32 = getattr(single, method)(value.astype(np.float32))
        pull = np.sign(out), np.ones_like(log_det)
        for grad, grad32 in zip(vjp(*pull), vjp32(*(p.astype(np.float32) for p in pull))):
            assert np.abs(grad - grad32).max(initial=0) <= 1e-3 * (1 + np.abs(grad).max(initial=0))


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("test", [test_every_property_holds_in_float64, test_float32_keeps_its_dtype_and_its_stated_round_trip,
                                  test_the_inverse_of_every_flow_is_a_flow, test_float32_gradients_agree_with_float64])
def test_the_same_holds_of_flows_that_a_solver_integrates(test, name):
    """Three examples each: that is a few hundred evaluations of the velocity, there and back, and of its adjoint."""
    some = settings(max_examples=3)(given(dim=st.integers(2, 4), seed=seeds)(test.hypothesis.inner_test))
    some(name=name)


@pytest.mark.parametrize("name", BUILDERS)
def test_an_empty_batch_gives_empty_results(name):
    flow, _ = animal(name, 3, seed=0)
    for method, shape in (("forward", flow.x_shape), ("inverse", flow.z_shape)):
        (out, log_det), vjp = getattr(flow, f"{method}_vjp")(np.empty((0, *shape)))
        assert len(out) == 0 and log_det.shape == (0,)
        grad_in, grad_theta = vjp(out, log_det)
        assert grad_in.shape == (0, *shape) and grad_theta.shape == flow.theta.shape and not grad_theta.any()
        assert all(len(part) == 0 for part in getattr(flow, method)(np.empty((0, *shape))))


@pytest.mark.parametrize("name", BUILDERS)
def test_config_and_theta_rebuild_the_flow(name, tmp_path):
    flow, x = animal(name, 3, seed=1)
    model = nf.NormalizingFlow(flow)
    nf.save(model, tmp_path / "model.npz")
    np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("shape, message", [((3,), r"write x\[None, :\]"), ((5, 4), r"expected a batch of shape \(n, 3\)")])
@pytest.mark.parametrize("name", [name for name in BUILDERS])
def test_a_wrong_shape_is_refused_and_named(name, shape, message):
    flow, _ = animal(name, 3, seed=0)
    if flow.x_shape == (3,):
        with pytest.raises(ValueError, match="^x: " + message if shape == (5, 4) else message):
            flow.forward(np.zeros(shape))
