"""Callbacks, with Keras's names, hooks and arguments."""

from padless.callbacks.averages import SwapEMAWeights as SwapEMAWeights
from padless.callbacks.base import HOOKS as HOOKS
from padless.callbacks.base import Callback as Callback
from padless.callbacks.base import CallbackList as CallbackList
from padless.callbacks.base import LambdaCallback as LambdaCallback
from padless.callbacks.base import Logs as Logs
from padless.callbacks.checkpoints import BackupAndRestore as BackupAndRestore
from padless.callbacks.checkpoints import ModelCheckpoint as ModelCheckpoint
from padless.callbacks.history import History as History
from padless.callbacks.monitoring import EarlyStopping as EarlyStopping
from padless.callbacks.monitoring import ReduceLROnPlateau as ReduceLROnPlateau
from padless.callbacks.monitoring import TerminateOnNaN as TerminateOnNaN
from padless.callbacks.progress import ProgbarLogger as ProgbarLogger
from padless.callbacks.progress import waiting as waiting
from padless.callbacks.rates import LearningRateCurve as LearningRateCurve
from padless.callbacks.rates import LearningRateScheduler as LearningRateScheduler
from padless.callbacks.rates import lr_find as lr_find
from padless.callbacks.records import CSVLogger as CSVLogger
from padless.callbacks.records import RemoteMonitor as RemoteMonitor
from padless.callbacks.screens import logs_text as logs_text
from padless.callbacks.tensorboard import TensorBoard as TensorBoard
