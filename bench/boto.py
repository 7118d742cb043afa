"""Copy a directory to a bucket or back by boto3's transfer manager, for comparison."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import BaseClient
from botocore.config import Config

S3 = "s3://"
AT_ONCE = 32
PARTS_AT_ONCE = 8
PART_BYTES = 16 << 20


def main(source: str, target: str) -> None:
    """Copy the whole of `source`; the first failure ends it."""
    client = _client()
    works = _downloads if source.startswith(S3) else _uploads
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(work) for work in works(client, source, target)]
        for each in running:
            each.result()


def _client() -> BaseClient:
    sums = "when_required"  # some servers answer a range with the whole's checksum
    config = Config(
        max_pool_connections=AT_ONCE * PARTS_AT_ONCE,
        request_checksum_calculation=sums,
        response_checksum_validation=sums,
        s3={"addressing_style": "path"},
    )
    return boto3.client("s3", config=config)


def _transfer() -> TransferConfig:
    return TransferConfig(
        multipart_threshold=PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_concurrency=PARTS_AT_ONCE,
    )


def _uploads(
    client: BaseClient, source: str, target: str
) -> Iterator[Callable[[], None]]:
    bucket, _, prefix = target.removeprefix(S3).partition("/")
    config = _transfer()
    for directory, _, files in os.walk(source):
        for name in files:
            path = os.path.join(directory, name)
            key = f"{prefix}/{os.path.relpath(path, source)}"
            yield partial(client.upload_file, path, bucket, key, Config=config)


def _downloads(
    client: BaseClient, source: str, target: str
) -> Iterator[Callable[[], None]]:
    bucket, _, prefix = source.removeprefix(S3).partition("/")
    config = _transfer()
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{prefix}/"
    )
    made: set[Path] = set()
    for page in pages:
        for each in page.get("Contents", ()):
            path = Path(target, each["Key"].removeprefix(f"{prefix}/"))
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            get = partial(client.download_file, bucket, each["Key"], str(path))
            yield partial(get, Config=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
