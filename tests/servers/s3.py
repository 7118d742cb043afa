"""An S3 server for tests: where it is, and how to come in."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class S3Server:
    """A server that runs on this machine, or a proxy in front of one."""

    name: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str
    log: Path

    def client(self, attempts: int = 3) -> Any:
        """Return a client that may be used by many threads."""
        return _session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=_config(attempts),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which another process finds the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def at(self, endpoint: str) -> "S3Server":
        """Return the same server, reached through a proxy at `endpoint`."""
        return replace(self, endpoint=endpoint)


@cache
def _session() -> Any:
    import boto3

    # What S3 can do is read from files once a session: a tenth of a second each.
    return boto3.session.Session()


def _config(attempts: int) -> Any:
    from botocore.config import Config

    return Config(
        signature_version="s3v4",
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=64,
        request_checksum_calculation="when_required",
        # rclone answers a range with the checksum of the whole object.
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
