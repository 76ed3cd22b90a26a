"""Models of padless as estimators of scikit-learn."""

from padless.errors import BackendError, explain

try:
    import sklearn  # noqa: F401
except ImportError:
    raise BackendError(
        explain("padless.wrappers", expected="scikit-learn", got="none", fix="pip install scikit-learn")
    ) from None

from padless.wrappers.classifier import SKLearnClassifier as SKLearnClassifier
from padless.wrappers.regressor import SKLearnRegressor as SKLearnRegressor
from padless.wrappers.transformer import SKLearnTransformer as SKLearnTransformer
