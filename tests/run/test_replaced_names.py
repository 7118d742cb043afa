"""What loses its name is found however far off it is, without reading all there is."""

import pyarrow as pa

from haulage.model import OUTCOME, Status, Verb
from haulage.planning.merge import Stream
from haulage.run.manifest.lookup import KnownNames
from haulage.run.manifest.replaced_names import Taken
from tests.engine_builders import entry, paths_of
from tests.run.test_replaced_objects import manifest_of


def outcomes(*paths, status=Status.COPIED):
    rows = [
        entry(path)._asdict()
        | {"verb": Verb.COPY, "status": status, "verified": 0, "racy": False}
        | {"offset": 0, "length": 0, "moved": 0, "errno": 0}
        for path in paths
    ]
    return Stream([pa.Table.from_pylist([row], schema=OUTCOME) for row in rows])


def taken(tmp_path, manifest, *streams):
    """Return the paths that have lost their names, and the files that are torn."""
    found = Taken(KnownNames(manifest), tmp_path)
    torn = [path for paths in found.look(streams) for path in paths]
    return [path for table in found.tables() for path in paths_of(table)], torn


def test_a_directory_some_pages_behind_loses_its_name_to_a_file(tmp_path):
    manifest = manifest_of(b"", b"a", b"d-1", b"d-2", b"d-3", b"d-4", b"d/", b"d/x")
    found = taken(tmp_path, manifest, outcomes(b"a", b"d"))
    assert found == ([b"d/", b"d/x"], [])
    assert manifest.read_pages == [0, 3], "where they would be, and no other"


def test_a_file_some_pages_before_loses_its_name_to_what_is_made_below_it(tmp_path):
    manifest = manifest_of(b"", b"d", b"d-1", b"d-2", b"d-3", b"d-4", b"d-5")
    assert taken(tmp_path, manifest, outcomes(b"d/")) == ([b"d"], [])
    assert taken(tmp_path, manifest, outcomes(b"d/e/f")) == ([b"d"], [])


def test_what_failed_or_was_removed_takes_no_name(tmp_path):
    manifest = manifest_of(b"", b"d", b"e/")
    for status in (Status.BLOCKED, Status.DELETED, Status.PART, Status.FAILED):
        nothing = outcomes(b"d/", b"e", status=status)
        assert taken(tmp_path, manifest, nothing) == ([], [])


def test_a_file_with_something_below_it_is_torn_and_neither_is_believed(tmp_path):
    first = outcomes(b"d", b"d-1", b"e", b"e/")
    second = outcomes(b"d-2", b"d/x", b"d/y", b"da", b"da/")
    gone = [b"d", b"d/x", b"d/y", b"da", b"da/", b"e", b"e/"]
    found = taken(tmp_path, manifest_of(), first, second)
    assert found == (gone, [b"d", b"da", b"e"])
