"""The options that tell how the bucket of one end is reached."""

import argparse
import re

from pydantic import ValidationError

from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError

_CREDENTIALS = re.compile("//.*@")  # of a URL, which an error must not repeat
_OF_BOTH = (
    ("endpoint", "URL", "of an S3-compatible server"),
    ("region", "NAME", "of the bucket"),
    ("profile", "NAME", "of the shared AWS configuration"),
    ("in_flight", "N", "requests at once of each mover (default 64)"),
    ("memory", "SIZE", "of content that a mover holds at once (default 48M)"),
)
_OF_TARGET = (
    ("storage_class", "NAME", "of new objects, such as STANDARD_IA"),
    ("encryption", "HOW", "AES256 or aws:kms"),
    ("kms_key", "ID", "of the key for aws:kms"),
    ("checksum", "NAME", "sent along: auto, crc64nvme, sha256, md5 or none"),
)
_SWITCHES = {
    "source": ("insecure", "path_style", "anonymous", "requester_pays"),
    "target": (
        *("insecure", "path_style", "anonymous", "requester_pays", "create_bucket"),
    ),
}


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Add the options of both ends."""
    for end, more in (("source", ()), ("target", _OF_TARGET)):
        group = parser.add_argument_group(f"the {end}, if it is a bucket")
        for name, shown, text in (*_OF_BOTH, *more):
            group.add_argument(_option(end, name), metavar=shown, help=text)
        for name in _SWITCHES[end]:
            group.add_argument(_option(end, name), action="store_const", const=True)
        group.add_argument(
            _option(end, "virtual_hosted"),
            dest=f"{end}_path_style",
            action="store_const",
            const=False,
            help="the bucket is in the name of the host, also of an endpoint",
        )
    group.add_argument(
        "--target-tag", action="append", metavar="KEY=VALUE", help="of new objects"
    )


def options_of(args: argparse.Namespace, end: str, base: StoreOptions) -> StoreOptions:
    """Return `base` changed by the command line; RefusedError names a bad option."""
    fields = base.model_dump()
    for name in fields:
        value = getattr(args, f"{end}_{name}", None)
        if value is not None:
            fields[name] = value
    if tags := getattr(args, f"{end}_tag", None):
        fields["tags"] = dict(_tag_of(f"--{end}-tag", tag) for tag in tags)
    try:
        return StoreOptions.model_validate(fields)
    except ValidationError as err:
        problem = err.errors()[0]
        option = _option(end, str(problem["loc"][0]))
        given = _CREDENTIALS.sub("//***@", repr(problem["input"]))
        text = problem["msg"].removeprefix("Value error, ")
        raise RefusedError(f"{option}: {text} (given: {given})") from None


def _tag_of(option: str, text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not key or not found:
        raise RefusedError(f"{option} {text}: write KEY=VALUE")
    return key, value


def _option(end: str, name: str) -> str:
    return f"--{end}-{name.replace('_', '-')}"
