"""Objects whose tags are read too, because they go along to another bucket."""

from dataclasses import replace

from haulage.storage.base import Reading, Seen
from haulage.storage.faults import UnsupportedError
from haulage.storage.objects.store import Objects


class TaggedObjects(Objects):
    """A bucket's prefix as a source whose tags are asked for with each object."""

    _has_tags = True

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        reading = super().open(path, size, etag)
        if self._has_tags:
            entry, carried, _ = reading.seen
            reading.seen = Seen(entry, replace(carried, tags=self._tags_of(path)))
        return reading

    def _tags_of(self, path: bytes) -> tuple[tuple[str, str], ...]:
        try:
            return self.bucket.tags(self._key(path))
        except UnsupportedError:
            self._has_tags = False
            return ()
