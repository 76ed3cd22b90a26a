"""The tolerances of all tests. They are never loosened to make a test pass."""

VALUES = {"rtol": 1e-5, "atol": 1e-6}
GRADIENTS = {"rtol": 1e-4, "atol": 1e-5}
TRAINING = {"rtol": 1e-4, "atol": 1e-5}
# Of numbers of 16 bits: four steps of the last one, since a layer may round several times on its way.
HALVES = {"bfloat16": {"rtol": 2**-6, "atol": 2**-6}, "float16": {"rtol": 2**-9, "atol": 2**-9}}
