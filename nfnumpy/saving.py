"""Models in files: one ``.npz`` with theta, the constants, a description in JSON and a checksum, and no pickle."""
import numpy as np

from nfnumpy import files
from nfnumpy.distributions import Density
from nfnumpy.flows.transformers import Transformer
from nfnumpy.model import NormalizingFlow
from nfnumpy.parametrized import Parametrized

FORMAT = 2                                                       # 1 had no checksum; it loads
KINDS = (NormalizingFlow, Parametrized, Density, Transformer)                 # what has a config() and can be rebuilt from it


def save(model, path):
    """Write `model` to the file `path`, which ends whole or is not touched: it is written aside and renamed.

    Saved are the class name and `config()` of the model and of its parts, theta, and ``model.info``.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If theta is not finite.
    TypeError
        If a part cannot be rebuilt from its `config()`, or a `config()` or ``model.info`` holds something that is
        neither plain, nor an array, nor parametrized.

    Examples
    --------
    >>> import tempfile, nfnumpy as nf
    >>> path = tempfile.mkdtemp() + "/model.npz"
    >>> nf.save(nf.maf(dim=2, rng=0), path)
    >>> nf.load(path).x_shape
    (2,)
    """
    if not np.isfinite(model.theta).all():
        raise ValueError("model: expected finite parameters, got some in theta that are NaN or infinite")
    encoded, arrays = encode(model)
    description = {"program": "nfnumpy", "format": FORMAT, "info": model.info, "model": encoded}
    with files.written_whole(path) as aside:
        files.write(aside, description, {"theta": model.theta, **arrays})
        try:
            load(aside)                                          # what cannot be read again must not replace anything
        except ValueError as error:
            raise TypeError(f"model: expected every part's config() to hold the arguments of its class, got one that "
                            f"cannot be rebuilt: {error.__cause__ or error}") from error


def load(path):
    """The model that `save` wrote to `path`.

    Flows of one's own are found by name among the classes that are imported when `load` is called; nothing is imported
    by it and no pickle is read. A damaged file is refused: a checksum covers all that the model is made of (in files of
    format 1, written by earlier versions, the archive's own). It finds accidents: a file that is made on purpose, with
    a checksum to match, can still describe a model that is too large for the memory.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, of another program, of a later format, or needs a class that is not imported.
    """
    try:
        description, arrays = files.read(path)
        if description["program"] != "nfnumpy" or "model" not in description:
            raise ValueError("expected a model of nfnumpy, got something else")
        if description["format"] > FORMAT:
            raise ValueError(f"expected format {FORMAT} or earlier, got {description['format']}: "
                             "written by a later version of nfnumpy")
        theta = arrays.pop("theta")
        if not np.isfinite(theta).all():
            raise ValueError("theta: expected finite parameters")
        classes = {_class_name(cls): cls for kind in KINDS for cls in (kind, *_subclasses(kind))}
        model = _decode(description["model"], arrays, classes).astype(theta.dtype)
        model.theta, model.info = theta, dict(description["info"])
        return model
    except OSError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: not a model file that can be used: {error}") from error
    except Exception as error:                                   # what fits no class makes it raise almost anything
        raise ValueError(f"{path}: not a model file of nfnumpy, or a damaged one "
                         f"({type(error).__name__}: {error})") from error


def encode(model):
    """``description, arrays``: the class names and `config()` of a model and of its parts, without theta.

    Raises TypeError for a config that holds something that is neither plain, nor an array, nor parametrized.
    """
    arrays = {}
    return _encode(model, arrays), arrays


def _encode(value, arrays):
    """`value` as JSON; arrays are put into `arrays` under fresh names."""
    if isinstance(value, KINDS):
        return {"class": _class_name(type(value)), "config": {k: _encode(v, arrays) for k, v in value.config().items()}}
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, (list, tuple)):
        return [_encode(item, arrays) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"config: expected plain values, arrays, flows or densities, got a {type(value).__name__}")


def _decode(value, arrays, classes):
    if isinstance(value, list):
        return [_decode(item, arrays, classes) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if value["class"] not in classes:
        raise ValueError(f"it needs the class {value['class']}, which is not imported")
    return classes[value["class"]](**{name: _decode(item, arrays, classes) for name, item in value["config"].items()})


def _class_name(cls):
    """The bare name for this package's own classes, ``module:name`` for anyone else's, which cannot shadow them."""
    own = cls.__module__.startswith("nfnumpy.") and not cls.__module__.startswith("nfnumpy.testing.")
    return cls.__qualname__ if own else f"{cls.__module__}:{cls.__qualname__}"


def _subclasses(cls):
    for below in cls.__subclasses__():
        yield below
        yield from _subclasses(below)
