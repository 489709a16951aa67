"""Classes and their options, as benchmark files and commands name them.

A `Registry` finds the classes of one kind: those of the suite, of installed packages (entry
points) and of a user's own file (`FILE.py:CLASS`). Options are fields of frozen dataclasses; a hash
of them names trainings and cells.
"""

import ast
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Generic, TypeVar

from annotated_types import Ge, Gt, Interval

from fewshot.errors import UserError, unknown_name

Count = Annotated[int, Gt(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(gt=0, lt=1)]
ImageEdge = Annotated[int, Ge(8)]

T = TypeVar("T")


def option(default: Any, *, test_only: bool = False, added_later: bool = False) -> Any:
    """Return a field of a learner's `Config` with a meaning for names.

    test_only: it matters at test alone, so cells that differ in it share their training.
    added_later: it did not exist from the start, and its default is how things were before; at
    its default it stays out of the hash, so that cells measured before keep their names.
    """
    return field(default=default, metadata={"test_only": test_only, "added_later": added_later})


def short_hash(value: Any) -> str:
    """Return the 8 hexadecimal digits that name a configuration."""
    return sha256(json.dumps(identity(value), sort_keys=True).encode()).hexdigest()[:8]


def identity(value: Any) -> Any:
    """Return what names a configuration: all of it, except later options at their default."""
    if isinstance(value, tuple | list):
        return [identity(item) for item in value]
    if not is_dataclass(value):
        return value
    return {
        f.name: identity(getattr(value, f.name))
        for f in fields(value)
        if not (f.metadata.get("added_later") and getattr(value, f.name) == f.default)
    }


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The things of one kind that benchmarks name, each as the address `module:attribute`.

    kind: the word for one of them in messages. group: the entry points that offer more of them.
    own: name -> address, of the suite's own. check: returns what an address holds if it is of this
    kind, and raises UserError if not; it is told the address too. name_of: the name of one that
    comes from a file.
    """

    kind: str
    group: str
    own: Mapping[str, str]
    check: Callable[[Any, str], T]
    name_of: Callable[[T], str]

    def addresses(self) -> dict[str, str]:
        """Return name -> address of the suite's own and of installed packages; loads nothing.

        Raises UserError when a package takes a name that is taken.
        """
        found = dict(self.own)
        for point in entry_points(group=self.group):
            if point.name in found:
                raise UserError(f"entry point {point.value}: the name '{point.name}' is taken")
            found[point.name] = point.value
        return found

    def load(self) -> dict[str, T]:
        """Return name -> class of the suite's own and of installed packages.

        Raises UserError for one that cannot be loaded or is not of this kind.
        """
        found = {}
        for name, where in self.addresses().items():
            try:
                offered = EntryPoint(name, where, self.group).load()
            except Exception as error:
                raise UserError(f"entry point {where}: {type(error).__name__}: {error}") from error
            found[name] = self.check(offered, where)
        return found

    def include(self, spec: str, known: Mapping[str, T]) -> tuple[str, dict[str, T]]:
        """Return the name that NAME or FILE.py:CLASS stands for, and the known ones with it.

        Raises UserError for an unknown name, a file or class that will not do, and a name that
        another class has.
        """
        if not is_in_file(spec):
            if spec not in known:
                raise unknown_name(self.kind, spec, known)
            return spec, dict(known)
        path, _, attribute = spec.rpartition(":")
        digest = sha256(str(Path(path).resolve()).encode()).hexdigest()[:8]
        module_name = f"fewshot_outside_{digest}"
        loaded = sys.modules.get(module_name)
        for name, one in known.items():
            if loaded and one is vars(loaded).get(attribute):
                return name, dict(known)
        module = _run_file(Path(path), module_name)
        if not hasattr(module, attribute):
            classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
            raise unknown_name(f"class in {path}", attribute, classes)
        found = self.check(getattr(module, attribute), spec)
        name = self.name_of(found)
        if name in known:
            raise UserError(f"{spec}: there is a {self.kind} '{name}': choose another name")
        return name, {**known, name: found}


def is_in_file(spec: str) -> bool:
    """Say whether a name has the form FILE.py:CLASS."""
    return spec.rpartition(":")[0].endswith(".py")


def check_class(offered: Any, where: str, base: type[T]) -> type[T]:
    """Return a class from outside if it is a whole one with frozen options.

    Raises UserError unless it is derived from `base`, which is in `fewshot.protocols`, lacks no
    method, and has a frozen dataclass as `Config`.
    """
    if not (inspect.isclass(offered) and issubclass(offered, base)):
        raise UserError(f"{where}: not a class derived from fewshot.protocols.{base.__name__}")
    if missing := sorted(getattr(offered, "__abstractmethods__", ())):
        raise UserError(f"{where}: no {', '.join(missing)}")
    parameters = getattr(getattr(offered, "Config", None), "__dataclass_params__", None)
    if not getattr(parameters, "frozen", False):
        raise UserError(f"{where}: needs a frozen dataclass as class attribute Config")
    return offered


def source_digest(cls: type) -> str | None:
    """Return a hash of the file that holds a class from outside; None for the suite's own."""
    if cls.__module__.partition(".")[0] == "fewshot":
        return None
    file = inspect.getsourcefile(cls)
    return sha256(Path(file).read_bytes()).hexdigest()[:16] if file else None


def first_doc_line(address: str) -> str:
    """Return the first line of a class's docstring; the source is read, not run.

    Empty where there is no such source or docstring.
    """
    module, _, name = address.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        source = Path(spec.origin).read_text() if spec and spec.origin else ""
        classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    except (Exception, SystemExit):  # to find a module runs the package around it
        return ""
    docs = [ast.get_docstring(node) for node in classes if node.name == name]
    return (docs[0] or "").partition("\n")[0] if docs else ""


def _run_file(path: Path, module_name: str) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None  # it ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # where dataclasses and pickle look a class up
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # the file may import its neighbours, wherever one stands
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error
    return module
