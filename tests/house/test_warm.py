"""Commands of tests are forked off a process that has done their imports."""

import os

from tests.e2e import warm


def test_nothing_that_tests_import_makes_commands_start_anew():
    assert warm.would_start_alike(os.environ)
