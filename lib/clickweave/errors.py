"""Every error a user can meet, each with the exit code that the command line returns for it."""


class ClickweaveError(Exception):
    """A failure whose message is one line: what, which value, where, and what to do."""

    exit_code = 1


class ConfigError(ClickweaveError):
    """A recipe or an argument is wrong; found before Spark starts."""

    exit_code = 2


class ContractError(ClickweaveError):
    """Data is missing, unreadable or not what the recipe promises."""

    exit_code = 3


class BundleError(ContractError):
    """A model bundle is missing, tampered with, or was fitted for other data."""


class TrainingError(ClickweaveError):
    """A generator could not be trained: a rank failed, stalled or diverged."""

    exit_code = 4


class GateFailed(ClickweaveError):
    """A blocking row of the report is red, so nothing is published."""

    exit_code = 5


class PublishError(ClickweaveError):
    """Storage refused a write, or a version could not be published."""

    exit_code = 6
