"""Objects whose tags are read too, because they are copied to another bucket."""

from dataclasses import replace

from haulage.storage.buckets.objects.store import Objects
from haulage.storage.store import Reading


class TaggedObjects(Objects):
    """A bucket's prefix as a source that reads each object's tags."""

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        reading = super().open(path, size, etag)
        tags = self.bucket.tags(self._key(path))
        carried = replace(reading.seen.carried, tags=tags)
        reading.seen = reading.seen._replace(carried=carried)
        return reading
