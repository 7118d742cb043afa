"""Decide the action for each difference: one verb a row, by the policy's rules."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from haulage.model import (
    ACTION,
    ANY_NAMES,
    DEVICES,
    ENTRY,
    MANIFEST,
    SPECIALS,
    Kind,
    Verb,
    Verified,
)
from haulage.planning.changed_fields import Field
from haulage.planning.columns import filled, is_dir, is_file, with_columns
from haulage.planning.difference import Difference, Linked
from haulage.planning.link_rows import NO_LINKS, Rank, with_rank


@dataclass(frozen=True, slots=True)
class Intent:
    """The part of a policy that decides what counts as changed."""

    uncompared: Field = Field.NOTHING  # of content, what does not count as a change
    always_check: bool = False
    always_copy: bool = False
    proves_content: bool = False
    versioned: bool = False  # the source's entries are objects, whose etag is known
    keyed: bool = False  # both ends are buckets: keys imply directories in either
    kinds: tuple[Kind, ...] = (Kind.FILE, Kind.DIR, Kind.SYMLINK)  # that are made


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions for one page of the listing."""

    last: bytes
    listed: int
    unchanged: int
    skipped: int  # special files that nobody asked for
    actions: pa.Table  # ACTION, in canonical order
    deletes: pa.Table  # ACTION with the manifest's entries, in canonical order
    links: pa.Table  # what is decided about when all names of a file are known


_NEW_VERB = np.zeros(8, np.uint8)
_NEW_VERB[Kind.FILE] = Verb.COPY
_NEW_VERB[Kind.DIR] = Verb.MKDIR
_NEW_VERB[Kind.SYMLINK] = Verb.LINK
_NEW_VERB[[*SPECIALS, *DEVICES]] = Verb.SPECIAL


def plan(difference: Difference, intent: Intent) -> Plan:
    """Return the actions for `difference`; linked files apart, to be decided later."""
    every = pa.concat_tables(_new_and_known(difference, intent))
    is_moved = np.isin(_kinds(every), intent.kinds)
    actions = _wanted(every.filter(pa.array(is_moved)))
    skipped = every.num_rows - int(is_moved.sum())
    linked = difference.linked
    if linked:
        linked, left_out = _of_kinds(linked, intent.kinds)
        skipped += left_out
    apart = linked.new.num_rows + linked.known.num_rows if linked else 0
    return Plan(
        last=difference.last,
        listed=difference.listed,
        unchanged=difference.listed - actions.num_rows - skipped - apart,
        skipped=skipped,
        actions=actions,
        deletes=remove(difference.gone),
        links=_links(difference, linked, intent) if linked else NO_LINKS,
    )


def _of_kinds(linked: Linked, kinds: tuple[Kind, ...]) -> tuple[Linked, int]:
    """Leave out kinds that are not copied; count those that would need an action."""
    new, known = (np.isin(_kinds(rows), kinds) for rows in (linked.new, linked.known))
    wanted = replace(
        linked,
        new=linked.new.filter(pa.array(new)),
        known=linked.known.filter(pa.array(known)),
        was=linked.was.filter(pa.array(known)),
        fields=linked.fields[known],
    )
    return wanted, int((~new).sum() + (linked.fields[~known] != 0).sum())


def _new_and_known(difference: Difference, intent: Intent) -> list[pa.Table]:
    """Return the actions for new entries, and for known ones."""
    new = _actions(_as_unproven(difference.new), _new_verbs(difference.new, intent))
    verbs = _changed_verbs(difference, intent)
    known = _with_proof(difference, _doubtful(difference, intent))
    if intent.versioned:
        known = _completed(known, difference.was)
    return [new, _actions(known, verbs, difference.was)]


def _new_verbs(new: pa.Table, intent: Intent) -> np.ndarray:
    verbs: np.ndarray = _NEW_VERB[_kinds(new)]
    if intent.keyed:
        is_implied = new["etag"].is_null().to_numpy() & is_dir(new)
        verbs[is_implied] = 0  # nothing would stand for it
    return verbs


