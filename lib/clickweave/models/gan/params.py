"""Parameters of the GAN. No torch here."""

from typing import ClassVar

from pydantic import Field

from clickweave.config.base import Section
from clickweave.models.sizes import SIZE_MEANING, SizeName


class Params(Section):
    """Conditional Wasserstein GAN with gradient penalty (Gulrajani et al. 2017; Xu et al. 2019) that draws codes."""

    GRAIN: ClassVar[str] = "row"

    size: SizeName = Field("small", description=f"gan: {SIZE_MEANING}")
    noise_dim: int = Field(32, ge=1, le=1024, description="gan: numbers of Gaussian noise that a row is made from")
    pac: int = Field(8, ge=1, le=64, description="gan: rows that the critic judges together (Lin et al. 2018)")
    critic_steps: int = Field(1, ge=1, le=20, description="gan: updates of the critic for each of the generator")
    critic_rate: float = Field(0.1, gt=0, le=10, description="gan: the critic's share of train.learning_rate")
    penalty: float = Field(10.0, ge=0, description="gan: factor of the gradient penalty")
    softness: float = Field(
        0.5, gt=0, le=10, description="gan: temperature of the Gumbel-softmax behind the drawn codes (Jang et al. 2017)"
    )
    likelihood_weight: float = Field(
        1.0,
        ge=0,
        description="gan: weight of the likelihood of real rows in the generator's loss, which keeps what columns say "
        "about each other; 0 is the adversarial game alone",
    )
    any_order: float = Field(
        0.2,
        ge=0,
        le=1,
        description="gan: share of steps with columns in random order, so that any subset can be given",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="gan: share of hidden numbers left out in training")
