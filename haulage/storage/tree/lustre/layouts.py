"""Begins a file on a Lustre with the layout that its size asks for."""

from typing import NamedTuple

from haulage.config.striping import Layout, Rules
from haulage.errors import VanishedError
from haulage.model import Lost
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import create, open_or_create
from haulage.storage.tree.lustre.files import (
    create_laid,
    create_shared,
    lost_layout,
    missing,
    open_laid,
)
from haulage.storage.tree.lustre.lfs import LfsError, layout_of


class Layouts(NamedTuple):
    """What new files are like: by rules, or each as its source's."""

    rules: Rules
    mode: int
    source: Descent

    def create(
        self, path: bytes, size: int, dir_fd: int, temp: bytes
    ) -> tuple[int, Lost | None]:
        """Create a temporary; tell what of its layout it could not get."""
        wanted = self._of(path, size)
        if isinstance(wanted, Layout):
            return create_laid(dir_fd, temp, wanted, self.mode)
        return create(dir_fd, temp, mode=self.mode), wanted

    def open_shared(
        self, path: bytes, size: int, dir_fd: int, temp: bytes, own: bytes
    ) -> tuple[int, bool]:
        """Open the temporary of a split file, made as `own` if it misses.

        Tell as well whether it is new.
        """
        if self.rules.of_file(size) is None:
            return open_or_create(dir_fd, temp, self.mode)
        try:
            return open_laid(dir_fd, temp), False
        except FileNotFoundError:
            wanted = self._of(path, size)
        if isinstance(wanted, Layout):
            return create_shared(dir_fd, temp, own, wanted, self.mode)
        return open_or_create(dir_fd, temp, self.mode)

    def lost_by_parts(
        self, path: bytes, size: int, dir_fd: int, name: bytes
    ) -> Lost | None:
        """Tell what a split file, made by several movers, has not got of its layout."""
        wanted = self._of(path, size)
        if isinstance(wanted, Layout):
            return missing(dir_fd, name, wanted)
        return wanted

    def _of(self, path: bytes, size: int) -> Layout | Lost | None:
        """Return the layout; None if it needs none, a loss if it is unknown."""
        rule = self.rules.of_file(size)
        if rule is None or rule.layout is not None:
            return rule and rule.layout
        above = parent_of(path)
        try:
            return layout_of(self.source.open(above), path[len(above) :])
        except LfsError as err:
            return lost_layout(str(err))
        except (FileNotFoundError, NotADirectoryError) as err:
            raise VanishedError("is gone since it was listed") from err
