"""The manifest: what a stage read, wrote and measured, as JSON. A stage is skipped when its key is unchanged."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Output:
    """One table or file set that a stage wrote. `path` is relative to the workspace; `rows` is -1 for files."""

    path: str
    rows: int = -1


@dataclass(frozen=True)
class Manifest:
    """What one finished stage did.

    Attributes:
        key: digest of config, inputs' keys and code; equal keys mean equal outputs (law 1).
        inputs: stage name (or source file) -> its key (or size and change time).
        rows: counts in and out, by name.
        fitted: what the stage had to look at data for (law 14), as plain JSON.
        metrics: figures measured on the way.
        seconds: wall time.
    """

    stage: str
    key: str
    run_id: str
    seed: int
    config_hash: str
    code_version: str
    inputs: dict[str, str]
    outputs: dict[str, Output]
    rows: dict[str, int] = field(default_factory=dict)
    fitted: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    started_at: str = ""
    seconds: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        raw = json.loads(text)
        outputs = {name: Output(**value) for name, value in raw.pop("outputs").items()}
        return cls(outputs=outputs, **raw)
