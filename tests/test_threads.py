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


def test_the_number_of_blas_threads_is_the_environments():
    """Of NumPy's own OpenBLAS, which this asks in earnest; the tests set one thread, and other BLAS count as one."""
    assert threads.usual_threads() == int(os.environ.get("OPENBLAS_NUM_THREADS", threads.usual_threads()))


def test_items_are_dealt_out_once_each_and_products_have_one_thread_meanwhile(n_threads):
    wanted, seen = n_threads[0], []

    def work(share):
        seen.append(n_threads[-1])
        assert threads.usual_threads() == 1 or wanted == 1       # a share cannot share out any further
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
                assert sum(map(sum, threads.share_out(lambda share: [len(share)], range(7)))) == 7

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(user, range(4)))
    assert n_threads[-1] == wanted


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
        (out, vjp), (expected, whole_vjp) = net.vjp(h), whole.vjp(h)
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
        for _ in range(2):                                       # a vjp may be called again
            for got, wanted in zip(vjp(u), whole_vjp(u)):
                np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)


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
    assert model.flow.shares_out and not nf.maf(dim=2, rng=0).flow.shares_out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    with blas_threads(2):
        assert sum(threads.share_out(sum, range(4))) == 6        # there are threads now, which a child does not have
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's: a child may inherit locks that threads hold
            child = os.fork()
        if not child:
            os._exit(0 if sum(threads.share_out(sum, range(4))) == 6 else 1)
    assert os.waitpid(child, 0)[1] == 0
