"""Generators by name, without torch where only parameters are wanted."""

import os
import subprocess
import sys

import pytest

from clickweave.errors import ConfigError
from clickweave.models.registry import GENERATORS, params


def test_unknown_generator_is_refused():
    with pytest.raises(ConfigError, match="'vea' is unknown"):
        params("vea")


def test_every_parameter_has_a_meaning_and_a_default():
    for name in GENERATORS:
        assert all(field.description for field in params(name).model_fields.values())
        params(name)()


def test_parameters_are_found_without_torch_or_pyspark():
    code = "import sys; from clickweave.models.registry import params; params('vae')()\n"
    code += "print({'torch', 'pyspark'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "set()"
