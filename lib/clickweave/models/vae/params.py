"""Parameters of the tabular VAE. No torch here."""

from typing import ClassVar

from pydantic import Field

from clickweave.config.base import Section
from clickweave.models.sizes import SIZE_MEANING, SizeName


class Params(Section):
    """Variational autoencoder of rows (Kingma & Welling 2013, arXiv 1312.6114) with an autoregressive decoder."""

    GRAIN: ClassVar[str] = "row"

    size: SizeName = Field("small", description=f"vae: {SIZE_MEANING}")
    latent_dim: int = Field(16, ge=1, le=1024, description="vae: size of the Gaussian code z of a row")
    free_bits: float = Field(
        0.1,
        ge=0,
        le=10,
        description="vae: nats that each number of z may say of a row freely (Kingma et al. 2016); 0: z may be unused",
    )
    warm_up_share: float = Field(
        0.25, ge=0, le=1, description="vae: share of the steps in which the KL term grows from 0 to its full weight"
    )
    components: int = Field(
        32, ge=1, le=4096, description="vae: most Gaussians that z is sampled from; each stands for 100 rows or more"
    )
    any_order: float = Field(
        0.2,
        ge=0,
        le=1,
        description="vae: share of steps with columns in random order, so that any subset can be given",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="vae: share of hidden numbers left out in training")
