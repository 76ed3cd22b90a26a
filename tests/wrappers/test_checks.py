"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import check_classifiers_train, check_regressors_train, parametrize_with_checks

from padless.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from tests.wrappers.samples import dense

LISTS = "a list of lists is a list of sequences; the check means a table of features by it"
FAILING: dict[str, dict[str, str]] = {
    "SKLearnClassifier": {
        "check_classifiers_train": LISTS,
        "check_classifiers_multilabel_representation_invariance": LISTS,
    },
    "SKLearnRegressor": {
        "check_regressors_train": LISTS,
        "check_regressor_multioutput": "the model computes in float32, and so are its predictions",
    },
    "SKLearnTransformer": {
        "check_transformer_data_not_an_array": LISTS,
    },
}
NUMBERS = {"loss": "mse", "activation": None}
FIT = {"epochs": 2, "verbose": 0}


@parametrize_with_checks(
    [
        SKLearnClassifier(dense, fit_kwargs=FIT, random_state=1),
        SKLearnRegressor(dense, model_kwargs=NUMBERS, fit_kwargs=FIT, random_state=1),
        SKLearnTransformer(dense, model_kwargs=NUMBERS, fit_kwargs=FIT, random_state=1),
    ],
    expected_failed_checks=lambda estimator: FAILING[type(estimator).__name__],
)
@pytest.mark.filterwarnings("default")  # some checks ask for warnings, and catch them
def test_a_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    if check.func.__name__ == "check_sample_weight_equivalence_on_dense_data":
        pytest.skip("wants 1e-7 of float32; test_a_weight_of_two_is_the_row_twice wants what float32 can give")
    check(estimator)


class ClassifierOfTables(SKLearnClassifier):
    """One that reads lists of lists as tables, so that the rest of the check runs."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        return super().fit(np.asarray(X) if isinstance(X, list) else X, y, sample_weight, **kwargs)


class RegressorOfTables(SKLearnRegressor):
    """The same for numbers."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        return super().fit(np.asarray(X) if isinstance(X, list) else X, y, sample_weight, **kwargs)


@pytest.mark.filterwarnings("default")
def test_training_as_scikit_learn_checks_it_without_its_lists() -> None:
    check_classifiers_train("padless", ClassifierOfTables(dense, fit_kwargs=FIT, random_state=1))
    regressor = RegressorOfTables(dense, model_kwargs=NUMBERS, fit_kwargs=FIT, random_state=1)
    check_regressors_train("padless", regressor)
