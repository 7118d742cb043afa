"""The options that say how the buckets of both ends are reached."""

import argparse
from collections.abc import Sequence
from typing import Any

_OF_BOTH = (
    ("endpoint", "URL", "of an S3-compatible server"),
    ("region", "NAME", "of the bucket"),
    ("profile", "NAME", "of the shared AWS configuration"),
    ("in_flight", "N", "requests at once of each mover (default 64)"),
    ("memory", "SIZE", "of content that a mover holds at once (default 48M)"),
)
_SWITCHES = (
    ("insecure", "insecure", True, "reach an http:// endpoint on another machine"),
    ("path_style", "path_style", True, "name the bucket in the path of a URL"),
    ("virtual_hosted", "path_style", False, "name it in the host, also of an endpoint"),
    ("anonymous", "anonymous", True, "send requests without a signature"),
    ("requester_pays", "requester_pays", True, "agree to pay for the requests"),
)
_OF_TARGET = (
    ("storage_class", "NAME", "of new objects, such as STANDARD_IA"),
    ("encryption", "HOW", "AES256 or aws:kms"),
    ("kms_key", "ID", "of the key for aws:kms"),
    ("checksum", "NAME", "sent along: auto, crc64nvme, sha256, md5 or none"),
)
_ENDS = ("source", "target")


def store_option(end: str, name: str) -> str:
    """Return the option that sets this field of an end's store."""
    return f"--{end}-{name.replace('_', '-')}"


class _OfItsEnd(argparse.Action):
    """Sets the field of that end which the option that was typed in begins with."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        end = next(end for end in _ENDS if (option_string or "").startswith(f"--{end}"))
        value = self.const if self.nargs == 0 else values
        setattr(namespace, f"{end}_{self.dest}", value)


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Add the options of both ends."""
    _add_both(parser.add_argument_group("an end that is a bucket"))
    group = parser.add_argument_group("a target that is a bucket")
    for name, shown, text in _OF_TARGET:
        group.add_argument(store_option("target", name), metavar=shown, help=text)
    group.add_argument(
        "--target-create-bucket", action="store_const", const=True,
        help="make the bucket if there is none",
    )  # fmt: skip
    group.add_argument(
        "--target-tag", action="append", metavar="KEY=VALUE",
        help="of new objects (may be given again)",
    )  # fmt: skip


def _add_both(group: argparse._ArgumentGroup) -> None:
    for name, shown, text in _OF_BOTH:
        group.add_argument(
            *(store_option(end, name) for end in _ENDS), action=_OfItsEnd,
            dest=name, default=argparse.SUPPRESS, metavar=shown, help=text,
        )  # fmt: skip
    for name, field, const, text in _SWITCHES:
        group.add_argument(
            *(store_option(end, name) for end in _ENDS), action=_OfItsEnd,
            dest=field, default=argparse.SUPPRESS, nargs=0, const=const, help=text,
        )  # fmt: skip
