"""Memory that is used again: the system hands out fresh memory page by page, which can take longer than filling it."""
import functools
import math
import threading

import numpy as np

_memory = threading.local()


def workspace(shape, dtype):
    """An uninitialised array, valid until the next call in the same thread, for use within one function only.

    For intermediate results that nobody needs after the one product that they are made for. It is no cache: nothing in it
    is read before it is written.

    >>> first = workspace((2, 3), np.float32)
    >>> first.shape, first.dtype, np.shares_memory(first, workspace((4,), np.float64))
    ((2, 3), dtype('float32'), True)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > getattr(_memory, "size", -1):
        _memory.size, _memory.bytes = size, np.empty(size, np.uint8)
    return _memory.bytes[:size].view(dtype).reshape(shape)


@functools.cache
def keep_freed_memory():
    """Let the C library keep the memory that one batch has used, for the next one, which needs as much again.

    glibc returns blocks above a certain size to the system as soon as they are freed, and raises that size, up to 32 MB,
    when such a block is freed; it then keeps twice as much free memory. Freeing one large block, never touched, does
    that at once, and once is enough. Elsewhere it does nothing.
    """
    np.empty(2 ** 25 - 2 ** 13, np.uint8)
