"""Options by which a bucket is reached.

Secrets are references: a block, or what the cloud's standard chain finds.
"""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from haulage.config.units import parse_size
from haulage.place import normalized_endpoint

StoreMemory = Annotated[int, Field(ge=1 << 24), BeforeValidator(parse_size)]


_SERVER = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")


def _server_of(endpoint: object) -> object:
    """Return the normal spelling of a server's URL, or of an account's there."""
    if not isinstance(endpoint, str):
        return endpoint
    server = normalized_endpoint(endpoint)
    if not _SERVER.fullmatch(server):
        raise ValueError(
            "an endpoint is http:// or https:// and a host, with a port where it needs "
            "one, such as https://s3.lab.example:9000; for az:// the account may follow"
        )
    return server


Endpoint = Annotated[str, BeforeValidator(_server_of)]


class Form(BaseModel):
    """A form for a person; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Encryption(StrEnum):
    """How a bucket's server encrypts what it stores."""

    SSE_S3 = "AES256"
    SSE_KMS = "aws:kms"


class Checksum(StrEnum):
    """The checksum that is sent to a bucket with the content."""

    AUTO = "auto"
    CRC64NVME = "crc64nvme"
    SHA256 = "sha256"
    MD5 = "md5"
    NONE = "none"


class StoreOptions(Form):
    """Options by which a bucket is reached, and defaults of its new objects."""

    credentials: str | None = Field(
        None,
        title="Credentials",
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        description="A Prefect block by TYPE/NAME, such as aws-credentials/nightly or "
        "minio-credentials/lab. If empty: environment, profile or instance role.",
    )
    profile: str | None = Field(
        None, title="Profile", description="Of the shared AWS configuration files."
    )
    endpoint: Endpoint | None = Field(
        None,
        title="Endpoint",
        description="URL of an S3-compatible server, such as https://s3.lab.example.",
    )
    insecure: bool = Field(
        False,
        title="Insecure endpoint",
        description="Allow an http:// endpoint on another machine, where anyone on the "
        "network path can read and change the traffic.",
    )
    region: str | None = Field(None, title="Region", description="Of the bucket.")
    path_style: bool | None = Field(
        None,
        title="Path style",
        description="Address the bucket in the path instead of the host name; by "
        "default wherever an endpoint is given.",
    )
    anonymous: bool = Field(
        False, title="Anonymous", description="Send requests without a signature."
    )
    create_bucket: bool = Field(
        False, title="Create the bucket", description="Create it if it does not exist."
    )
    storage_class: str | None = Field(
        None, title="Storage class", description="Of new objects, such as STANDARD_IA."
    )
    encryption: Encryption | None = Field(
        None, title="Encryption", description="Server-side, of new objects."
    )
    kms_key: str | None = Field(
        None, title="KMS key", description="Id or ARN of the key for aws:kms."
    )
    requester_pays: bool = Field(
        False, title="Requester pays", description="Agree to pay for the requests."
    )
    checksum: Checksum = Field(
        Checksum.AUTO,
        title="Checksum sent along",
        description="Checksum by which the server verifies an upload; auto uses the "
        "best that the server supports.",
    )
    tags: dict[str, str] = Field({}, title="Tags", description="Of new objects.")
    in_flight: int = Field(
        64, ge=1, le=512, title="Requests at once", description="Of each mover."
    )
    memory: StoreMemory = Field(
        48 << 20,
        title="Memory for content",
        description="Bytes of objects that a mover holds at once.",
    )
