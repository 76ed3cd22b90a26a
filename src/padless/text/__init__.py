"""Text to ids: Keras's Tokenizer and its companions, and pad_sequences."""

from __future__ import annotations

from padless.text.padding import pad_sequences, unpad_sequences
from padless.text.skipgrams import make_sampling_table, skipgrams
from padless.text.tokenizer import Tokenizer, hashing_trick, one_hot, text_to_word_sequence, tokenizer_from_json

__all__ = [
    "Tokenizer",
    "hashing_trick",
    "make_sampling_table",
    "one_hot",
    "pad_sequences",
    "skipgrams",
    "text_to_word_sequence",
    "tokenizer_from_json",
    "unpad_sequences",
]
