"""A block for a launcher, shared by any number of datasets."""

from typing import Literal

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, HttpUrl

from haulage.config.launchers import Slurm


class HaulageSlurm(Slurm, Block):
    """A launcher on a SLURM cluster that datasets name as `haulage-slurm/NAME`.

    Example:
        Load the block and see how it starts slots:
        ```python
        from blocks.launchers import HaulageSlurm

        haulage_slurm = HaulageSlurm.load("BLOCK_NAME")
        haulage_slurm.build()
        ```
    """

    # Prefect fills in a block after it was made, and hands it keys of its own.
    model_config = ConfigDict(frozen=False, extra="ignore")

    _block_type_name = "Haulage SLURM"
    _block_type_slug = "haulage-slurm"
    _description = "A SLURM cluster that datasets refer to as haulage-slurm/NAME."
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    kind: Literal["slurm"] = Field("slurm", title="Launcher", description="SLURM.")

    def build(self) -> Slurm:
        """Return the launcher."""
        return Slurm.model_validate(
            {name: getattr(self, name) for name in Slurm.model_fields}
        )
