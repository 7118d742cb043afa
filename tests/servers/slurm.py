"""A cluster of SLURM on this machine: a controller, and four nodes of two processors.

Its programs find it by SLURM_CONF alone. It listens on 127.0.0.1 only.
"""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.processes import ServerFailedError

NODES = ("n1", "n2", "n3", "n4")
CPUS = 2
MAX_ARRAY_SIZE = 11
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_WAIT_S = 60.0
_POLL_S = 0.05
_LOG_CHARS = 2000
_PORTS = range(20_000, 32_000)  # outside of those that connections get by themselves

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={root}/run/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd-%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
MaxArraySize={max_array_size}
MaxJobCount=2000
MinJobAge={min_job_age}
SlurmdTimeout=5
SlurmctldTimeout=10
KillWait=2
InactiveLimit=0
Licenses=streams:3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
{accounting}
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size}\n"
_PARTITIONS = """\
PartitionName=main Nodes={nodes} Default=YES PriorityTier=1 MaxTime=60 DefaultTime=5
PartitionName=urgent Nodes={nodes} PriorityTier=10 PreemptMode=off MaxTime=60
PartitionName=closed Nodes={nodes} AllowGroups=nogroup
"""


@dataclass(frozen=True)
class SlurmCluster:
    """A running cluster, all of whose files are in `root`."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return what makes SLURM's programs talk to this cluster."""
        return {"SLURM_CONF": str(self.root / "slurm.conf")}

    def run(self, *words: str) -> str:
        """Run one of its programs; return what it prints."""
        done = subprocess.run(
            words,
            env=os.environ | self.environ | {"PATH": _PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerFailedError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start_controller(self) -> None:
        """Start the controller, which finds its state again."""
        self.run("slurmctld")
        self.wait_until(self._answers)

    def stop_controller(self) -> None:
        """Have the controller save its state and end."""
        self._end(self.root / "run/slurmctld.pid", signal.SIGTERM)

    def kill_controller(self) -> None:
        """Let the controller end without notice."""
        self._end(self.root / "run/slurmctld.pid", signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        (self.root / "spool" / node).mkdir(exist_ok=True)
        self.run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Let a node's daemon and those of its jobs end; what they run goes on."""
        self._end(self.root / f"run/slurmd-{node}.pid", signal.SIGKILL)
        for pid in self._daemons_of_jobs(node):
            _kill(pid)

    def drain(self, node: str) -> None:
        """Give a node no more jobs."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Give a drained node jobs again."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def down(self, node: str) -> None:
        """Say that a node is down; its daemon soon makes it idle again."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def state_of(self, node: str) -> str:
        """Return the state of a node, such as idle or down*."""
        return self.run("sinfo", "-h", "-p", "main", "-n", node, "-o", "%t").strip()

    def is_up(self, node: str) -> bool:
        """Tell whether a node takes jobs."""
        return self.state_of(node) in ("idle", "mix", "alloc")

    def wait_until_idle(self) -> None:
        """Wait until all nodes can take jobs, and have none."""
        # sinfo may go on for a minute to call a node mixed whose last job has ended.
        self.wait_until(lambda: not self.run("squeue", "--noheader"))
        self.wait_until(lambda: all(self.is_up(node) for node in NODES))

    def clear(self) -> None:
        """End all jobs and have every node in service, whatever a test did."""
        if not self._pid_of("slurmctld"):
            self.start_controller()
        self.run("scancel", "--user", _user())
        for node in NODES:
            if not self._pid_of(f"slurmd-{node}"):
                self.start_node(node)
            if "dr" in self.state_of(node):
                self.resume(node)
        self.wait_until_idle()  # or a node would not tell the end of its jobs
        self._kill_leftovers()

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` does."""
        deadline = time.monotonic() + _WAIT_S
        while not holds():
            if time.monotonic() > deadline:
                raise ServerFailedError(f"nothing of the kind yet:\n{self._told()}")
            time.sleep(_POLL_S)

    def _told(self) -> str:
        """Return the states of nodes and jobs, and the ends of all logs."""
        now = "".join(self.run(name, "--noheader") for name in ("sinfo", "squeue"))
        logs = sorted((self.root / "log").iterdir())
        ends = [f"{one}:\n{one.read_text()[-_LOG_CHARS:]}" for one in logs]
        return "\n".join([now, *ends])

    def begin_munge(self) -> None:
        """Start what proves to each process who the others are."""
        run = self.root / "run"
        words = ["munged", "--force", f"--key-file={self.root}/munge/key"]
        words += [f"--socket={run}/munge.sock", f"--pid-file={run}/munged.pid"]
        words += [f"--seed-file={self.root}/munge/seed", "--num-threads=2"]
        self.run(*words, f"--log-file={self.root}/log/munged.log")

    def begin(self) -> None:
        """Start the controller and the nodes."""
        self.run("slurmctld")
        for node in NODES:
            self.start_node(node)
        self.wait_until_idle()

    def end_jobs(self) -> None:
        """End all jobs, then the controller, the nodes and their accounting."""
        with suppress(ServerFailedError):
            self.run("scancel", "--user", _user())
            self.wait_until(lambda: not self.run("squeue", "-h"))
        for pid_file in sorted((self.root / "run").glob("slurm*.pid")):
            self._end(pid_file, signal.SIGTERM)
        self._kill_leftovers()

    def end(self) -> None:
        """End what is left of its processes."""
        self._end(self.root / "run/munged.pid", signal.SIGTERM)

    def _answers(self) -> bool:
        try:
            return "UP" in self.run("scontrol", "ping")
        except ServerFailedError:
            return False

    def _pid_of(self, daemon: str) -> int | None:
        try:
            pid = int((self.root / f"run/{daemon}.pid").read_text())
        except FileNotFoundError:
            return None
        return pid if _lives(pid) else None

    def _end(self, pid_file: Path, number: signal.Signals) -> None:
        pid = self._pid_of(pid_file.stem)
        if pid is not None:
            os.kill(pid, number)
            self.wait_until(lambda: not _lives(pid))
        pid_file.unlink(missing_ok=True)

    def _daemons_of_jobs(self, node: str) -> list[int]:
        """Return the processes that look after a node's jobs."""
        log = f"{self.root}/log/slurmd-{node}.log"
        return [
            pid
            for pid in self._ours()
            if _read(pid, "cmdline").startswith(b"slurmstepd") and log in _opened(pid)
        ]

    def _kill_leftovers(self) -> None:
        """End what jobs left running on nodes that were killed."""
        for pid in self._ours():
            is_of_a_job = b"\0SLURM_JOB_ID=" in _read(pid, "environ")
            if is_of_a_job or _read(pid, "cmdline").startswith(b"slurmstepd"):
                _kill(pid)

    def _ours(self) -> list[int]:
        """Return all processes that know this cluster."""
        mine = f"SLURM_CONF={self.root}/slurm.conf".encode()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if mine in _read(pid, "environ").split(b"\0")]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _opened(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(one))
    return found


def _lives(pid: int) -> bool:
    state = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in b"ZX"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


Accounting = Callable[[SlurmCluster], AbstractContextManager[str]]


@contextmanager
def no_accounting(cluster: SlurmCluster) -> Iterator[str]:
    """Keep no record of jobs."""
    yield "AccountingStorageType=accounting_storage/none"


@contextmanager
def slurm_cluster(
    accounting: Accounting = no_accounting, min_job_age: int = 10
) -> Iterator[SlurmCluster]:
    """Run a cluster that forgets jobs after so many seconds, or skip in words."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]:
        pytest.skip(f"{', '.join(missing)}: not there (apt install slurm-wlm munge)")
    if os.getuid():
        pytest.skip("a cluster of SLURM is run by root alone")
    # A socket's path is short, and the jobs of other users look in here, too.
    root = Path(tempfile.mkdtemp(prefix="haulage-slurm-"))
    root.chmod(0o755)
    cluster = SlurmCluster(root)
    try:
        _prepare(root)
        cluster.begin_munge()
        with accounting(cluster) as settings:
            _configure(root, settings, min_job_age)
            try:
                cluster.begin()
                yield cluster
            finally:
                cluster.end_jobs()
    finally:
        cluster.end()
        shutil.rmtree(root)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", random.choice(_PORTS)))
                found.append(probe.getsockname()[1])
        return found


def _prepare(root: Path) -> None:
    for name in ("state", "spool", "log", "run", "munge"):
        (root / name).mkdir()
    (root / "munge").chmod(0o700)
    key = root / "munge/key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))


def _configure(root: Path, accounting: str, min_job_age: int) -> None:
    host = socket.gethostname().partition(".")[0]
    ports = free_ports(1 + len(NODES))
    text = _CONF.format(
        root=root,
        host=host,
        user=_user(),
        controller_port=ports.pop(),
        max_array_size=MAX_ARRAY_SIZE,
        min_job_age=min_job_age,
        accounting=accounting,
    )
    size = f"CPUs={CPUS} RealMemory={CPUS * 1000}"
    for name in NODES:
        text += _NODE.format(name=name, host=host, port=ports.pop(), size=size)
    text += _PARTITIONS.format(nodes=",".join(NODES))
    (root / "slurm.conf").write_text(text)
