"""Record what Keras says: run with Keras on TensorFlow."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
import itertools
import json
import random
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parents[1] / "data" / "keras_preprocessing.json"

rng = random.Random(7)
words = [
    "The",
    "the",
    "cat",
    "Cat!",
    "sat,",
    "on",
    "a",
    "mat.",
    "don't",
    "a_b",
    "naïve",
    "Σίσυφος",
    "İstanbul",
    "世界",
    "…",
    "“quoted”",
    "tab\tbed",
    "nb\u00a0sp",
    "em\u2003sp",
    "x\x85y",
    "v\x0bt",
    "42",
    "4.2",
    "-",
    "--",
    "e\u0301t",
]
texts = ["", " ", "!!!"] + [" ".join(rng.choice(words) for _ in range(rng.randint(1, 9))) for _ in range(40)]
probe = ["the unknown cat sat", "", "a_b 世界 zebra", "…", "THE-CAT"]
out = {
    "made_by": f"Keras {keras.__version__} on TensorFlow {tf.__version__}",
    "texts": texts,
    "probe": probe,
    "cases": [],
}
for st, sp, ng, mode, mt in itertools.product(
    ["lower_and_strip_punctuation", "lower", "strip_punctuation", None],
    ["whitespace", "character", None],
    [None, 2, [2, 3]],
    ["int", "multi_hot", "count", "tf_idf"],
    [None, 12],
):
    if sp is None and (mode != "int" or ng):
        continue
    if ng and sp == "character":
        continue
    if st in ("lower", "strip_punctuation") and (mode != "int" or ng):
        continue
    kw = dict(
        standardize=st, split=sp, ngrams=tuple(ng) if isinstance(ng, list) else ng, output_mode=mode, max_tokens=mt
    )
    layer = keras.layers.TextVectorization(**kw)
    layer.adapt(texts)
    y = np.asarray(layer(probe))
    kw["ngrams"] = ng
    case = {"arguments": kw, "vocabulary": layer.get_vocabulary() if mode == "int" else None}
    if mode == "int":
        case["output"] = y.tolist()
    else:
        case["output"] = {
            "shape": list(y.shape),
            "nonzero": [[int(i), int(j), round(float(y[i, j]), 6)] for i, j in zip(*np.nonzero(y), strict=True)],
        }
    out["cases"].append(case)
v = ["x", "y", "z", "é"]
inp = [["x", "q", "z", "", "m"], ["é", "é", "w", "x2", "r"]]
out["strings"] = []
for kw in [
    dict(),
    dict(num_oov_indices=3),
    dict(mask_token=""),
    dict(num_oov_indices=2, mask_token="m"),
    dict(num_oov_indices=3, salt=5),
    dict(output_mode="one_hot"),
    dict(output_mode="multi_hot"),
    dict(output_mode="count", num_oov_indices=2),
    dict(output_mode="multi_hot", mask_token="x2"),
]:
    k = keras.layers.StringLookup(vocabulary=v, **kw)
    a = keras.layers.StringLookup(**kw)
    a.adapt(np.array(inp))
    out["strings"].append(
        {
            "arguments": kw,
            "given": np.asarray(k(np.array(inp))).tolist(),
            "learned": a.get_vocabulary(),
            "adapted": np.asarray(a(np.array(inp))).tolist(),
        }
    )
out["integers"] = []
ii = [[1, 5, 7, 0], [-4, 1000, 12, 12]]
for kw in [
    dict(),
    dict(num_oov_indices=3),
    dict(mask_token=0),
    dict(num_oov_indices=2, mask_token=7, oov_method="farmhash"),
    dict(output_mode="count"),
]:
    k = keras.layers.IntegerLookup(vocabulary=[12, 5, 1], **kw)
    a = keras.layers.IntegerLookup(**kw)
    a.adapt(np.array(ii))
    out["integers"].append(
        {
            "arguments": kw,
            "given": np.asarray(k(np.array(ii))).tolist(),
            "learned": [int(x) for x in a.get_vocabulary()],
            "adapted": np.asarray(a(np.array(ii))).tolist(),
        }
    )
out["hashing"] = []
hs = [["a", "", "bb"], ["c" * 40, "d" * 100, "é"]]
hi = [[1, 2], [3, -4]]
for kw in [
    dict(num_bins=7),
    dict(num_bins=7, mask_value=""),
    dict(num_bins=7, salt=9),
    dict(num_bins=5, output_mode="count"),
    dict(num_bins=5, output_mode="multi_hot"),
]:
    out["hashing"].append(
        {"arguments": kw, "input": hs, "output": np.asarray(keras.layers.Hashing(**kw)(np.array(hs))).tolist()}
    )
for kw in [dict(num_bins=7), dict(num_bins=7, mask_value=3)]:
    out["hashing"].append(
        {"arguments": kw, "input": hi, "output": np.asarray(keras.layers.Hashing(**kw)(np.array(hi))).tolist()}
    )
r = np.random.default_rng(0)
tt = [
    "".join(chr(c) for c in r.integers(32, 600, n))
    for n in [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 66, 100, 127, 128, 129, 192, 193, 300]
]
out["fingerprints"] = {
    "texts": tt,
    "farmhash": tf.strings.to_hash_bucket_fast(tt, 2**62).numpy().tolist(),
    "siphash": tf.strings.to_hash_bucket_strong(tt, 2**62, [5, 7]).numpy().tolist(),
}
# numeric
x = r.normal(size=(6, 4)).astype("float32")
d = keras.layers.Discretization(num_bins=5)
d.adapt(x)
out["discretization"] = {
    "x": x.tolist(),
    "boundaries": [float(b) for b in d.bin_boundaries],
    "int": np.asarray(d(x)).tolist(),
    "modes": {
        m: np.asarray(keras.layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode=m)(x)).tolist()
        for m in ("int", "one_hot", "multi_hot", "count")
    },
}
big = [r.normal(size=(50, 3)).astype("float32") for _ in range(4)]
d = keras.layers.Discretization(num_bins=6, epsilon=0.02)
d.adapt(big)
out["discretization"]["batches"] = [b.tolist() for b in big]
out["discretization"]["batch_boundaries"] = [float(b) for b in d.bin_boundaries]
ids = [[0, 1, 1, 3], [2, 2, 2, 0]]
out["category"] = {
    "ids": ids,
    **{
        m: np.asarray(keras.layers.CategoryEncoding(num_tokens=4, output_mode=m)(np.array(ids))).tolist()
        for m in ("one_hot", "multi_hot", "count")
    },
    "weights": [[0.5, 1, 2, 1], [1, 1, 1, 0.25]],
    "weighted": np.asarray(
        keras.layers.CategoryEncoding(num_tokens=4, output_mode="count")(
            np.array(ids), count_weights=np.array([[0.5, 1, 2, 1], [1, 1, 1, 0.25]], "float32")
        )
    ).tolist(),
    "one_dim": {
        m: np.asarray(keras.layers.CategoryEncoding(num_tokens=4, output_mode=m)(np.array([0, 1, 1]))).tolist()
        for m in ("one_hot", "multi_hot", "count")
    },
}
n = keras.layers.Normalization()
n.adapt(x)
out["normalization"] = {"y": np.asarray(n(x)).tolist()}
n = keras.layers.Normalization(axis=None)
n.adapt(x)
out["normalization"]["all"] = np.asarray(n(x)).tolist()
n = keras.layers.Normalization()
n.adapt([b for b in big])
out["normalization"]["batches"] = np.asarray(n(big[0])).tolist()
for kw in (dict(num_bins=5), dict(num_bins=5, output_mode="one_hot")):
    h = keras.layers.HashedCrossing(**kw)
    out.setdefault("crossing", []).append(
        {
            "arguments": kw,
            "a": ["A", "B", "A", "B", "A"],
            "b": [101, 101, 101, 102, 102],
            "output": np.asarray(
                h((np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])))
            ).tolist(),
        }
    )
HERE.write_text(json.dumps(out, separators=(",", ":")), encoding="utf-8")
