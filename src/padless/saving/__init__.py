"""Configs and files of models."""

from padless.saving.archive import read_archive as read_archive
from padless.saving.archive import write_archive as write_archive
from padless.saving.arrays import read_arrays as read_arrays
from padless.saving.arrays import write_arrays as write_arrays
from padless.saving.configs import deserialize as deserialize
from padless.saving.configs import graph_config as graph_config
from padless.saving.configs import graph_from_config as graph_from_config
from padless.saving.configs import input_config as input_config
from padless.saving.configs import read as read
from padless.saving.configs import register as register
from padless.saving.configs import serialize as serialize
from padless.saving.configs import written as written
from padless.saving.files import load_model as load_model
from padless.saving.files import require_own_name as require_own_name
from padless.saving.files import save_model as save_model
from padless.saving.files import spec_config as spec_config
from padless.saving.files import standin_of as standin_of
from padless.saving.keras.file import from_keras as from_keras
from padless.saving.keras.file import to_keras as to_keras
from padless.saving.weights import load_weights as load_weights
from padless.saving.weights import require_weights_name as require_weights_name
from padless.saving.weights import save_weights as save_weights
