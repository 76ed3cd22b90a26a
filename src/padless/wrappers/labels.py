"""Class labels as a model reads them, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from padless.errors import ArgumentError, DataError, explain, nearest
from padless.ragged import Ragged
from padless.wrappers import sequences


class Labels:
    """The classes of targets.

    Args:
        y: one label for each row; one for each step, in lists or a Ragged; or (B, classes) of 0 and 1, where a row may
            have several.

    Raises:
        ValueError: for numbers that are no classes, and when there is one class only.
    """

    def __init__(self, y: Any) -> None:
        self.steps = sequences.are_rows(y)
        kind = type_of_target(sequences.packed(y).flat_values if self.steps else y, input_name="y", raise_unknown=True)
        self.several = kind == "multilabel-indicator"
        if self.several:
            self.classes: NDArray[Any] = np.arange(np.shape(y)[1])
            return
        if kind not in ("binary", "multiclass"):
            if kind.startswith("continuous"):
                check_classification_targets(y)  # whose words everyone knows
            fix = "one label for each row; or lists or a Ragged of them, one for each step: Ragged.from_padded(y, mask)"
            raise DataError(
                explain("y", expected="one label for each row or step", got=f"Unknown label type: {kind}", fix=fix)
            )
        self.classes = np.unique(self._flat(y))
        if len(self.classes) < 2:
            got = "Classifier can't train when only one class is present."
            raise DataError(explain("y", expected="two classes or more", got=got, fix="stratified folds, or more rows"))

    def _flat(self, y: Any) -> NDArray[Any]:
        if self.steps:
            return np.asarray(sequences.packed(y).flat_values)
        return np.asarray(column_or_1d(y, warn=True))

    def numbers(self, y: Any) -> Any:
        """The number of each label.

        Args:
            y: labels.

        Returns:
            (B,) int64, or a Ragged of them.

        Raises:
            DataError: for a label that `fit` did not see.
        """
        flat = self._flat(y)
        found = np.minimum(np.searchsorted(self.classes, flat), len(self.classes) - 1)
        unknown = flat[self.classes[found] != flat]
        if len(unknown):
            fix = f"one of: {', '.join(map(str, self.classes[:20].tolist()))}"
            raise DataError(explain("y", expected="classes that fit saw", got=repr(unknown[0]), fix=fix))
        return sequences.packed(y).with_flat_values(found) if self.steps else found

    def encoded(self, y: Any, *, ids: bool, width: int | None = None) -> Any:
        """Targets as a loss wants them.

        Args:
            y: labels.
            ids: whether the loss reads numbers of classes.
            width: outputs of the model; one is a single yes or no.

        Returns:
            Numbers (B,); (B, 1) float32 for one output; else (B, classes) of 0 and 1. The same in rows for steps.
        """
        if self.several:
            return np.asarray(y, np.float32)
        numbers = self.numbers(y)
        flat = numbers.flat_values if isinstance(numbers, Ragged) else numbers
        if ids:
            return numbers
        made = flat[:, None].astype(np.float32) if width == 1 else np.eye(len(self.classes), dtype=np.float32)[flat]
        return numbers.with_flat_values(made) if isinstance(numbers, Ragged) else made

    def weights(self, given: Any, y: Any) -> dict[int, float] | None:
        """Weights by number of class.

        Args:
            given: a dict by label, "balanced", or None.
            y: labels.

        Returns:
            The dict for `Model.fit`.

        Raises:
            ArgumentError: for a label that there is not.
        """
        if given is None:
            return None
        if self.several:
            fix = "sample_weight, one weight for each row"
            raise ArgumentError(explain("class_weight", expected="one class for each row", got="several", fix=fix))
        if isinstance(given, str):
            found = compute_class_weight(given, classes=self.classes, y=self._flat(y))
            return dict(enumerate(found.tolist()))
        known = {label: at for at, label in enumerate(self.classes.tolist())}
        for label in given:
            if label not in known:
                fix = nearest(str(label), [str(one) for one in known])
                raise ArgumentError(explain("class_weight", expected="labels of y", got=repr(label), fix=fix))
        return {known[label]: float(weight) for label, weight in given.items()}
