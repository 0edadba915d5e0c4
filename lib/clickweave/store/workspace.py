"""One run's folder: an attempt folder per stage and try, and one manifest per stage that says which attempt counts.

<workspace>/<stage>/<attempt>/<table>/...     written by one try, never touched again
<workspace>/<stage>/manifest.json             replaced whole when the stage is done (law 12)
<workspace>/log.jsonl                         one line per stage event
<workspace>/published/                        dataset versions (store/publish.py)
"""

import uuid
from dataclasses import dataclass

from clickweave.contracts.manifest import Manifest
from clickweave.errors import ContractError
from clickweave.store import files


@dataclass(frozen=True)
class Workspace:
    """Paths and manifests below one root folder (local path or URI)."""

    root: str

    def new_attempt(self, stage: str) -> str:
        """Relative path of a fresh folder for one try of a stage."""
        return f"{stage}/{uuid.uuid4().hex[:12]}"

    def path(self, relative: str) -> str:
        """Full path of something in the workspace."""
        return f"{self.root.rstrip('/')}/{relative}"

    def manifest(self, stage: str) -> Manifest | None:
        """What the last finished try of a stage left; None if there is none or it cannot be understood."""
        path = self.path(f"{stage}/manifest.json")
        if not files.exists(path):
            return None
        try:
            return Manifest.from_json(files.read_bytes(path).decode())
        except (ContractError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def commit(self, manifest: Manifest) -> None:
        """Makes a try the one that counts, by one atomic rename; then removes the stage's other attempts."""
        files.write_text(self.path(f"{manifest.stage}/manifest.json"), manifest.to_json())
        current = {output.path.split("/")[1] for output in manifest.outputs.values()}
        for attempt in files.list_folders(self.path(manifest.stage)):
            if attempt not in current:
                files.delete_dir(self.path(f"{manifest.stage}/{attempt}"))

    def output(self, stage: str, name: str) -> str:
        """Full path of an output of a finished stage.

        Raises:
            ContractError: the stage has not run here.
        """
        manifest = self.manifest(stage)
        if manifest is None or name not in manifest.outputs:
            raise ContractError(f"{self.root}: no {name} from stage {stage} here; run `clickweave {stage}` first")
        return self.path(manifest.outputs[name].path)

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether everything that a manifest names is still there."""
        return all(files.exists(self.path(output.path)) for output in manifest.outputs.values())