def _links(difference: Difference, linked: Linked, intent: Intent) -> pa.Table:
    """Return the linked files with the actions as if each had one name alone."""
    alone = replace(
        difference,
        new=linked.new,
        changed=linked.known,
        was=linked.was,
        fields=linked.fields,
    )
    new, known = _new_and_known(alone, intent)
    verbs = known["verb"].to_numpy()
    rank = np.where(verbs == 0, Rank.UNCHANGED, Rank.CHANGED)
    rank[_kinds(linked.was) != _kinds(linked.known)] = Rank.NEW
    gone = linked.gone
    found = [
        with_rank(new, np.full(new.num_rows, Rank.NEW)),
        with_rank(known, rank, linked.was),
        with_rank(remove(gone), np.full(gone.num_rows, Rank.GONE), gone),
    ]
    return pa.concat_tables(found).sort_by("path")


def _kinds(table: pa.Table) -> np.ndarray:
    kinds: np.ndarray = table["kind"].to_numpy()
    return kinds


def _changed_verbs(difference: Difference, intent: Intent) -> np.ndarray:
    """Return the verbs of the changed rows; for a file, the first that fits."""
    kind, fields = _kinds(difference.changed), difference.fields

    def has(*wanted: Field) -> np.ndarray:
        found: np.ndarray = (fields & sum(wanted)) != 0
        return found

    known_bytes = difference.was["checksum"].is_valid().to_numpy()
    content = has(_of_content(intent) & ~intent.uncompared)
    attributes = has(Field.ACCESS, Field.TIME, Field.CTIME, Field.ADOPTED, Field.ASKED)
    if intent.versioned:
        attributes |= has(Field.RACY)
    doubtful = _doubtful(difference, intent)
    # An mtime is not set on content that may not be the one it belongs to.
    other = doubtful & has(Field.TIME)
    attributes &= has(Field.ADOPTED, Field.ASKED) | ~doubtful | has(Field.ACCESS)
    attributes &= has(Field.ADOPTED, Field.ASKED) | ~other
    file_verb = np.select(
        [
            has(Field.KIND, Field.SIZE, Field.ETAG) | intent.always_copy,
            content | intent.always_check,
            has(Field.UNPROVEN) & ~known_bytes & intent.proves_content,
            attributes,
            has(Field.UNPROVEN) & ~other,
        ],
        [Verb.COPY, Verb.CHECK, Verb.CHECK, Verb.META, Verb.VERIFY],
        default=0,
    )
    verbs = np.where(kind == Kind.FILE, file_verb, _NEW_VERB[kind])
    unseen = intent.uncompared & (Field.INODE | Field.CTIME)
    verbs[(kind != Kind.FILE) & ((fields & ~unseen) == 0)] = 0
    verbs[fields == 0] = 0
    return verbs.astype(np.uint8)


def _of_content(intent: Intent) -> Field:
    """Return the fields that tell whether the content of a file may have changed."""
    if intent.versioned:
        return Field.TIME | Field.INODE
    return Field.TIME | Field.INODE | Field.CTIME | Field.RACY


def _doubtful(difference: Difference, intent: Intent) -> np.ndarray:
    """Tell whose content may have changed, but is not compared by this policy.

    An action on such a file leaves it racy, so that a run which does compare reads its
    content. Without an action, the manifest keeps the old entry.
    """
    if intent.versioned:  # where racy says something else
        return np.zeros(len(difference.fields), np.bool_)
    told = difference.fields & _of_content(intent)
    compared = (told & ~intent.uncompared) != 0
    doubtful: np.ndarray = (told != 0) & ~compared & is_file(difference.changed)
    return doubtful


def _as_unproven(entries: pa.Table) -> pa.Table:
    """Give listed entries the manifest's columns, with unknown content."""
    rows = entries.num_rows
    proof = [
        pa.nulls(rows, MANIFEST.field("checksum").type),
        pa.array(np.full(rows, Verified.NONE, np.uint8)),
        pa.array(np.zeros(rows, np.bool_)),
        pa.nulls(rows, MANIFEST.field("made").type),
    ]
    return pa.table([*entries.columns, *proof], schema=MANIFEST)


