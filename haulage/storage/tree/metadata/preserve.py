"""Which attributes are preserved, in the form that operations on trees need."""

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Preserved:
    """Which attributes are read at the source and set on the target.

    `silent` are devices found to have no extended attributes, `flagless` those without
    flags.
    """

    mode: bool = True
    owner: bool = True
    times: bool = True
    xattrs: bool = True
    acls: bool = True
    sparse: bool = True
    silent: set[int] = field(default_factory=set, compare=False)
    flagless: set[int] = field(default_factory=set, compare=False)

    @classmethod
    def named(cls, names: Collection[str]) -> "Preserved":
        """Return the attributes that `names`, those of model.Preserve, stand for."""
        return cls(
            mode="mode" in names,
            owner="owner" in names,
            times="times" in names,
            xattrs="xattrs" in names,
            acls="acls" in names,
            sparse="sparse" in names,
        )

    @property
    def all_of_stat(self) -> bool:
        """Tell whether mode, owner and times are all preserved."""
        return self.mode and self.owner and self.times

    @property
    def new_mode(self) -> int:
        """Return the mode with which a new file starts; the umask is applied to it.

        A file that gets its mode from the source is closed to others until then.
        """
        return 0o600 if self.mode else 0o666

    @property
    def new_dir_mode(self) -> int:
        """Return the mode with which a new directory starts, as above."""
        return 0o700 if self.mode else 0o777


PRESERVE_ALL = Preserved()
