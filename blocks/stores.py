"""A block for a bucket and its access options, shared by any number of datasets."""

from prefect.blocks.core import Block
from prefect_aws.credentials import AwsCredentials, MinIOCredentials
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError


class _Located(BaseModel):
    """The first fields of the form."""

    url: str = Field(
        title="URL",
        pattern=r"^(s3|gs|az)://[^@:\s]+$",
        description="Bucket, or prefix of one: s3://bucket/prefix, gs://bucket, "
        "az://container/prefix.",
    )


class HaulageStore(StoreOptions, Block, _Located):
    """A bucket that datasets name as `haulage-store/NAME`.

    Example:
        Load the block and see what it says of the bucket:
        ```python
        from blocks.stores import HaulageStore

        haulage_store = HaulageStore.load("BLOCK_NAME")
        haulage_store.build()
        ```
    """

    # Prefect fills in a block after it was made, and hands it keys of its own.
    model_config = ConfigDict(frozen=False, extra="ignore")

    _block_type_name = "Haulage store"
    _block_type_slug = "haulage-store"
    _description = "A bucket that datasets refer to as haulage-store/NAME."
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    credentials: MinIOCredentials | AwsCredentials | None = Field(  # type: ignore[assignment]
        None,
        title="Credentials",
        description=(
            "The block that holds the keys. If empty: environment, profile or "
            "instance role."
        ),
    )

    def build(self) -> StoreOptions:
        """Return the bucket's access options; RefusedError for keys of its own."""
        values = {name: getattr(self, name) for name in StoreOptions.model_fields}
        return StoreOptions.model_validate({**values, "credentials": self._reference()})

    def _reference(self) -> str | None:
        keys = self.credentials
        if keys is None:
            return None
        if not keys._block_document_name:  # noqa: SLF001 - Prefect has no other way
            raise RefusedError(
                f"the credentials of haulage-store/{self._block_document_name} are "
                "not saved as a block of their own; save them as one and select it "
                "there"
            )
        return f"{keys.get_block_type_slug()}/{keys._block_document_name}"  # noqa: SLF001
