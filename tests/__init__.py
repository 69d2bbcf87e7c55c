"""Tests; the folders mirror dlcvcli."""

import pytest

# Shared tests live outside test_*.py, where pytest would not explain a failed assert.
pytest.register_assert_rewrite("tests.model_contract", "tests.cli.command")
