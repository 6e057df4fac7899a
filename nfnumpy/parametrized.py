"""Parameters: many named arrays, one flat vector.

An optimiser wants one vector theta; a formula wants W and b. Here both are the same memory: every array is a view into
theta, so that writing into either one changes the other. A composition allocates one vector and binds its children to
slices of it, and so on down to the weights of a network.
"""
import copy
import math

import numpy as np

from nfnumpy.arrays import as_batch

UNCHANGING = ("_layout", "_children", "_constants", "_own")      # after the constructor: copies share them


class Parametrized:
    """Something with parameters: arrays of its own, and children that have parameters themselves.

    Parameters
    ----------
    parameters : dict of str to array
        Own parameters by name, with their initial values; each becomes an attribute that is a view into `theta`.
    children : dict of str to Parametrized
        Parts with parameters; they are bound to slices of this object's `theta` and become attributes.
    constants : dict of str to array
        Fixed arrays (permutations, masks): attributes, not in `theta`. Floating ones follow theta's precision.
    dtype : numpy dtype
        float64 or float32; complex types serve derivatives by complex step.

    Raises
    ------
    ValueError
        For a child that is already part of something else, children of different dtypes, another dtype, or a name that
        the class has for something else.

    Notes
    -----
    Copying, deep-copying and unpickling give an independent object with a `theta` of its own.

    `largest` is the size of the largest parameter here or in a part, about the multiplications of a sample in one product;
    `widest` the longest side of a matrix among them, the numbers of a sample in one layer.
    """

    shares_out = False                                           # whether its work, or a part's, is for `nfnumpy.threads`
    whole_batches = False                                        # whether rows see each other, or belong to rows of something
    largest = widest = 0

    def __init__(self, parameters=None, children=None, constants=None, dtype=np.float64):
        parameters, children, constants = parameters or {}, children or {}, constants or {}
        dtypes = {child.dtype for child in children.values() if child.n_params}
        if len(dtypes) > 1:
            raise ValueError(f"dtype: expected parts of one dtype, got {sorted(map(str, dtypes))}; use astype")
        if not parameters and dtypes:
            dtype = dtypes.pop()
        for name in {**parameters, **children, **constants}:
            if hasattr(type(self), name):
                raise ValueError(f"{name}: expected another name, every {type(self).__name__} has an attribute called that")
        for name, child in children.items():
            if "_owner" in child.__dict__:
                raise ValueError(f"{name}: expected a {type(child).__name__} of its own, got one that shares another one's "
                                 "theta, bound to a context or to noise; build the whole first, and bind that")
            if child._bound or any(child is other for key, other in children.items() if key != name):
                raise ValueError(f"{name}: expected a {type(child).__name__} that is not part of another one, got one "
                                 "that is; pass copy.copy(...) of it")
        self.__dict__.update(children)
        self.__dict__.update({name: np.asarray(value) for name, value in {**constants, **parameters}.items()})
        self._children, self._constants, self._bound = tuple(children), tuple(constants), False
        self._layout, start = [], 0                              # (name, slice of theta, shape or None for a child)
        for name, value in parameters.items():
            size = math.prod(np.shape(value))
            self._layout.append((name, slice(start, start + size), np.shape(value)))
            start += size
        for name, child in children.items():
            self._layout.append((name, slice(start, start + child.n_params), None))
            start += child.n_params
        self._own = frozenset(parameters)
        self.shares_out = self.shares_out or any(child.shares_out for child in children.values())
        self.whole_batches = self.whole_batches or any(child.whole_batches for child in children.values())
        shapes = [shape for _, _, shape in self._layout if shape is not None]
        self.largest = max([*map(math.prod, shapes), *(child.largest for child in children.values())], default=0)
        self.widest = max([*(max(shape) for shape in shapes if len(shape) > 1),
                           *(child.widest for child in children.values())], default=0)
        self._bind(np.empty(start, _floating(dtype)))

    def _bind(self, theta):
        """Copy all current values into `theta` and make every array, here and in the children, a view into it."""
        object.__setattr__(self, "_theta", theta)
        real = theta.real.dtype
        for name in self._constants:
            value = self.__dict__[name]
            if value.dtype.kind == "f":
                self.__dict__[name] = value.astype(real)
        for name, part, shape in self._layout:
            if shape is None:
                self.__dict__[name]._bind(theta[part])
                self.__dict__[name]._bound = True
            else:
                view = theta[part].reshape(shape)
                view[...] = self.__dict__[name]
                self.__dict__[name] = view

    @property
    def theta(self):
        """All parameters, ``(n_params,)``: writing into it changes the object, assigning to it copies in place."""
        return self._theta

    @theta.setter
    def theta(self, values):
        values = np.asarray(values)
        if values.shape != self._theta.shape:
            raise ValueError(f"theta: expected shape {self._theta.shape}, got {values.shape}")
        self._theta[...] = values

    @property
    def n_params(self):
        """Length of `theta`."""
        return len(self._theta)

    @property
    def dtype(self):
        """The dtype of `theta`, and so of every output and gradient."""
        return self._theta.dtype

    def parts(self, vector):
        """``{name: view}`` of a vector laid out like `theta`: own arrays in their shapes, a flat slice for each child."""
        return {name: vector[part] if shape is None else vector[part].reshape(shape)
                for name, part, shape in self._layout}

    def named(self, vector=None):
        """``{dotted name: view}`` of every array in `theta`, or in a gradient `vector` of the same length."""
        vector = self._theta if vector is None else vector
        if np.shape(vector) != self._theta.shape:
            raise ValueError(f"vector: expected shape {self._theta.shape}, got {np.shape(vector)}")
        arrays = {}
        for name, part, shape in self._layout:
            if shape is None:
                below = self.__dict__[name].named(vector[part])
                arrays.update({f"{name}.{key}": view for key, view in below.items()})
            else:
                arrays[name] = vector[part].reshape(shape)
        return arrays

    def gradient(self, out=None):
        """``grad_theta, {name: view into it}`` for a vjp to write into: the caller's slice `out`, or new memory."""
        grad_theta = np.empty_like(self._theta) if out is None else out
        return grad_theta, self.parts(grad_theta)

    def astype(self, dtype):
        """A copy whose parameters, outputs and gradients have another dtype."""
        other = copy.deepcopy(self)
        owner = other.__dict__.get("_owner", other)
        owner._bind(owner._theta.astype(_floating(dtype)))
        return other

    def sharing(self, **attributes):
        """The same object with other `attributes`, on the same `theta`: what binding to a context returns.

        It reads theta, and the arrays that are views into it, through this object, its owner, wherever that moves them;
        copies of both share again.
        """
        other = object.__new__(type(self))
        own = {name: value for name, value in self.__dict__.items() if name != "_theta" and name not in self._own}
        other.__dict__.update({**own, **attributes, "_owner": self.__dict__.get("_owner", self)})
        return other

    def __getattr__(self, name):
        owner = self.__dict__.get("_owner")                      # only asked for what is not there: no cost to others
        if owner is not None and (name == "_theta" or name in owner._own):
            return getattr(owner, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def as_batch(self, values, shape, name):
        """`values` as a batch of this object's dtype: see `nfnumpy.arrays.as_batch`."""
        return as_batch(values, shape, self._theta.dtype, name)

    def config(self):
        """Keyword arguments that rebuild the object up to `theta`: plain values, constants, other parametrized objects."""
        return {}

    def __repr__(self):
        arguments = ", ".join(f"{key}={'...' if isinstance(value, np.ndarray) and value.size > 8 else value!r}"
                              for key, value in self.config().items())
        return f"{type(self).__name__}({arguments})"

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_own", ()):                # layer.W = ... must not cut the view out of theta
            getattr(self, name)[...] = value
        elif name in self.__dict__.get("_children", ()):
            raise AttributeError(f"{name}: expected to stay the part that it is, whose parameters are views into theta; "
                                 f"write into {name}.theta, or build a new {type(self).__name__}")
        else:
            object.__setattr__(self, name, value)

    def __getstate__(self):
        if "_owner" in self.__dict__:
            return dict(self.__dict__)
        return {**{key: value for key, value in self.__dict__.items() if key != "_theta"},
                "_bound": False, "_dtype": self._theta.dtype}

    def __setstate__(self, state):
        state = dict(state)
        dtype = state.pop("_dtype", None)
        self.__dict__.update(state)
        if dtype is None:                                        # it shares its owner's theta
            return
        size = max((part.stop for _, part, _ in self._layout), default=0)
        self._bind(np.empty(size, dtype))

    def __copy__(self):
        return copy.deepcopy(self)                               # a shallow copy would share, and then lose, its views

    def __deepcopy__(self, memo):
        memo[id(self)] = other = object.__new__(type(self))
        other.__setstate__({name: value if name in UNCHANGING else copy.deepcopy(value, memo)
                            for name, value in self.__getstate__().items()})
        return other


def walk(part):
    """The parametrized object and, depth first, all of its children.

    >>> import nfnumpy as nf
    >>> [type(part).__name__ for part in walk(nf.Inverse(nf.Coupling(2)))]
    ['Inverse', 'Coupling', 'MLP']
    """
    yield part
    for name in part._children:
        yield from walk(getattr(part, name))


def _floating(dtype):
    try:
        dtype = np.dtype(dtype)
    except (TypeError, ValueError):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}") from None
    if dtype not in map(np.dtype, (np.float32, np.float64, np.complex64, np.complex128)):
        raise ValueError(f"dtype: expected float32 or float64 (or their complex kin, for complex steps), got {dtype}")
    return dtype
