"""The layers, under their Keras names."""

from __future__ import annotations

from padless.graph import Input as Input
from padless.layer import Layer as Layer
from padless.layers.activations import ELU as ELU
from padless.layers.activations import Activation as Activation
from padless.layers.activations import LeakyReLU as LeakyReLU
from padless.layers.activations import PReLU as PReLU
from padless.layers.activations import ReLU as ReLU
from padless.layers.activations import Softmax as Softmax
from padless.layers.attention import AdditiveAttention as AdditiveAttention
from padless.layers.attention import Attention as Attention
from padless.layers.attention import GroupedQueryAttention as GroupedQueryAttention
from padless.layers.attention import MultiHeadAttention as MultiHeadAttention
from padless.layers.convolution import Conv1D as Conv1D
from padless.layers.convolution import Conv2D as Conv2D
from padless.layers.dense import Dense as Dense
from padless.layers.dropout import Dropout as Dropout
from padless.layers.embedding import Embedding as Embedding
from padless.layers.masking import Masking as Masking
from padless.layers.masking import Unmask as Unmask
from padless.layers.merging import Add as Add
from padless.layers.merging import Average as Average
from padless.layers.merging import Concatenate as Concatenate
from padless.layers.merging import Maximum as Maximum
from padless.layers.merging import Minimum as Minimum
from padless.layers.merging import Multiply as Multiply
from padless.layers.merging import Subtract as Subtract
from padless.layers.merging import add as add
from padless.layers.merging import average as average
from padless.layers.merging import concatenate as concatenate
from padless.layers.merging import maximum as maximum
from padless.layers.merging import minimum as minimum
from padless.layers.merging import multiply as multiply
from padless.layers.merging import subtract as subtract
from padless.layers.normalization import BatchNormalization as BatchNormalization
from padless.layers.normalization import LayerNormalization as LayerNormalization
from padless.layers.pooling import AveragePooling1D as AveragePooling1D
from padless.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from padless.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from padless.layers.pooling import MaxPooling1D as MaxPooling1D
from padless.layers.pooling import MaxPooling2D as MaxPooling2D
from padless.layers.positions import PositionEmbedding as PositionEmbedding
from padless.layers.positions import RotaryEmbedding as RotaryEmbedding
from padless.layers.positions import SinePositionEncoding as SinePositionEncoding
from padless.layers.positions import TokenAndPositionEmbedding as TokenAndPositionEmbedding
from padless.layers.recurrent import GRU as GRU
from padless.layers.recurrent import LSTM as LSTM
from padless.layers.recurrent import RNN as RNN
from padless.layers.recurrent import GRUCell as GRUCell
from padless.layers.recurrent import LSTMCell as LSTMCell
from padless.layers.recurrent import SimpleRNN as SimpleRNN
from padless.layers.recurrent import SimpleRNNCell as SimpleRNNCell
from padless.layers.reshaping import Flatten as Flatten
from padless.layers.transformer import TransformerDecoder as TransformerDecoder
from padless.layers.transformer import TransformerEncoder as TransformerEncoder
from padless.layers.wrappers import Bidirectional as Bidirectional

# Keras's other names for some of them.
AvgPool1D = AveragePooling1D
Convolution1D = Conv1D
Convolution2D = Conv2D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalMaxPool1D = GlobalMaxPooling1D
GroupQueryAttention = GroupedQueryAttention
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
