"""Both endpoints of a dataset as places, and the requests a run makes of them."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Self
from urllib.parse import urlsplit

from haulage.config.policy import Dataset
from haulage.config.store_options import StoreOptions
from haulage.errors import FatalError, PermanentError, RefusedError, shown_path
from haulage.exchange.fitness import root_of
from haulage.exchange.wave_files import Root
from haulage.launch.launcher import STOP
from haulage.place import Place, scheme_of
from haulage.run.context.overlapping_prefixes import why_not_apart
from haulage.storage.buckets.faults import NoBucketError
from haulage.storage.buckets.keys.has_entries import holds_entries
from haulage.storage.buckets.objects.markers import keeps_markers
from haulage.storage.buckets.objects.trials import (
    folds_case,
    folds_forms,
    is_one_bucket,
)
from haulage.storage.buckets.open import open_bucket
from haulage.storage.buckets.protocol import Bucket
from haulage.storage.tree.ours import is_ours

SOURCE_SECRETS = "HAULAGE_SOURCE"  # prefixes of the variables that hold credentials
TARGET_SECRETS = "HAULAGE_TARGET"
_KEY_ID = "_ACCESS_KEY_ID"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both places, and the environment in which movers and listers find secrets."""

    source: Place
    target: Place
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def splits(self) -> bool:
        """Tell whether several movers can make a file larger than a shard."""
        return self.target.scheme not in ("gs", "az")

    @property
    def has_bucket(self) -> bool:
        """Tell whether at least one endpoint is a bucket."""
        return self.source.is_bucket or self.target.is_bucket

    @property
    def rejoins(self) -> bool:
        """Tell whether a file's names arrive as separate objects, to be linked."""
        return self.source.is_bucket and not self.target.is_bucket

    def with_probed_target(self) -> Self:
        """Return the pair with what trials found out about the target's server."""
        target = self.target
        if not target.is_bucket:
            return self
        bucket = self.bucket(target)
        try:
            markers = keeps_markers(bucket, target.prefix)
            case = folds_case(bucket, target.prefix)
            forms = folds_forms(bucket, target.prefix)
            self._prove_apart(bucket)
        except PermanentError as err:  # so it would be with every other object
            raise FatalError(
                f"target {shown_path(target.url)} takes no object: {err}; correct the "
                f"target's options or permissions, then sync again"
            ) from err
        found = replace(target, markers=markers, folds_case=case, folds_forms=forms)
        return replace(self, target=found)

    def _prove_apart(self, target: Bucket) -> None:
        """Refuse a target inside the source, which each night would copy again."""
        if self.source.scheme != self.target.scheme:
            return
        why = why_not_apart(self.source, self.target)
        source = self.bucket(self.source)
        if why and is_one_bucket(source, target, self.target.prefix):
            raise FatalError(f"{why}. Both endpoints lead to one bucket")

    def bucket(self, place: Place) -> Bucket:
        """Open the bucket of one endpoint, once in this process."""
        return _bucket(place, tuple(sorted(self.secrets.items())))

    @property
    def roots(self) -> tuple[Root, ...]:
        """Return the directories among both places, as this machine sees them."""
        ends = {"source": self.source, "target": self.target}
        trees = {what: end.url for what, end in ends.items() if not end.is_bucket}
        return tuple(root_of(what, url) for what, url in trees.items())

    def has_entries(self, place: Place) -> bool:
        """Tell whether a place has any entry; False if it does not exist."""
        if place.is_bucket:
            try:
                return holds_entries(self.bucket(place), place.prefix)
            except NoBucketError:
                return False
        try:
            with os.scandir(place.url) as entries:
                return not all(is_ours(os.fsencode(entry.name)) for entry in entries)
        except FileNotFoundError:
            return False


@lru_cache(maxsize=16)
def _bucket(place: Place, secrets: tuple[tuple[str, str], ...]) -> Bucket:
    return open_bucket(place, {**os.environ, **dict(secrets)}, STOP)


def pair_of(dataset: Dataset, secrets: Mapping[str, str] | None = None) -> Pair:
    """Return a dataset's endpoints; RefusedError if a block's credentials are missing.

    `secrets` are environment variables, used besides those of this process.
    """
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        raise RefusedError(
            f"this process decodes file names as {encoding}, so a root or a pattern "
            "would mean other names than in UTF-8: start Python with PYTHONUTF8=1"
        )
    given = dict(secrets or {})
    source = place_of(dataset.source, dataset.source_store, SOURCE_SECRETS)
    target = place_of(dataset.target, dataset.target_store, TARGET_SECRETS)
    for place, options in (
        (source, dataset.source_store),
        (target, dataset.target_store),
    ):
        if place.secrets and f"{place.secrets}{_KEY_ID}" not in {**os.environ, **given}:
            raise RefusedError(
                f"{place.url}: the credentials {options.credentials} are a Prefect "
                f"block, which only a deployment's run can open; run that, or set "
                f"{place.secrets}{_KEY_ID} and {place.secrets}_SECRET_ACCESS_KEY"
            )
    return Pair(source, target, given)


def place_of(url: str, options: StoreOptions, secrets: str) -> Place:
    """Return the place of a store; a directory uses none of the options."""
    _check_server(url, options.endpoint)
    return Place(
        url=url,
        endpoint=options.endpoint,
        insecure=options.insecure,
        region=options.region,
        path_style=options.path_style,
        profile=options.profile,
        secrets=secrets if options.credentials else None,
        anonymous=options.anonymous,
        storage_class=options.storage_class,
        encryption=options.encryption,
        kms_key=options.kms_key,
        requester_pays=options.requester_pays,
        checksum=str(options.checksum),
        tags=tuple(sorted(options.tags.items())),
        in_flight=options.in_flight,
        memory_bytes=options.memory,
    )


def _check_server(url: str, endpoint: str | None) -> None:
    """Refuse an endpoint with a path, except Azure's, where the path is the account."""
    path = urlsplit(endpoint or "").path
    if path and scheme_of(url) in ("s3", "gs"):
        raise RefusedError(
            f"{shown_path(url)}: its endpoint {shown_path(endpoint or '')} ends in "
            f"{shown_path(path)}; an endpoint names a server alone; name the bucket "
            "in the URL"
        )
