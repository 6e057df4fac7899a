"""Pieces of work side by side, in as many threads as BLAS has.

BLAS shares one matrix product between its threads; what NumPy does between products has a single one. Where work falls into
pieces that do not depend on each other, whole pieces are the better thing to share out: NumPy lets other threads run inside
its loops and products, so that each piece, its products included, has a processor of its own.
"""
import concurrent.futures
import contextlib
import contextvars
import ctypes
import functools
import os
import threading

import numpy as np

# What OpenBLAS calls its functions in NumPy's wheels, new and old, and in other distributions.
NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
         "openblas_{}_num_threads")
_threads = contextvars.ContextVar("threads", default=None)       # for share_out, inside sharing_out
_lock, _inside, _usual = threading.RLock(), 0, 1                 # how many are inside it, and what they found


def share_out(work, items):
    """Deal the items out to the threads and call ``work(share)`` in each: the list of results.

    There are as many shares as BLAS has threads, and at most one an item; a single one, with all items, where BLAS has one
    thread, or is not an OpenBLAS that can be asked. It has as many as there are processors, or fewer if the environment's
    ``OPENBLAS_NUM_THREADS`` says so. The shares depend on that number alone: the same number gives the same sums to the
    last bit.

    Raises what ``work`` raises, after all threads have ended.

    >>> sum(share_out(sum, [1, 2, 3, 4]))
    10
    """
    with sharing_out() as threads:
        threads = min(threads, len(items))
        if threads < 2:
            return [work(items)]
        shares, errors = [items[k::threads] for k in range(threads)], np.geterr()
        futures = [_start(threads - 1, _alone, work, share, errors) for share in shares[1:]]
        try:
            results = [_alone(work, shares[0], errors)]
        finally:
            concurrent.futures.wait(futures)
        return results + [future.result() for future in futures]


def usual_threads():
    """How many threads `share_out` has here."""
    with _lock:
        return _threads.get() or (_usual if _inside else _openblas()[0]())


@contextlib.contextmanager
def sharing_out():
    """Inside, products have one thread each, `share_out` has all that BLAS had: their number is what is yielded.

    For all of a computation, parts of which are shared out: after a product of two threads, OpenBLAS keeps the second one
    waiting for the next, at full speed and for a tenth of a second, on a processor that is needed.
    """
    global _inside, _usual
    get, set_to = _openblas()
    with _lock:
        if not _inside:
            _usual = get()
            set_to(1)
        _inside += 1
    token = _threads.set(_threads.get() or _usual)
    try:
        yield _threads.get()
    finally:
        _threads.reset(token)
        with _lock:
            _inside = max(_inside - 1, 0)                        # a process forked off inside starts anew at 0
            if not _inside:
                set_to(_usual)


def _start(workers, call, *arguments):
    """The call as a future, in another thread; in this one when Python is ending, which starts no other any more."""
    try:
        return _pool(os.getpid(), workers).submit(call, *arguments)
    except RuntimeError:
        future = concurrent.futures.Future()
        try:
            future.set_result(call(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def _alone(work, share, errors):
    """``work(share)``, which cannot share out any further, with floating-point errors treated as the caller wants it."""
    token = _threads.set(1)
    try:
        with np.errstate(**errors):
            return work(share)
    finally:
        _threads.reset(token)


@functools.cache
def _openblas():
    """The functions of NumPy's OpenBLAS that tell and set its number of threads, or two that stand for one thread."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)  # a part of NumPy that is linked to the BLAS
        for name in NAMES:
            with contextlib.suppress(AttributeError):
                return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return lambda: 1, lambda threads: None


@functools.cache
def _pool(process, workers):
    """The threads of this process: one that is forked off has none of its parent's."""
    return concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="nfnumpy")


def _start_anew():
    """In a process that was forked off: no thread is inside there, whatever the parent's were doing."""
    global _lock, _inside
    _lock, was_inside, _inside = threading.RLock(), _inside, 0
    if was_inside:
        _openblas()[1](_usual)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
