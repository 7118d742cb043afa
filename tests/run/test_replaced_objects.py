"""What takes a directory's name is known, however far off the directory is."""

from dataclasses import dataclass

import pyarrow as pa

from haulage.catalog.manifests.reader import PageRef
from haulage.model import Verb
from haulage.planning.actions import Plan
from haulage.planning.link_rows import NO_LINKS
from haulage.run.discovery.replaced_objects import Replacing
from tests.engine_builders import actions_table, entry, recorded
from tests.verbs.ways import action_of


@dataclass
class Pages:
    """A manifest whose pages have two entries each, and which of them were read."""

    rows: list[pa.Table]

    def __post_init__(self):
        self.read_pages = []
        self.pages = [
            PageRef(at, paths[0].as_py(), paths[-1].as_py(), len(paths), 0)
            for at, paths in enumerate(table["path"] for table in self.rows)
        ]

    def read(self, ref, columns):
        self.read_pages.append(ref.id)
        return self.rows[ref.id].select(columns)


def manifest_of(*paths):
    rows = recorded(*map(entry, paths))
    return Pages([rows.slice(at, 2) for at in range(0, len(paths), 2)])


def marked(manifest, **verbs):
    rows = [action_of(entry(path.encode()), verb=verb) for path, verb in verbs.items()]
    actions = actions_table(rows)
    plan = Plan(b"z", 9, 0, 0, actions, actions.slice(0, 0), NO_LINKS)
    after = Replacing(manifest).marked(plan).actions
    was = dict(zip(verbs, after["verb"].to_pylist(), strict=True))
    return {path for path, verb in was.items() if verb == Verb.REPLACE}


def test_a_directory_some_pages_behind_a_files_name_is_found():
    manifest = manifest_of(b"", b"a", b"d-1", b"d-2", b"d-3", b"d-4", b"d/", b"d/x")
    assert marked(manifest, d=Verb.COPY, e=Verb.LINK) == {"d"}
    assert manifest.read_pages == [3], "nothing but the page where it would be"
    assert marked(manifest, d=Verb.LINK) == {"d"}


def test_a_file_whose_name_a_directory_gets_is_found():
    manifest = manifest_of(b"", b"a", b"d", b"d-1", b"d-2", b"d-3")
    assert marked(manifest, **{"d/": Verb.MKDIR, "e/": Verb.MKDIR}) == {"d/"}
    assert manifest.read_pages == [1, 2]


def test_files_and_the_unchanged_and_the_new_of_an_empty_manifest_are_let_be():
    manifest = manifest_of(b"", b"d/")
    assert marked(manifest, **{"x": Verb.COPY, "": Verb.COPY}) == set()
    assert marked(manifest, d=Verb.META) == set()
    assert marked(manifest_of(), d=Verb.COPY) == set()


def test_many_new_files_read_each_page_once():
    manifest = manifest_of(b"a/", b"b/", b"c/", b"d/", b"e/", b"f/")
    verbs = dict.fromkeys("abcdef", Verb.COPY)
    assert marked(manifest, **verbs) == set("abcdef")
    assert manifest.read_pages == [0, 1, 2]
