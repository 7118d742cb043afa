"""Servers of Google and Azure for the session, and an empty bucket in either."""

import os
from itertools import count

import pytest

from haulage.place import Place
from haulage.storage.buckets.gs_az.bucket import open_blobs
from tests.servers.azure import azurite
from tests.servers.google import google
from tests.storage.gs_az.clouds import Cloud

_numbers = count()


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory):
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def google_server():
    with google() as server:
        yield server


@pytest.fixture(params=["gs", "az"])
def cloud(request, monkeypatch):
    name = f"test-{os.getpid()}-{next(_numbers)}"
    if request.param == "gs":
        server = request.getfixturevalue("google_server")
        server.buckets[name] = {}
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", server.token)
    else:
        server = request.getfixturevalue("azure_server")
        server.make_container(name)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", server.account)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
    place = Place(f"{request.param}://{name}", endpoint=server.endpoint)
    return Cloud(server, place)


@pytest.fixture
def bucket(cloud):
    opened = open_blobs(cloud.place, os.environ)
    yield opened
    opened.close()
