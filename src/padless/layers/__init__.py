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
from padless.layers.cells import GRUCell as GRUCell
from padless.layers.cells import LSTMCell as LSTMCell
from padless.layers.cells import SimpleRNNCell as SimpleRNNCell
from padless.layers.cells import StackedRNNCells as StackedRNNCells
from padless.layers.conv_lstm import ConvLSTM1D as ConvLSTM1D
from padless.layers.conv_lstm import ConvLSTM2D as ConvLSTM2D
from padless.layers.conv_lstm import ConvLSTM3D as ConvLSTM3D
from padless.layers.convolution import Conv1D as Conv1D
from padless.layers.convolution_dense import Conv2D as Conv2D
from padless.layers.convolution_dense import Conv2DTranspose as Conv2DTranspose
from padless.layers.convolution_dense import Conv3D as Conv3D
from padless.layers.convolution_dense import Conv3DTranspose as Conv3DTranspose
from padless.layers.convolution_dense import DepthwiseConv2D as DepthwiseConv2D
from padless.layers.convolution_dense import SeparableConv2D as SeparableConv2D
from padless.layers.crf import CRF as CRF
from padless.layers.dense import Dense as Dense
from padless.layers.discretization import CategoryEncoding as CategoryEncoding
from padless.layers.discretization import Discretization as Discretization
from padless.layers.dropout import AlphaDropout as AlphaDropout
from padless.layers.dropout import Dropout as Dropout
from padless.layers.dropout import GaussianDropout as GaussianDropout
from padless.layers.dropout import GaussianNoise as GaussianNoise
from padless.layers.dropout import SpatialDropout1D as SpatialDropout1D
from padless.layers.dropout import SpatialDropout2D as SpatialDropout2D
from padless.layers.dropout import SpatialDropout3D as SpatialDropout3D
from padless.layers.einsum import EinsumDense as EinsumDense
from padless.layers.embedding import Embedding as Embedding
from padless.layers.embedding import ReversibleEmbedding as ReversibleEmbedding
from padless.layers.functions import Identity as Identity
from padless.layers.functions import Lambda as Lambda
from padless.layers.hashing import HashedCrossing as HashedCrossing
from padless.layers.hashing import Hashing as Hashing
from padless.layers.lookup import IntegerLookup as IntegerLookup
from padless.layers.lookup import StringLookup as StringLookup
from padless.layers.masking import Masking as Masking
from padless.layers.masking import Unmask as Unmask
from padless.layers.merging import Add as Add
from padless.layers.merging import Average as Average
from padless.layers.merging import Concatenate as Concatenate
from padless.layers.merging import Dot as Dot
from padless.layers.merging import Maximum as Maximum
from padless.layers.merging import Minimum as Minimum
from padless.layers.merging import Multiply as Multiply
from padless.layers.merging import Subtract as Subtract
from padless.layers.merging import add as add
from padless.layers.merging import average as average
from padless.layers.merging import concatenate as concatenate
from padless.layers.merging import dot as dot
from padless.layers.merging import maximum as maximum
from padless.layers.merging import minimum as minimum
from padless.layers.merging import multiply as multiply
from padless.layers.merging import subtract as subtract
from padless.layers.normalization import BatchNormalization as BatchNormalization
from padless.layers.normalization import GroupNormalization as GroupNormalization
from padless.layers.normalization import LayerNormalization as LayerNormalization
from padless.layers.normalization import RMSNormalization as RMSNormalization
from padless.layers.normalization import SpectralNormalization as SpectralNormalization
from padless.layers.normalization import UnitNormalization as UnitNormalization
from padless.layers.pooling import AdaptiveAveragePooling1D as AdaptiveAveragePooling1D
from padless.layers.pooling import AdaptiveMaxPooling1D as AdaptiveMaxPooling1D
from padless.layers.pooling import AveragePooling1D as AveragePooling1D
from padless.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from padless.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from padless.layers.pooling import MaxPooling1D as MaxPooling1D
from padless.layers.pooling_dense import AdaptiveAveragePooling2D as AdaptiveAveragePooling2D
from padless.layers.pooling_dense import AdaptiveAveragePooling3D as AdaptiveAveragePooling3D
from padless.layers.pooling_dense import AdaptiveMaxPooling2D as AdaptiveMaxPooling2D
from padless.layers.pooling_dense import AdaptiveMaxPooling3D as AdaptiveMaxPooling3D
from padless.layers.pooling_dense import AveragePooling2D as AveragePooling2D
from padless.layers.pooling_dense import AveragePooling3D as AveragePooling3D
from padless.layers.pooling_dense import GlobalAveragePooling2D as GlobalAveragePooling2D
from padless.layers.pooling_dense import GlobalAveragePooling3D as GlobalAveragePooling3D
from padless.layers.pooling_dense import GlobalMaxPooling2D as GlobalMaxPooling2D
from padless.layers.pooling_dense import GlobalMaxPooling3D as GlobalMaxPooling3D
from padless.layers.pooling_dense import MaxPooling2D as MaxPooling2D
from padless.layers.pooling_dense import MaxPooling3D as MaxPooling3D
from padless.layers.positions import PositionEmbedding as PositionEmbedding
from padless.layers.positions import RotaryEmbedding as RotaryEmbedding
from padless.layers.positions import SinePositionEncoding as SinePositionEncoding
from padless.layers.positions import TokenAndPositionEmbedding as TokenAndPositionEmbedding
from padless.layers.recurrent import GRU as GRU
from padless.layers.recurrent import LSTM as LSTM
from padless.layers.recurrent import RNN as RNN
from padless.layers.recurrent import SimpleRNN as SimpleRNN
from padless.layers.regularization import ActivityRegularization as ActivityRegularization
from padless.layers.rescaling import Normalization as Normalization
from padless.layers.rescaling import Rescaling as Rescaling
from padless.layers.reshaping import Cropping1D as Cropping1D
from padless.layers.reshaping import Flatten as Flatten
from padless.layers.reshaping import Permute as Permute
from padless.layers.reshaping import RepeatVector as RepeatVector
from padless.layers.reshaping import Reshape as Reshape
from padless.layers.reshaping import Spread as Spread
from padless.layers.reshaping import TimeSlice as TimeSlice
from padless.layers.reshaping import UpSampling1D as UpSampling1D
from padless.layers.reshaping import ZeroPadding1D as ZeroPadding1D
from padless.layers.reshaping_dense import Cropping2D as Cropping2D
from padless.layers.reshaping_dense import Cropping3D as Cropping3D
from padless.layers.reshaping_dense import UpSampling2D as UpSampling2D
from padless.layers.reshaping_dense import UpSampling3D as UpSampling3D
from padless.layers.reshaping_dense import ZeroPadding2D as ZeroPadding2D
from padless.layers.reshaping_dense import ZeroPadding3D as ZeroPadding3D
from padless.layers.separable import DepthwiseConv1D as DepthwiseConv1D
from padless.layers.separable import SeparableConv1D as SeparableConv1D
from padless.layers.text_vectorization import TextVectorization as TextVectorization
from padless.layers.time_distributed import TimeDistributed as TimeDistributed
from padless.layers.transformer import TransformerDecoder as TransformerDecoder
from padless.layers.transformer import TransformerEncoder as TransformerEncoder
from padless.layers.transposed import Conv1DTranspose as Conv1DTranspose
from padless.layers.wrappers import Bidirectional as Bidirectional
from padless.layers.wrappers import Wrapper as Wrapper
from padless.saving import deserialize as deserialize
from padless.saving import serialize as serialize
from padless.spec import InputSpec as InputSpec

# Keras's other names for some of them.
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
Convolution3D = Conv3D
Convolution3DTranspose = Conv3DTranspose
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GroupQueryAttention = GroupedQueryAttention
InputLayer = Input
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
