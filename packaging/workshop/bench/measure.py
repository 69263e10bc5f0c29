"""Runs inside a Debian 13 root, on its own python3: measures dpsd beside two scripts, and prints one JSON object.

Arguments: `costs`, `wire` or `door`, the address and port of DPS or of the slow relay before it, the id scope, and a
folder with the device's credential and the emulator's ca.pem. Times are seconds, sizes MiB.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from typing import Any

RUNS = 15
SLOW_RUNS = 5
NOTIFY = "/tmp/notify"
ERRORS = "/tmp/errors"
DOOR = "/tmp/identity.sock"
DOOR_REQUESTS = 5000
STATE = ("/var/lib/dpsd", "/run/dpsd")
BARE = ["/usr/bin/python3", "-I", "/bench/bare.py"]
DPSD = ["/usr/bin/dpsd"]


def main(what: str, dps: str, scope: str, folder: str) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(NOTIFY)
    configure(dps, scope, folder)
    print(json.dumps({"costs": costs, "wire": wire, "door": door}[what](listener, dps, scope, folder)))
    os.unlink(NOTIFY)


def costs(listener: socket.socket, dps: str, scope: str, folder: str) -> dict[str, Any]:
    """What a boot costs on a fast network, beside the two scripts."""
    azure = ["/usr/bin/python3", "/bench/register_by_sdk.py", dps.partition(":")[0], scope, folder]
    boots = [first_boot(listener) for _ in range(5)]
    pairs = [(to_ready(DPSD, listener), to_ready(BARE, listener)) for _ in range(RUNS)]
    return {
        "first boots": boots,
        "azure runs": [usage(azure) for _ in range(5)],
        "attempts": [usage([*DPSD, "attempt", '--orders={"force":true}']) for _ in range(3)],
        "warm": [warm for warm, _ in pairs],
        "bare": [bare for _, bare in pairs],
        "warm RSS": warm_memory(listener),
    }


def wire(listener: socket.socket, relay: str, scope: str, folder: str) -> dict[str, Any]:
    """First boots through the slow relay, and its round trips."""
    return {"round trips": round_trips(relay), "first boots": [first_boot(listener) for _ in range(SLOW_RUNS)]}


def door(listener: socket.socket, dps: str, scope: str, folder: str) -> dict[str, Any]:
    """Tokens of a device with a key in a file, asked for one after the other by one client of root's."""
    for place in STATE:
        shutil.rmtree(place, ignore_errors=True)
    configure_key(dps, scope, folder)
    usage(["/usr/bin/dpsctl", "provision"])
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(DOOR)
        served.listen(128)
        pid = serve(served)
        times = [ask_token() for _ in range(DOOR_REQUESTS + 10)][10:]  # without the start of Python
        rss = resident(pid)
        stop(pid)
    os.unlink(DOOR)
    return {"requests": times, "RSS": rss}


def serve(served: socket.socket) -> int:
    """Start the token door on a socket, as systemd does."""
    pid = os.fork()
    if pid == 0:
        os.dup2(served.fileno(), 3)
        world = {"PATH": "/usr/bin", "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execve("/usr/bin/python3", ["python3", "-I", "-m", "dpsd.doors.service"], world)
    return pid


def ask_token() -> float:
    """Ask for one token; return the seconds that it took."""
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(DOOR)
        connection.sendall(b"POST /v1/token HTTP/1.1\r\nHost: door\r\n\r\n")
        if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
            sys.exit("the token door gives no token")
    return time.monotonic() - started


def configure_key(dps: str, scope: str, folder: str) -> None:
    with open("/etc/dpsd/dpsd.toml", "w") as file:
        file.write(f'[dps]\nid_scope = "{scope}"\nglobal_endpoint = "{dps}"\nregistration_id = "symmetric-group"\n')
        file.write(f'[credential]\ntype = "symmetric_key"\nprimary_key_file = "{folder}/primary.key"\n')
        file.write(f'[network]\ntrusted_roots = "{folder}/ca.pem"\n[fleet]\nvolatile_window = 0\n')
        file.write('[hub]\ncheck = "off"\n')


def configure(dps: str, scope: str, folder: str) -> None:
    os.makedirs("/etc/dpsd", exist_ok=True)
    with open("/etc/dpsd/dpsd.toml", "w") as file:
        file.write(f'[dps]\nid_scope = "{scope}"\nglobal_endpoint = "{dps}"\n[credential]\ntype = "x509"\n')
        file.write(f'certificate_file = "{folder}/device.pem"\nprivate_key_file = "{folder}/device.key"\n')
        file.write(f'[network]\ntrusted_roots = "{folder}/ca.pem"\n[fleet]\nvolatile_window = 0\n')
        file.write('[hub]\ncheck = "off"\n')  # the script that it is compared with talks to DPS alone


def first_boot(listener: socket.socket) -> dict[str, float]:
    """Start dpsd without any state; wall time and CPU until READY=1, worker included, and what stays in memory."""
    for place in STATE:
        shutil.rmtree(place, ignore_errors=True)
    pid, started = spawn(DPSD), time.monotonic()
    await_ready(listener)
    wall, rss = time.monotonic() - started, resident(pid)
    time.sleep(0.1)  # until it has taken the worker's end, and with it the worker's CPU
    os.kill(pid, signal.SIGKILL)  # so that its own end is not among what is counted
    _, _, used = os.wait4(pid, 0)
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "RSS": rss}


def warm_memory(listener: socket.socket) -> float:
    pid = spawn(DPSD)
    await_ready(listener)
    rss = resident(pid)
    stop(pid)
    return rss


def to_ready(command: list[str], listener: socket.socket) -> float:
    started = time.monotonic()
    pid = spawn(command)
    await_ready(listener)
    taken = time.monotonic() - started
    stop(pid)
    return taken


def round_trips(relay: str) -> list[float]:
    """Send a byte to the relay's echo and back, several times."""
    host, _, port = relay.partition(":")
    taken: list[float] = []
    with socket.create_connection((host, int(port) + 1)) as connection:
        for _ in range(RUNS):
            started = time.monotonic()
            connection.sendall(b".")
            connection.recv(1)
            taken.append(time.monotonic() - started)
    return taken[1:]  # the first waits for the handshake that the relay plays


def usage(command: list[str]) -> dict[str, float]:
    """Run a command to its end; its CPU, and its peak memory."""
    pid = spawn(command)
    _, status, used = os.wait4(pid, 0)
    if status != 0:
        with open(ERRORS) as file:
            sys.exit(f"{command} ended with wait status {status}:\n{file.read()}")
    return {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}


def spawn(command: list[str]) -> int:
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, ERRORS, written, 0o600)]
    environment = {"PATH": "/usr/bin", "NOTIFY_SOCKET": NOTIFY, "PYTHONPATH": "/bench/azure-packages"}
    return os.posix_spawn(command[0], command, environment, file_actions=quiet)


def await_ready(listener: socket.socket) -> None:
    listener.settimeout(60)
    while listener.recv(4096) != b"READY=1":
        pass


def resident(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))


def stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
