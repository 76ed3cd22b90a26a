"""Keras's import path of models."""

from padless.model import Functional as Functional
from padless.model import Model as Model
from padless.model import Sequential as Sequential
from padless.saving import load_model as load_model
