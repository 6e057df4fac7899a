"""Work that is shared out to threads gives what it gives in one, whatever BLAS is there and whoever else is at work."""
import contextlib
import copy
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy import threads
from nfnumpy.nets import resnet
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.resnet import InChunks, residual_net


@contextlib.contextmanager
def blas_threads(number):
    """As if BLAS had so many threads; yields the list of the numbers that it was set to, that one included."""
    numbers = [number]
    with mock.patch.object(threads, "_openblas", lambda: (lambda: numbers[-1], numbers.append)):
        yield numbers


@pytest.fixture(params=[1, 2, 3])
def n_threads(request):
    with blas_threads(request.param) as numbers:
        yield numbers


def test_numpys_own_blas_is_asked_and_set_back():
    """In earnest: at most as many threads as processors; a BLAS that is not OpenBLAS counts as one."""
    usual = threads.usual_threads()
    assert 1 <= usual <= os.cpu_count()
    with threads.sharing_out():
        assert threads._openblas()[0]() == 1
    assert threads._openblas()[0]() == usual


def test_items_are_dealt_out_once_each_and_products_have_one_thread_meanwhile(n_threads):
    wanted, seen = n_threads[0], []

    def work(share):
        seen.append(n_threads[-1])
        assert threads.usual_threads() == 1 and len(threads.share_out(list, range(9))) == 1      # no further sharing out
        return [10 * item for item in share]

    results = threads.share_out(work, range(8))
    assert len(results) == wanted
    assert sorted(item for result in results for item in result) == [10 * k for k in range(8)]
    assert set(seen) == {1} and n_threads[-1] == wanted
    assert threads.share_out(sum, [5]) == [5]                    # fewer items than threads


def test_nested_and_concurrent_use_leaves_the_number_of_threads_as_it_was(n_threads):
    wanted, barrier = n_threads[0], threading.Barrier(4)

    def user(k):
        barrier.wait(10)
        for _ in range(50):
            with threads.sharing_out() as number:
                assert number == wanted
                with threads.sharing_out() as inner:
                    assert inner == wanted
                assert threads._openblas()[0]() == 1             # not before the last one has left
                assert sum(map(sum, threads.share_out(lambda share: [len(share)], range(7)))) == 7

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(user, range(4)))
    assert n_threads[-1] == wanted


def test_another_thread_of_the_user_is_told_the_same_number(n_threads):
    with threads.sharing_out(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(threads.usual_threads).result() == n_threads[0]


def test_an_error_in_a_thread_is_raised_when_all_have_ended(n_threads):
    ended = []

    def work(share):
        if 0 in share:
            raise ZeroDivisionError("from the first share")
        ended.append(share)

    with pytest.raises(ZeroDivisionError, match="first share"):
        threads.share_out(work, range(6))
    assert len(ended) == n_threads[0] - 1
    with pytest.raises(ZeroDivisionError):
        threads.share_out(lambda share: 1 // (share[-1] - 5), range(6))                          # from the last
    assert n_threads[-1] == n_threads[0]


def test_threads_warn_and_raise_as_their_caller_has_set_it(n_threads):
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        threads.share_out(lambda share: np.exp(1000.0 * np.ones(len(share))), range(6))
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        threads.share_out(lambda share: np.exp(1000.0 * np.ones(len(share))), range(6))


@given(n_threads=st.integers(1, 3), n=st.integers(0, 9), pixels=st.integers(1, 60), recompute=st.booleans(),
       kept=st.integers(0, 3), seed=st.integers(0, 100))
def test_networks_in_chunks_are_the_same_networks(n_threads, n, pixels, recompute, kept, seed):
    """In all numbers of threads, with all or some activations kept: equal up to the order in which gradients are added."""
    rng = np.random.default_rng(seed)
    whole = residual_net(2, 3, 4, 1, "tanh", rng=0).net
    whole.theta[...] = 0.3 * rng.standard_normal(whole.theta.shape)
    net = InChunks(copy.copy(whole), pixels, recompute)
    h, u = rng.standard_normal((n, 3, 4, 2)), rng.standard_normal((n, 3, 4, 3))
    with blas_threads(n_threads), mock.patch.object(resnet, "KEPT", kept):
        (out, vjp), (expected, whole_vjp), chunks = net.vjp(h), whole.vjp(h), net.chunks(n, 3, 4)
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
        for _ in range(2):                                       # a vjp may be called again
            with mock.patch.object(net.net, "vjp", side_effect=net.net.vjp) as again:
                for got, wanted in zip(vjp(u), whole_vjp(u)):
                    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)
            assert again.call_count == (len(chunks) > 1 and recompute) * max(len(chunks) - kept, 0)


def test_one_vjp_may_be_called_by_several_threads_at_once():
    net, rng = InChunks(Conv2d(1, 2, 3, rng=0), 12), np.random.default_rng(0)
    h, us = rng.standard_normal((8, 3, 4, 1)), rng.standard_normal((20, 8, 3, 4, 2))
    _, vjp = net.vjp(h)
    wanted = [vjp(u)[0] for u in us]
    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(lambda u: vjp(u)[0], us), wanted):
            np.testing.assert_array_equal(got, expected)


