"""Objects found by name and rebuilt from a config: one way for initializers, losses, metrics and the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self, TypeVar

from padless.errors import ArgumentError, NotThereYetError, explain, nearest

T = TypeVar("T")


class Configured:
    """Something whose `get_config` holds the arguments that make it again."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this object again.

        Returns:
            Plain Python values by argument name.
        """
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an object from what `get_config` gave.

        Args:
            config: arguments by name.

        Returns:
            The object.
        """
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def config_of(thing: Any) -> dict[str, Any]:
    """A config from which `find` makes an object again.

    Args:
        thing: an object with a `get_config`.

    Returns:
        {"class_name": ..., "config": {...}}.
    """
    return {"class_name": type(thing).__name__, "config": dict(thing.get_config())}


def snake_case(name: str) -> str:
    """Write a class name the way Keras does in layer names and files.

    Args:
        name: such as "GlorotUniform".

    Returns:
        Such as "glorot_uniform".

    Example:
        >>> snake_case("KLDivergence"), snake_case("PReLU")
        ('kl_divergence', 'p_re_lu')
    """
    split = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name))
    return split.lower()


def table(*kinds: type[T], **aliases: type[T]) -> dict[str, type[T]]:
    """Names under which classes are found.

    Args:
        *kinds: each found as "ClassName" and as "class_name".
        **aliases: further names.

    Returns:
        Classes by name.

    Example:
        >>> sorted(table(int, whole=int))
        ['int', 'whole']
    """
    return {name: kind for kind in kinds for name in (kind.__name__, snake_case(kind.__name__))} | aliases


def find(what: str, identifier: Any, known: Mapping[str, type[T]], kind: type[T], not_yet: Collection[str] = ()) -> T:
    """Turn a name, a config or a class into an object; an object is given back as it is.

    Args:
        what: the argument, as the user knows it, such as "optimizer".
        identifier: an object, a class, a name, or {"class_name": ..., "config": {...}} as in a model's file.
        known: classes by name.
        kind: what the object must be.
        not_yet: names that Keras knows and padless does not offer yet, in snake case.

    Returns:
        The object.

    Raises:
        ArgumentError: when there is no such name, or it is something else altogether.
        NotThereYetError: when the name is one of `not_yet`.

    Example:
        >>> find("number", "int", table(int), int)
        0
    """
    if isinstance(identifier, kind):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, kind):
        return identifier()
    config: Mapping[str, Any] = {}
    name = identifier
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config") or {}
    if isinstance(name, str) and name in known:
        make: Callable[..., T] = getattr(known[name], "from_config", known[name])
        return make(config) if config else known[name]()
    if isinstance(name, str) and snake_case(name) in not_yet:
        raise NotThereYetError(
            explain(
                what,
                expected="something that padless has",
                got=f"{name!r}, which Keras has and padless does not yet",
                fix=f"one of these, or your own class: {', '.join(_shown(known))}",
            )
        )
    raise ArgumentError(unknown(what, identifier, known))


def _shown(known: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in known if name == name.lower())


def unknown(what: str, identifier: Any, known: Mapping[str, Any]) -> str:
    """Error text for something that is no name of an object.

    Args:
        what: the argument, as the user knows it.
        identifier: what was given.
        known: what would have been found, by name.

    Returns:
        The text.
    """
    name = identifier.get("class_name") if isinstance(identifier, Mapping) else identifier
    shown = _shown(known)
    fix = nearest(name, shown) if isinstance(name, str) else f"one of these names: {', '.join(shown)}"
    return explain(what, expected="a known name or an object", got=repr(identifier), fix=fix)