def _with_proof(difference: Difference, doubtful: np.ndarray) -> pa.Table:
    """Give the changed entries what is known of their previous content."""
    was = difference.was
    racy = pa.array(was["racy"].to_numpy() | doubtful)
    proof = [was["checksum"], was["verified"], racy, was["made"]]
    return pa.table([*difference.changed.columns, *proof], schema=MANIFEST)


_UNLISTED = ("mode", "uid", "gid", "mtime_s", "mtime_ns", "dev", "ino", "nlink")


def _completed(entries: pa.Table, was: pa.Table) -> pa.Table:
    """Give objects the attributes known from the manifest; no listing has them."""
    return with_columns(entries, **{name: was[name] for name in _UNLISTED})


def _actions(
    entries: pa.Table, verbs: np.ndarray, was: pa.Table | None = None
) -> pa.Table:
    rows = entries.num_rows
    nothing = pa.array(np.zeros(rows, np.int64))
    was_s = nothing if was is None else was["mtime_s"]
    was_ns = pa.array(np.zeros(rows, np.uint32)) if was is None else was["mtime_ns"]
    length = pa.array(np.where(is_file(entries), entries["size"].to_numpy(), 0))
    return pa.table(
        [
            *(pa.array(verbs), *entries.columns, was_s, was_ns, nothing, length),
            pa.array(np.ones(rows, np.uint32)),
            pa.array(np.full(rows, ANY_NAMES, np.uint32)),
            pa.nulls(rows, pa.binary()),
        ],
        schema=ACTION,
    )


def _wanted(actions: pa.Table) -> pa.Table:
    """Return the rows with a verb, in canonical order."""
    actions = actions.filter(pa.array(actions["verb"].to_numpy() != 0))
    return actions.sort_by("path") if actions.num_rows else actions


def remove(entries: pa.Table) -> pa.Table:
    """Return the actions that delete `entries` of a manifest."""
    verbs = np.full(entries.num_rows, Verb.DELETE, np.uint8)
    return _actions(entries, verbs, entries)


def redo(outcomes: pa.Table) -> pa.Table:
    """Return the actions that copy the entries of `outcomes` from scratch."""
    verbs = _NEW_VERB[_kinds(outcomes)]
    verbs[outcomes["verb"].to_numpy() == Verb.REPLACE] = Verb.REPLACE
    entries = _as_unproven(outcomes.select(ENTRY.names))
    return _actions(entries, verbs).sort_by("path")


def prove(entries: pa.Table) -> pa.Table:
    """Return the actions that verify outcomes, or entries of a manifest.

    Those with a `leader` must be other names of that file.
    """
    verbs = np.full(entries.num_rows, Verb.VERIFY, np.uint8)
    actions = _actions(entries.select(MANIFEST.names), verbs)
    if "leader" not in entries.schema.names:
        return actions
    return with_columns(actions, leader=entries["leader"])


def join_parts(outcomes: pa.Table) -> pa.Table:
    """Return the actions that publish the split files of these parts."""
    verbs = np.full(outcomes.num_rows, Verb.PUBLISH, np.uint8)
    actions = _actions(outcomes.select(MANIFEST.names), verbs)
    return with_columns(actions, offset=outcomes["offset"], length=outcomes["length"])


def on_paths(
    paths: pa.Array, verb: Verb, kind: Kind, etags: pa.Array | None = None
) -> pa.Table:
    """Return actions that need only a path, and perhaps an etag."""
    columns = {} if etags is None else {"etag": etags}
    columns |= {
        "verb": pa.array(np.full(len(paths), verb, np.uint8)),
        "path": paths,
        "kind": pa.array(np.full(len(paths), kind, np.uint8)),
    }
    return filled(ACTION, len(paths), columns)
