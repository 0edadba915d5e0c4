"""Parameters of the tabular VAE. No torch here."""

from pydantic import Field

from clickweave.config.base import Section


class Params(Section):
    """Variational autoencoder over the columns of a row (Kingma & Welling 2013, arXiv 1312.6114)."""

    latent_dim: int = Field(32, ge=1, le=1024, description="vae: size of the Gaussian code z of a row")
    hidden: int = Field(256, ge=1, le=8192, description="vae: units per hidden layer of encoder and decoder")
    depth: int = Field(2, ge=1, le=8, description="vae: hidden layers of encoder and of decoder")
    embedding_dim: int = Field(
        32, ge=1, le=512, description="vae: most numbers per code; the output layer shares them (Press & Wolf 2017)"
    )
    kl_weight: float = Field(
        0.2,
        ge=0,
        le=100,
        description="vae: factor of the KL term; 1 is the bound itself (beta of Higgins et al. 2017), less keeps more "
        "of what columns say about each other, at the price of marginals",
    )
