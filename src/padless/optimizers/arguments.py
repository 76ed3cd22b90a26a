"""Arguments of optimizers: those that all take, and checks."""

from __future__ import annotations

from typing import Any, TypedDict

from padless.errors import ArgumentError, explain

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


class Common(TypedDict, total=False):
    """Arguments of every optimizer, all optional.

    Attributes:
        weight_decay: share of each weight, times the learning rate, that is taken off before each step.
        clipnorm: each gradient is scaled down to this norm.
        clipvalue: each number of a gradient is cut to this size.
        global_clipnorm: all gradients together are scaled down to this norm.
        use_ema: keep an exponential moving average of the weights, which takes their place when `fit` ends.
        ema_momentum: share of the average that is kept at each step.
        ema_overwrite_frequency: put the averages into the place of the weights every so many steps, too.
        loss_scale_factor: the loss is multiplied by it before gradients are computed, and these are divided by it.
        gradient_accumulation_steps: batches of a step: their gradients are added up, each with the weight that its
            rows and steps have in the loss, and divided once, so that they are exactly one large batch. Penalties of
            outputs (`add_loss`) count by the same weights. Batches that are left over wait for those of the next epoch
            or `fit`. Learning-rate schedules and `ema_momentum` count steps, not batches.
        name: shown in logs.
    """

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


def check_common(where: str, common: Common) -> None:
    """Check what every optimizer takes.

    Args:
        where: class of the optimizer.
        common: the arguments.

    Raises:
        ArgumentError: when one is unknown or out of its range, or more than one of the three clips is given.
    """
    unknown = sorted(set(common) - set(Common.__annotations__))
    if unknown:
        raise ArgumentError(
            explain(
                where,
                expected=f"arguments of its own or these: {', '.join(Common.__annotations__)}",
                got=", ".join(unknown),
                fix="learning_rate=1e-3" if unknown == ["lr"] else f"leave out {', '.join(unknown)}",
            )
        )
    _check_range(where, common)
    clips = [name for name in _CLIPS if common.get(name) is not None]
    if len(clips) > 1:
        raise ArgumentError(
            explain(where, expected=f"at most one of {', '.join(_CLIPS)}", got=" and ".join(clips), fix="keep one")
        )


def _check_range(where: str, common: Common) -> None:
    momentum, frequency = common.get("ema_momentum", 0.99), common.get("ema_overwrite_frequency")
    batches = common.get("gradient_accumulation_steps")
    wrong = [
        ("ema_momentum", momentum, "a number from 0 to 1", not 0 <= momentum <= 1, "0.99"),
        ("ema_overwrite_frequency", frequency, "a whole number above 0, or None", _below(frequency, 1), "100"),
        ("gradient_accumulation_steps", batches, "a whole number above 1, or None", _below(batches, 2), "4"),
    ]
    for name, value, expected, is_wrong, better in wrong:
        if is_wrong:
            raise ArgumentError(explain(f"{where}, {name}", expected=expected, got=repr(value), fix=f"{name}={better}"))


def _below(number: Any, least: int) -> bool:
    return number is not None and (not isinstance(number, int) or number < least)


def at_least_0(where: str, name: str, value: float) -> float:
    """Check a number.

    Args:
        where: class of the optimizer.
        name: of the argument.
        value: the number.

    Returns:
        The number.

    Raises:
        ArgumentError: when it is below 0.
    """
    if value < 0:
        raise ArgumentError(
            explain(f"{where}, {name}", expected="a number of at least 0", got=repr(value), fix=f"{name}=0.1")
        )
    return value


def share(where: str, name: str, value: float) -> float:
    """Check a number.

    Args:
        where: class of the optimizer.
        name: of the argument.
        value: the number.

    Returns:
        The number.

    Raises:
        ArgumentError: when it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ArgumentError(
            explain(f"{where}, {name}", expected="a number from 0 to 1", got=repr(value), fix=f"{name}=0.9")
        )
    return value
