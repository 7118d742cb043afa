"""How a bucket is reached: TLS and who is trusted, and its name in path or host."""

from dataclasses import replace

import pytest

from haulage.errors import FatalError, RefusedError
from haulage.place import Place
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.s3.bucket import open_s3
from tests.servers.certificates import certificate
from tests.servers.forward import forward
from tests.servers.rclone import rclone
from tests.storage.s3_opening import BY, METADATA, SOON

pytest_plugins = ["tests.servers.fixtures"]

BUCKET = "the-bucket"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """Give a certificate of this machine."""
    home = tmp_path_factory.mktemp("certificate")
    return certificate(home, "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory, trusted):
    """Run a server that speaks TLS and nothing else, with an empty bucket."""
    shown = ("--cert", trusted.file, "--key", trusted.key)
    home = tmp_path_factory.mktemp("tls")
    with rclone(home, *shown, scheme="https") as made:
        (home / "data/buckets" / BUCKET).mkdir(parents=True)
        yield made


def reached(server, *, bundle=None, **wanted):
    place = Place(f"s3://{BUCKET}", endpoint=server.endpoint, region=server.region)
    environ = server.environment() | ({"AWS_CA_BUNDLE": str(bundle)} if bundle else {})
    return open_s3(replace(place, **wanted), environ, pace=Pace(SOON))


def with_each_client(s3):
    """Return one request each of obstore, of the wire, and of botocore."""
    return {
        "obstore": lambda: s3.put("key", b"content", BY),
        "wire": lambda: s3.page(""),
        "botocore": lambda: s3.begin_upload("large", BY),
    }


def round_trip(s3):
    """Do a request of every kind, and leave nothing."""
    s3.check()
    assert s3.put("dir/key", b"content", BY).proven
    found, content = s3.get("dir/key")
    assert (bytes(content), found.metadata) == (b"content", METADATA)
    assert list(s3.page("").keys) == ["dir/key"]
    upload = s3.begin_upload("dir/parts", BY)
    part = s3.put_part("dir/parts", upload, 1, b"content")
    s3.finish_upload("dir/parts", upload, [part])
    assert bytes(s3.get("dir/parts", span=(3, 4))[1]) == b"tent"
    for key in ("dir/key", "dir/parts"):
        s3.remove(key)
    assert list(s3.page("").keys) == []


def test_a_ca_that_is_named_is_trusted_by_every_client(server, trusted, tmp_path):
    round_trip(reached(server, bundle=trusted.ca))
    other = certificate(tmp_path, "DNS:elsewhere")
    several = tmp_path / "several"
    several.write_bytes(other.ca.read_bytes() + trusted.ca.read_bytes())
    round_trip(reached(server, bundle=several))


def test_a_certificate_of_nobody_known_is_refused_with_the_next_step(server, tmp_path):
    host = server.endpoint.removeprefix("https://")
    words = f"{host}.*certificate is not trusted.*AWS_CA_BUNDLE"
    with pytest.raises(RefusedError, match=words):
        reached(server).check()
    other = certificate(tmp_path, "DNS:localhost")
    with pytest.raises(RefusedError, match=words):
        reached(server, bundle=other.ca).check()
    for request in with_each_client(reached(server)).values():
        with pytest.raises(FatalError, match=r"not trusted.*AWS_CA_BUNDLE"):
            request()


def test_a_ca_that_can_not_be_read_is_refused_by_its_name(server, tmp_path):
    with pytest.raises(RefusedError, match=r"AWS_CA_BUNDLE names .*nowhere"):
        reached(server, bundle=tmp_path / "nowhere")


@pytest.mark.parametrize("tls", [True, False], ids=["with TLS", "without"])
def test_the_wrong_scheme_in_an_endpoint_is_refused_with_the_right_one(
    server, trusted, rclone_s3, tls
):
    right = server if tls else rclone_s3
    schemes = {"https": "http", "http": "https"}
    scheme, _, host = right.endpoint.partition("://")
    wrong = right.at(f"{schemes[scheme]}://{host}")
    with pytest.raises(RefusedError, match=f"{host}.*TLS.*{scheme}://"):
        reached(wrong, bundle=trusted.ca).check()


def test_the_three_clients_agree_on_a_bucket_in_the_name_of_the_host(
    tmp_path, monkeypatch
):
    with (
        rclone(tmp_path, "--force-path-style=false") as near,
        forward(near.endpoint) as passing,
    ):
        (tmp_path / "data/buckets" / BUCKET).mkdir(parents=True)
        monkeypatch.setenv("http_proxy", passing.url)
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        far = near.at("http://s3.lab.example")
        round_trip(reached(far, path_style=False, insecure=True))
        hosts = {host for host, _ in passing.asked}
        assert hosts == {f"{BUCKET}.s3.lab.example"}
        paths = {path.partition("?")[0] for _, path in passing.asked}
        assert paths == {"/", "/dir/key", "/dir/parts"}
