"""Learners by name: those of the suite, of installed packages, and of a user's own file."""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fewshot.errors import UserError, unknown_name
from fewshot.learners import LEARNERS
from fewshot.protocols import Learner

GROUP = "fewshot.learners"
Learners = Mapping[str, type[Learner]]


def known_learners() -> dict[str, type[Learner]]:
    """The suite's learners and those that installed packages offer under the entry-point group.

    Raises UserError when an entry point takes a name of the suite's or cannot be loaded.
    """
    found = dict(LEARNERS)
    for point in entry_points(group=GROUP):
        if point.name in found:
            raise UserError(f"entry point {point.value}: the name '{point.name}' is taken")
        try:
            offered = point.load()
        except Exception as error:
            raise UserError(
                f"entry point {point.value}: {type(error).__name__}: {error}"
            ) from error
        found[point.name] = _checked(offered, point.value)
    return found


def with_learner(spec: str) -> tuple[str, dict[str, type[Learner]]]:
    """The name that NAME or FILE.py:CLASS stands for, and the known learners with it.

    A class from a file has its own name, as it stands in the file.
    Raises UserError for an unknown name and for a file or class that is no learner.
    """
    learners = known_learners()
    path, colon, class_name = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        if spec not in learners:
            raise unknown_name("learner", spec, learners)
        return spec, learners
    if class_name in learners:
        raise UserError(f"{spec}: the suite has a learner '{class_name}': choose another name")
    return class_name, {**learners, class_name: _from_file(Path(path), class_name)}


def source_digest(learner: type[Learner]) -> str | None:
    """A hash of the file that holds a learner from outside; None for the suite's own."""
    if learner.__module__.partition(".")[0] == "fewshot":
        return None
    file = inspect.getsourcefile(learner)
    return sha256(Path(file).read_bytes()).hexdigest()[:16] if file else None


def _from_file(path: Path, class_name: str) -> type[Learner]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    module_name = f"fewshot_outside_{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
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
    except Exception as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error
    if not hasattr(module, class_name):
        classes = [n for n, c in vars(module).items() if inspect.isclass(c)]
        raise unknown_name(f"class in {path}", class_name, classes)
    return _checked(getattr(module, class_name), f"{path}:{class_name}")


def _checked(offered: Any, where: str) -> type[Learner]:
    """Raises UserError unless this is a whole learner."""
    if not (inspect.isclass(offered) and issubclass(offered, Learner)):
        raise UserError(f"{where}: not a class derived from fewshot.protocols.Learner")
    if missing := sorted(offered.__abstractmethods__):
        raise UserError(f"{where}: no {', '.join(missing)}")
    parameters = getattr(getattr(offered, "Config", None), "__dataclass_params__", None)
    if not getattr(parameters, "frozen", False):
        raise UserError(f"{where}: needs a frozen dataclass as class attribute Config")
    kinds = get_args(get_args(get_type_hints(Learner)["trains_on"])[0])
    if getattr(offered, "trains_on", None) not in kinds:
        raise UserError(f"{where}: needs trains_on, one of {', '.join(kinds)}")
    return offered
