import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

LIGHT = ("clickweave.errors", "clickweave.contracts.tables", "clickweave.contracts.manifest", "clickweave.config.load")
BANNED = {
    "rand(": r"\bF\.rand\(|\brandn?\(\s*seed",
    "randomSplit": r"\brandomSplit\b",
    "sample()": r"\bF\.shuffle\(|\.sample\(\s*(fraction|with|False|True)",
    "monotonically_increasing_id": r"\bmonotonically_increasing_id\b",
    "pickle": r"\b(cloud)?pickle\.loads?\b|\bimport pickle\b",
    "torch.load": r"\btorch\.(load|save)\(",
    "dropDuplicates": r"\.dropDuplicates\(\s*\)",
    "yaml.load with a full loader": r"yaml\.(unsafe|full)_load\b",
}


def test_import_rules_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(root)
    status = lint_imports(no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_package_stands_in_the_layers(root: Path) -> None:
    packages = {path.parent.name for path in (root / "lib/clickweave").glob("*/__init__.py")}
    layers = re.search(r"^layers = \[(.*?)\]", (root / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert layers is not None
    assert packages | {"errors"} == set(re.findall(r"\w+", layers[1]))


@pytest.mark.parametrize("module", LIGHT)
def test_recipe_checking_imports_neither_torch_nor_pyspark(module: str) -> None:
    assert heavy_modules(f"import {module}") == ""


def test_checking_every_recipe_imports_neither_torch_nor_pyspark(root: Path) -> None:
    recipes = sorted(str(path) for path in (root / "conf/recipes").glob("*.yaml"))
    assert len(recipes) >= 2
    code = f"""
from clickweave.config.load import load_recipe
from clickweave.config.variants import Variants
from clickweave.frames.augment import registry as operators
from clickweave.frames.mix import registry as strategies
from clickweave.models import registry as generators
variants = Variants(operators.params, generators.params, strategies.params)
for path in {recipes!r}:
    load_recipe(path, variants)
"""
    assert heavy_modules(code) == ""


@pytest.mark.parametrize("pattern", BANNED.values(), ids=BANNED.keys())
def test_banned_calls_stand_nowhere(root: Path, pattern: str) -> None:
    files = [*sorted((root / "lib").rglob("*.py")), *sorted((root / "jobs").glob("*.py"))]
    assert files
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_lib_is_a_folder_and_never_a_package(root: Path) -> None:
    assert not (root / "lib" / "__init__.py").exists()


def heavy_modules(code: str) -> str:
    """Names of heavy packages that a fresh Python has loaded after `code`."""
    heavy = ("torch", "pyspark", "horovod", "lightgbm", "sklearn")
    report = f"\nimport sys\nprint(*[name for name in {heavy!r} if name in sys.modules], end='')"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
