"""LocalStack, the server that comes closest to S3 itself; it checks no signatures."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Command, ServerFailedError, free_port, running
from tests.servers.s3 import S3Server

_HOME = Path(__file__).parents[2] / "build/localstack"
_PYTHON = _HOME / "bin/python"
_CATALOG = _HOME / "root/usr/lib/localstack"

# All servers of a machine would else keep their objects in one directory of /tmp, and
# each would take seconds to index the services of AWS, which was done at installation.
_LAUNCH = """
import sys
from localstack import config
config.dirs.static_libs = sys.argv[2]
from localstack.services.s3 import provider
provider.DEFAULT_S3_TMP_DIR = sys.argv[1]
from localstack.runtime.main import main
main()
"""


@contextmanager
def localstack(directory: Path) -> Iterator[S3Server]:
    """Run LocalStack with its data and its log in `directory`."""
    if not _PYTHON.exists():
        raise ServerFailedError(
            f"LocalStack is not installed in {_HOME}; install it"
            " (make build/localstack/.installed)"
        )
    port = free_port()
    words: list[str | Path] = [
        _PYTHON,
        "-c",
        _LAUNCH,
        directory / "data/objects",
        _CATALOG,
    ]
    settings = _settings(port, directory / "data/root")
    command = Command(words, settings, port, "/_localstack/health")
    with running(command, directory) as log:
        endpoint = f"http://127.0.0.1:{port}"
        keys = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        yield S3Server("localstack", endpoint, "us-east-1", *keys, log)


def _settings(port: int, root: Path) -> dict[str, str]:
    return {
        "SERVICES": "s3",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_SERVER": "hypercorn",  # the default one listens on every address
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "FILESYSTEM_ROOT": str(root),
        "OVERRIDE_IN_DOCKER": "0",  # in a container it would not heed the root
        # Nothing leaves this machine.
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "ACTIVATE_PRO": "0",
    }