@given(n_threads=st.integers(1, 3), n=st.integers(0, 40), size=st.integers(1, 8), pixels=st.integers(1, 100))
def test_chunks_are_all_images_in_order_and_not_too_large(n_threads, n, size, pixels):
    with blas_threads(n_threads):
        chunks = InChunks(Conv2d(1, 1, rng=0), pixels).chunks(n, size, size)
    assert [k for chunk in chunks for k in range(n)[chunk]] == list(range(n))
    lengths = [chunk.stop - chunk.start for chunk in chunks]
    assert n == 0 or 1 <= min(lengths) and max(lengths) <= max(1, min(lengths) + 1)
    assert (max(lengths) - 1) * size ** 2 <= pixels


def test_a_model_of_images_is_the_same_in_threads(n_threads, monkeypatch):
    """Densities, gradients and samples, the network in chunks of a few pixels."""
    monkeypatch.setattr(resnet, "CHUNK", 4 * 40)
    model = nf.realnvp_image((4, 4, 1), couplings=1, blocks=1, width=4, activation="tanh", rng=0)
    rng = np.random.default_rng(0)
    model.theta[...] = 0.3 * rng.standard_normal(model.theta.shape)
    x = rng.standard_normal((7, 4, 4, 1))
    got = model.log_prob(x), *nf.negative_log_likelihood(model, x), model.sample(3, rng=1)
    with blas_threads(1):
        wanted = model.log_prob(x), *nf.negative_log_likelihood(model, x), model.sample(3, rng=1)
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("model, seen", [(nf.glow((4, 4, 1), levels=1, steps=1, width=4, rng=0), {1}),
                                         (nf.maf(dim=2, hidden=(9, 7), rng=0), {2}),
                                         (nf.maf(dim=2, hidden=(9, 5), rng=0), {1})],
                         ids=["images, in pieces", "large products", "small products"])
def test_products_have_one_thread_where_pieces_are_shared_out_or_all_products_are_small(model, seen, monkeypatch):
    """Seven by nine weights and three samples are one multiplication too many."""
    monkeypatch.setattr("nfnumpy.model.SMALL", 3 * 9 * 7 - 1)
    with blas_threads(2) as numbers:
        found, flow = [], model.flow
        model.flow = mock.Mock(wraps=flow, shares_out=flow.shares_out, largest=flow.largest, widest=flow.widest,
                               x_shape=flow.x_shape, dtype=flow.dtype)
        for method in ("forward", "forward_vjp", "inverse"):
            getattr(model.flow, method).side_effect = lambda x, method=method: (
                found.append(numbers[-1]), getattr(flow, method)(x))[1]
        x = np.zeros((3, *model.x_shape))
        model.log_prob(x), model.log_prob_vjp(x)[1](np.ones(3)), model.sample(3, rng=0)
        assert set(found) == seen and len(found) == 3 and numbers[-1] == 2


def test_a_model_of_a_flow_of_any_other_kind_does_without():
    class Shift:
        """The contract, and nothing of ours."""
        x_shape, z_shape, dtype = (2,), (2,), np.float64

        def forward(self, x):
            return x + 1, np.zeros(len(x))

    assert nf.NormalizingFlow(Shift()).log_prob([[-1.0, -1.0]]) == -np.log(2 * np.pi)


def test_threads_that_python_does_not_start_any_more(n_threads, monkeypatch):
    """A user's own thread may go on when the main one has ended; then it does the work itself, errors included."""
    def ended(*arguments):
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(threads, "_pool", lambda *arguments: mock.Mock(submit=ended))
    assert sum(threads.share_out(sum, range(5))) == 10
    with pytest.raises(ZeroDivisionError):
        threads.share_out(lambda share: 1 // (share[-1] - 5), range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    with blas_threads(2) as numbers:
        assert sum(threads.share_out(sum, range(4))) == 6        # there are threads now, which a child does not have
        with threads.sharing_out(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's: a child may inherit locks that threads hold
            child = os.fork()
            if not child:
                good = threads.usual_threads() == 2 and numbers[-1] == 2 and sum(threads.share_out(sum, range(4))) == 6
                os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0 and numbers[-1] == 2
