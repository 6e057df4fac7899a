"""What a submission finds under the names nfnumpy and matplotlib when it is graded: self-checks and pictures that do
nothing.

Students may check and draw with `nfnumpy.testing` and `nfnumpy.plot` in the file that they hand in; it costs them
nothing, neither time nor points. The flows of nfnumpy, which are the answers, are not there. Loaded by the child
process only.
"""
import importlib
import importlib.abc
import importlib.machinery
import sys
import types

QUIET = ("nfnumpy.testing", "nfnumpy.plot", "matplotlib")
OURS = ("nfnumpy", "matplotlib")
ABSENT = ("{name} is not there when homework is graded: of nfnumpy only nfnumpy.testing and nfnumpy.plot are, and they "
          "do nothing then")


class Nothing:
    """Takes every call, attribute and item, and does nothing."""

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs and isinstance(args[0], types.FunctionType):
            return args[0]                                       # as a decorator it leaves the function alone
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key):
        return self

    def __setitem__(self, key, value):
        pass

    def __iter__(self):
        return iter((self, self))                                # figure, axes = plt.subplots()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


class Stub(types.ModuleType):
    """A module of that name, in which everything is `Nothing`, or nothing is there."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in QUIET:
            return importlib.import_module(f"{self.__name__}.{name}")
        if self.__name__.startswith(QUIET):
            return Nothing()
        raise AttributeError(ABSENT.format(name=f"{self.__name__}.{name}"))


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for both packages before anything that is installed is asked."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in OURS:
            return None
        if name != "nfnumpy" and not name.startswith(QUIET):
            raise ModuleNotFoundError(ABSENT.format(name=name), name=name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Stub(spec.name)

    def exec_module(self, module):
        pass


def install():
    """Put the stubs in front of what is installed."""
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder())
