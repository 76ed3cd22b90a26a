"""Keras's import path for the Tokenizer; the code is in `padless.text.tokenizer`."""

from __future__ import annotations

from padless.text.tokenizer import Tokenizer, hashing_trick, one_hot, text_to_word_sequence, tokenizer_from_json

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]
