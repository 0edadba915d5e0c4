"""Whether a bundle that was trained on other days serves the days of this run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from clickweave.codec.drift import Drift
from clickweave.errors import ContractError
from clickweave.store import files
from clickweave.store.workspace import Workspace

KEPT = ("encode", "train")  # what a bundle that serves stands for
_MEASURED = "train/drift.json"


@dataclass(frozen=True)
class Serving:
    """What a bundle is to the days of a run.

    Attributes:
        bundle: key of its training.
        ingest: key of the ingest whose days were measured.
        columns: drift beyond chance.
        apart: distance as measured, chance included.
    """

    bundle: str
    ingest: str
    columns: dict[str, float]
    apart: dict[str, float]

    def serves(self, most: float) -> bool:
        """Whether no column has drifted further than `most`."""
        return max(self.columns.values(), default=0.0) <= most

    def verdict(self, most: float) -> str:
        """One line for people."""
        column, drift = max(self.columns.items(), key=lambda pair: pair[1], default=("none", 0.0))
        if self.serves(most):
            return f"bundle of run {self.bundle} serves: greatest drift {drift:.2g} (column {column}), at most {most:g}"
        return (
            f"training anew: drift {drift:.2g} from the days of bundle {self.bundle} (column {column}), more than "
            f"train.max_drift = {most:g}"
        )


def older_bundle(workspace: Workspace, made_by: dict[str, tuple[str, str]], most: float) -> tuple[str | None, str]:
    """Key of the finished bundle that was trained on another ingest and may serve this one; or None, and why, which is
    empty where there is no such bundle.

    Args:
        made_by: stage -> hash of its config, and version of the code, as they are now.
        most: train.max_drift.
    """
    found = [each for stage in ("ingest", *KEPT) if (each := workspace.manifest(stage)) is not None]
    if len(found) < 1 + len(KEPT) or not all(workspace.is_complete(each) for each in found):
        return None, ""
    ingest, encode, train = found
    if encode.inputs["ingest"] == ingest.key or train.inputs["encode"] != encode.key:
        return None, ""
    if most == 0:
        return None, "training anew: train.max_drift is 0"
    if any((each.config_hash, each.code_version) != made_by[each.stage] for each in (encode, train)):
        return None, f"training anew: bundle {train.key} was made by another recipe or code"
    return train.key, ""


def serving(workspace: Workspace, bundle: str, measure: Callable[[], Drift]) -> Serving:
    """What this bundle is to the finished ingest; measured once and then remembered in the workspace."""
    ingest = workspace.manifest("ingest")
    assert ingest is not None
    path = workspace.path(_MEASURED)
    if files.exists(path):
        try:
            known = Serving(**files.read_json(path))
            if (known.bundle, known.ingest) == (bundle, ingest.key):
                return known
        except (ContractError, TypeError):
            pass  # damaged: measured again
    drift = measure()
    found = Serving(bundle, ingest.key, drift.columns, drift.apart)
    files.write_json(path, asdict(found))
    return found
