"""Tests for layers of your own: whether they keep the promises about rows."""

from __future__ import annotations

from padless.testing.check import PromiseError as PromiseError
from padless.testing.check import Report as Report
from padless.testing.check import check_layer as check_layer
