"""Says in words in what an entry is not as it should be."""

from collections.abc import Iterable

from haulage.model import Action, Entry, Kind
from haulage.paths import shown


def differences(found: Entry, wanted: Action, names: Iterable[str]) -> list[str]:
    """Return what differs, of the fields with these names."""
    return [
        f"{name} is {_words(name, found)}, not {_words(name, wanted)}"
        for name in names
        if getattr(found, name) != getattr(wanted, name)
    ]


def _words(name: str, entry: Entry | Action) -> str:
    value = getattr(entry, name)
    if value is None:
        return "none"
    if name == "kind":
        return Kind(value).name.lower()
    if name == "mode":
        return f"{value:04o}"
    return shown(value) if isinstance(value, bytes) else str(value)
