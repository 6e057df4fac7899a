"""The barest training step of a MAF that NumPy allows, beside the package's own: what readable pieces cost.

    python tests/benchmarks/barest.py [--seconds 0.5] [--rounds 5]

Here the whole step is one function for one model: no contract, no checks, no other transformer, activation or order than
`nfnumpy.maf` has by default. The gradient is the same, which a test compares. A ratio of 0.6 means that it takes 0.6 of
the package's time: what could be gained at most, on small networks, by writing the package like this. On wide ones, where
products count, nothing would be: the package leaves out the zeros of the masks, and this does not.
"""
import argparse
import statistics

import numpy as np

import nfnumpy as nf

if __package__:
    from tests.benchmarks.speed import median_seconds, training_step
else:
    from speed import median_seconds, training_step

MODELS = {"2 dimensions, hidden (64, 64), batch 256": (2, (64, 64), 256),
          "6 dimensions, hidden (100, 100), batch 100": (6, (100, 100), 100)}


class BarestMAF:
    """`nfnumpy.maf` with two hidden layers, copied: its loss's gradient in one function.

    Arrays hold a unit a row, ``(units, n)``, and a row of ones below: a = W h + b is then one product, [W b] [h; 1].
    """

    def __init__(self, model):
        nets = [flow.net for flow in model.flow.flows if hasattr(flow, "net")]
        blocks, masks = [], []
        for net in nets:
            for k in range(3):
                W, b, mask = (getattr(net, f"{name}{k}") for name in ("W", "b", "mask"))
                blocks.append(np.column_stack([W, b]))
                masks.append(np.column_stack([mask, np.ones_like(b)]))
        self.dim, self.theta = model.flow.x_shape[0], np.concatenate([block.ravel() for block in blocks])
        self.grad_theta = np.empty_like(self.theta)
        self.layers, start = [], 0
        for block, mask in zip(blocks, masks):
            part, start = slice(start, start + block.size), start + block.size
            self.layers.append((self.theta[part].reshape(block.shape), mask, self.grad_theta[part].reshape(block.shape)))

    def gradient(self, x):
        """That of -(1/n) sum log p(x_i), ``(n_params,)``, in this copy's own order."""
        (n, m), dtype, kept = x.shape, x.dtype.type, []
        z, one_nth = np.concatenate([x.T, np.ones((1, n), x.dtype)]), dtype(1 / n)
        for k in range(0, len(self.layers), 3):
            h = [np.concatenate([z[m - 1::-1], z[m:]]) if k else z]           # reversed between layers
            weights = [A * mask for A, mask, _ in self.layers[k:k + 3]]
            for A in weights[:2]:
                a = np.empty((len(A) + 1, n), x.dtype)
                a[-1] = 1
                np.dot(A, h[-1], out=a[:-1])
                a[:-1] *= a[:-1] > 0
                h.append(a)
            out = weights[2] @ h[2]
            log_sigma = 5 * np.tanh(out[m:] / 5)
            inv_sigma, z = np.exp(-log_sigma), np.empty_like(h[0])
            z[-1] = 1
            np.multiply(h[0][:-1] - out[:m], inv_sigma, out=z[:-1])
            kept.append((h, weights, log_sigma, inv_sigma, z[:-1]))
        grad_z = z[:-1] * one_nth                                # log p = -|z|^2 / 2 - sum log_sigma + constant
        for k in reversed(range(len(kept))):
            h, weights, log_sigma, inv_sigma, z = kept[k]
            grad_x, grad = grad_z * inv_sigma, np.empty((2 * m, n), x.dtype)
            np.negative(grad_x, out=grad[:m])
            np.multiply(one_nth - grad_z * z, 1 - (log_sigma / 5) ** 2, out=grad[m:])
            for layer in (2, 1, 0):
                _, mask, grad_A = self.layers[3 * k + layer]
                np.dot(grad, h[layer].T, out=grad_A)
                grad_A *= mask
                grad = weights[layer][:, :-1].T @ grad
                if layer:
                    grad *= h[layer][:-1] > 0
            grad_z = (grad_x + grad)[::-1]                       # of no use below the first layer
        return self.grad_theta

    def like(self, model):
        """The last gradient in the model's own order."""
        grads, start = [], 0
        for flow in model.flow.flows:
            if hasattr(flow, "net"):
                for _, _, grad_A in self.layers[start:start + 3]:
                    grads += [grad_A[:, :-1].ravel(), grad_A[:, -1]]
                start += 3
        return np.concatenate(grads)


def barest_step(model, n):
    """A training step on the rows that `training_step` has, as a function."""
    x = np.random.default_rng(1).standard_normal((n, *model.x_shape)).astype(np.float32)
    bare = BarestMAF(model)
    adam = nf.Adam(bare.theta)
    return lambda: adam.step(bare.gradient(x))


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="time spent on each number and round (default 0.5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts (default 5)")
    args = parser.parse_args(argv)
    print("| MAF, five layers | barest, ms | nfnumpy, ms | ratio |\n| --- | --- | --- | --- |")
    for name, (dim, hidden, n) in MODELS.items():
        model = nf.maf(dim, steps=5, hidden=hidden, rng=0, dtype=np.float32)
        steps = barest_step(model, n), training_step(model, n)
        times = [[median_seconds(step, args.seconds) for step in steps] for _ in range(args.rounds)]
        bare, ours = (statistics.median(column) for column in zip(*times))
        print(f"| {name} | {1e3 * bare:.2f} | {1e3 * ours:.2f} | {bare / ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
