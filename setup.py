"""Packaging of clickweave. `lib` is the folder that holds the package, never a name to import."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "lib/clickweave/__init__.py").read_text(encoding="utf-8"))
README = HERE / "README.md"

setup(
    name="clickweave",
    version=VERSION[1] if VERSION else "0",
    description="Turns a real click log into a better, or a shareable, training set",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={
        "clickweave.evaluation": ["*.json"],
        "clickweave.evaluation.page": ["templates/*"],
        "clickweave.jobkit": ["*.properties"],
    },
    python_requires=">=3.11,<3.12",
    install_requires=[
        "jinja2>=3.1,<4",
        "lightgbm>=4.5,<5",
        "numpy>=2,<3",
        "pandas>=2.2,<3",  # Spark 4.3 does not support pandas 3
        "pyarrow>=26,<27",
        "pydantic>=2.11,<3",
        "pyspark==4.3.0",
        "PyYAML>=6,<7",
        "rich>=14,<16",
        "safetensors>=0.5,<1",
        "scikit-learn>=1.5,<2",
        "threadpoolctl>=3,<4",
        "scipy>=1.13,<2",
        "torch==2.13.0",
        "typer>=0.15,<1",
    ],
    extras_require={
        # scripts/build_horovod builds the wheel; the released source does not compile against this torch.
        "horovod": ["cloudpickle>=3,<4", "horovod==0.28.1", "packaging>=24", "psutil>=6"],
        "browser": ["playwright>=1.50,<2"],  # tests/browser drive the system's chromium with it; no browser is fetched
        "dev": [
            "chispa>=0.11,<1",
            "hypothesis>=6,<7",
            "import-linter>=2,<3",
            "mypy>=1.15,<3",
            "pandas-stubs>=2.2",
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.11,<1",
            "types-PyYAML>=6,<7",
        ],
    },
    entry_points={"console_scripts": ["clickweave = clickweave.jobkit.cli:main"]},
)
