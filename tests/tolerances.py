"""The tolerances of all tests. They are never loosened to make a test pass."""

VALUES = {"rtol": 1e-5, "atol": 1e-6}
GRADIENTS = {"rtol": 1e-4, "atol": 1e-5}
TRAINING = {"rtol": 1e-4, "atol": 1e-5}
