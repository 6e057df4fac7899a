"""MADE one degree at a time: the price of one pass for what takes m passes of the whole network.

A hidden unit of degree d sees the inputs of degree up to d. Once those are known its value never changes, so that it is
computed once, when the last of them arrives. Going back, a unit of degree d is reached by the outputs of higher degree;
once their gradients are known, so is its own. Units stand sorted by degree, hence every product below is one of
contiguous blocks. Arrays hold a unit a row, ``(units, n)``, so that the units of one degree are contiguous in memory.

This is the fast path behind `GaussianAutoregressive`: the plain loop over m passes stands there, and tests compare them.
"""
import numpy as np


class ByDegree:
    """One evaluation of a MADE on n samples whose inputs become known, or are pulled back, degree by degree.

    Going forward, for d = 0, 1, ..., m - 1: write the inputs of degree up to d (`set_input`), then `params_after(d)` gives
    the parameters of the input of degree d + 1. Going backward, for d = m, ..., 1: write the gradient of the parameters
    of that input (`set_grad_params`), then `grad_input_of(d - 1)` gives the gradient that reaches the input of degree
    d - 1 through the network. Then `grad_theta` gives the gradient of all weights.

    Parameters
    ----------
    net : MADE
    n : int
        Number of samples.
    dtype : numpy dtype
        Of the inputs: complex for complex steps.
    """

    def __init__(self, net, n, dtype):
        self.net = net
        self.inputs = np.argsort(net.degrees, kind="stable")     # inputs sorted by degree, contexts (degree 0) first
        outputs = np.argsort(net.degrees[net.degrees > 0])       # the same for the inputs that have an output
        self.outputs = (np.arange(net.outputs) * net.dim + outputs[:, None]).ravel()  # rows of out: all of x_1, of x_2, ...
        degrees = [net.degrees[self.inputs], *net.hidden_degrees]
        # ends[k][d]: number of units of layer k (0: the inputs) of degree below d; those of degree d follow.
        self.ends = [np.searchsorted(layer, np.arange(net.dim + 2)) for layer in degrees]
        self.weights = [net.weight(k) for k in range(net.depth)]
        self.weights[0] = self.weights[0][:, self.inputs]
        self.weights[-1] = self.weights[-1][self.outputs]
        self.biases = [getattr(net, f"b{k}")[:, None] for k in range(net.depth)]
        self.biases[-1] = self.biases[-1][self.outputs]
        dtype = np.result_type(dtype, net.dtype)
        self.values = [np.empty((len(layer), n), dtype) for layer in degrees]
        self.pulls = [{} for _ in net.hidden_degrees]            # activation vjps by degree

    def set_input(self, d, values):
        """Write the input of degree d, or for d = 0 the contexts, ``(n, ...)``."""
        self.values[0][self._units(0, d)] = values.T

    def params_after(self, d):
        """Compute the hidden units of degree d; the parameters ``(n, outputs)`` of the input of degree d + 1 follow."""
        last = len(self.values) - 1
        for k in range(last):
            units, seen = self._units(k + 1, d), self.ends[k][d + 1]
            if units.start < units.stop:                         # a = W h + b, with the h that are known by now
                a = self.weights[k][units, :seen] @ self.values[k][:seen] + self.biases[k][units]
                self.values[k + 1][units], self.pulls[k][d] = self.net.activation(a)
        rows, seen = self._rows(d + 1), self.ends[last][d + 1]
        return (self.weights[-1][rows, :seen] @ self.values[last][:seen] + self.biases[-1][rows]).T

    def start_backward(self):
        """Make room for the gradients of every pre-activation and output."""
        self.grads = [np.zeros_like(layer) for layer in self.values[1:]]
        self.grads.append(np.zeros((len(self.outputs), self.values[0].shape[1]), self.values[0].dtype))

    def set_grad_params(self, d, grad_params):
        """Write the gradient ``(n, outputs)`` of the parameters of the input of degree d."""
        self.grads[-1][self._rows(d)] = grad_params.T

    def grad_input_of(self, d):
        """Pull back through the hidden units of degree d; the gradient ``(n, inputs of degree d)`` of those inputs follows."""
        last = len(self.values) - 1
        for k in reversed(range(last)):
            units = self._units(k + 1, d)
            if units.start < units.stop:
                grad_h = self._pull(k + 1, units, d)             # dL/dh = W^T dL/da, from the units that see it
                self.grads[k][units] = self.pulls[k][d](grad_h)  # dL/da = phi'(a) dL/dh
        return self._pull(0, self._units(0, d), d).T

    def grad_theta(self, out=None):
        """The gradient of all weights, ``(n_params,)``, once every degree has been pulled back."""
        grad_theta, grad = self.net.gradient(out)
        for k, (grad_a, values) in enumerate(zip(self.grads, self.values)):
            grad_W = grad_a @ values.T                           # dL/dW = sum over samples of dL/da h^T
            rows = self.outputs if k == self.net.depth - 1 else slice(None)
            columns = self.inputs if k == 0 else slice(None)
            grad[f"W{k}"][rows] = grad_W if k else grad_W[:, np.argsort(columns)]
            grad[f"W{k}"][...] *= getattr(self.net, f"mask{k}")
            grad[f"b{k}"][rows] = grad_a.sum(axis=1)
        return grad_theta

    def _units(self, layer, d):
        """The units of a layer (0: the inputs) of degree d."""
        return slice(self.ends[layer][d], self.ends[layer][d + 1])

    def _rows(self, d):
        """The outputs for the input of degree d."""
        return slice((d - 1) * self.net.outputs, d * self.net.outputs)

    def _pull(self, k, units, d):
        """W_k^T dL/da_k for `units` of layer k, of degree d: from the units above that see them."""
        first = self.ends[k + 1][d] if k + 1 < len(self.values) else d * self.net.outputs
        return self.weights[k][first:, units].T @ self.grads[k][first:]
