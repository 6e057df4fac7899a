"""What the recording scripts share: random parameters, inputs, and the file that they write.

Each script runs in an environment of its own, with the library that it names and without nfnumpy; the tests read only
the files. A file holds what one library computed for one small model, in float64 and under the library's own names:

    weights/NAME, gradients/NAME      its parameters and buffers; the gradient of the mean of -log p(x)
    x, log_prob, gradient_x           a batch, its log-density, the gradient of the same mean
    z, z_log_det                      z = f(x), and the log-determinant that came with it
    noise, sample, sample_log_det     x = g(noise), and the log-determinant that came with it
    versions                          of everything that took part
"""
import platform
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def write(name, weights, gradients, versions, **arrays):
    """One ``.npz`` beside this file; values that are lists are stored as ``KEY.0``, ``KEY.1``, ..."""
    flat = {f"weights/{key}": value for key, value in weights.items()}
    flat.update({f"gradients/{key}": value for key, value in gradients.items()})
    for key, value in arrays.items():
        flat.update({f"{key}.{i}": part for i, part in enumerate(value)} if isinstance(value, list) else {key: value})
    flat["versions"] = np.array([*versions, f"numpy {np.__version__}", f"python {platform.python_version()}"])
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, **{key: np.asarray(value) for key, value in flat.items()})
    print(f"{path.name}: {path.stat().st_size} bytes, log p(x) from {arrays['log_prob'].min():.2f} "
          f"to {arrays['log_prob'].max():.2f}")


def record_torch(name, model, log_prob, to_noise, to_data, x, noise, versions, spread=0.2):
    """Draw the parameters of a PyTorch model, let it compute everything, and `write` it.

    `model` is the module with all parameters, `log_prob(x)` its density, `to_noise(x)` gives ``z, log_det``, and
    `to_data(noise)` gives ``x, log_det``. To each parameter noise is added, of standard deviation `spread`: as it was
    initialised, a flow often is the identity.
    """
    import torch

    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += spread * torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
    x = torch.from_numpy(x).requires_grad_()
    log_p = log_prob(x)
    names, parameters = zip(*model.named_parameters())
    gradient_x, *gradients = torch.autograd.grad(-log_p.mean(), [x, *parameters])
    noise = [torch.from_numpy(part) for part in noise] if isinstance(noise, list) else torch.from_numpy(noise)
    with torch.no_grad():
        (z, z_log_det), (sample, sample_log_det) = to_noise(x), to_data(noise)
    weights = {key: plain(value) for key, value in model.state_dict().items()}
    write(name, weights, dict(zip(names, map(plain, gradients))),
          [f"torch {torch.__version__}", *versions], x=plain(x), log_prob=plain(log_p), gradient_x=plain(gradient_x),
          z=plain(z), z_log_det=plain(z_log_det), noise=plain(noise), sample=plain(sample),
          sample_log_det=plain(sample_log_det))


def plain(value):
    """A tensor as a NumPy array, a list of tensors as a list of arrays."""
    return [plain(part) for part in value] if isinstance(value, list) else value.detach().numpy().copy()
