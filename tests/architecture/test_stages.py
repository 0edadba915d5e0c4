import ast
import re
from pathlib import Path

import pytest

from clickweave.config.load import Recipe

STAGES = ("ingest", "augment", "encode", "train", "sample", "align", "mix", "evaluate", "publish")
MAX_JOB_LINES = 5
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 50


def code_lines(path: Path) -> list[str]:
    """Lines that are neither blank, nor a comment, nor the docstring of the module."""
    text = path.read_text(encoding="utf-8")
    body = ast.parse(text).body
    documented = (
        bool(body) and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0], "value", None), ast.Constant)
    )
    docstring = range(body[0].lineno, (body[0].end_lineno or 0) + 1) if documented else range(0)
    lines = [line for number, line in enumerate(text.splitlines(), 1) if number not in docstring]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_a_job_is_five_lines_at_most(root: Path) -> None:
    lengths = {path.name: len(code_lines(path)) for path in (root / "jobs").glob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MAX_JOB_LINES} == {}


def test_there_is_one_job_per_stage_and_the_pipeline(root: Path) -> None:
    jobs = {path.stem for path in (root / "jobs").glob("*.py")}
    assert jobs == {*STAGES, "pipeline"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_module(root: Path, stage: str) -> None:
    assert (root / "lib/clickweave/stages" / f"{stage}.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_recipe_section(stage: str) -> None:
    assert stage in Recipe.model_fields


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_tests(root: Path, stage: str) -> None:
    named = re.compile(rf"\b{stage}\b")
    tests = [path for path in (root / "tests").rglob("test_*.py") if "architecture" not in path.parts]
    assert any(named.search(path.read_text(encoding="utf-8")) for path in tests)


def test_base_yaml_is_what_describe_prints(root: Path) -> None:
    from clickweave.jobkit.cli import default_recipe

    assert (root / "conf/base.yaml").read_text(encoding="utf-8") == default_recipe()


@pytest.mark.parametrize("folder", ["lib", "jobs"])
def test_modules_and_functions_stay_short(root: Path, folder: str) -> None:
    too_long = []
    for path in sorted((root / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(root)
        if text.count("\n") > MAX_MODULE_LINES:
            too_long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    too_long.append(f"{name}: {node.name} has {length} lines")
    assert too_long == []
