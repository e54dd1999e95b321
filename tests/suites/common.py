"""What the suites share: folders, downloads, servers in a network namespace of their own. Only the standard library."""

import argparse
import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Set in the child that runs inside the namespace.
INSIDE = "HOLDFAST_SUITE_NAMESPACE"


def arguments(description, *more):
    """The command line: which server, where to put downloads, and what the suite adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--server", default=str(ROOT / "target/debug/holdfast"), help="the binary to test")
    parser.add_argument("--work", default=str(ROOT / "target/suites"), help="folder for downloads and results")
    for name, options in more:
        parser.add_argument(name, **options)
    return parser.parse_args()


def run(*command, **options):
    """Runs a program that must succeed."""
    command = [str(part) for part in command]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def alone(name):
    """Waits until no other suite of this name prepares or installs something."""
    with open(f"/tmp/holdfast-suites-{os.getuid()}-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def venv(folder, packages):
    """A virtual environment with exactly these packages (and what they need); made anew when the list changes."""
    folder = pathlib.Path(folder)
    python = folder / "bin/python"
    stamp = folder / "packages"
    wanted = "\n".join(packages)
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", *packages)
        stamp.write_text(wanted)
    return python


def apt(packages):
    """Installs Debian packages that are missing."""
    missing = [package for package in packages if not is_installed(package)]
    if not missing:
        return
    print("Installing:", *missing, flush=True)
    root = [] if os.getuid() == 0 else ["sudo"]
    # Servers among them must not start by themselves.
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    run(*root, "apt-get", "update", "-qq")
    run(*root, *environment, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def is_installed(package):
    """Whether a Debian package is there."""
    query = ["dpkg-query", "-W", "-f=${Status}", package]
    state = subprocess.run(query, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return "install ok installed" in state.stdout


def in_namespace():
    """Goes on in a network namespace of its own, where every port is free and nothing outside can be reached."""
    if os.environ.get(INSIDE):
        loopback_up()
        return
    unshare = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


def loopback_up():
    set_flags, up_and_running = 0x8914, 0x41
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh", b"lo", up_and_running))


class Servers:
    """Servers of one run, ended with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, binary, port, *options, host=None):
        """Starts a server and waits until it takes connections; its log is `PORT.log` in the folder, or `HOST.log`."""
        name = host or str(port)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        log = self.folder / f"{name}.log"
        if host:
            options = ("--bind", host, "--protected-mode", "no", *options)
        with open(log, "ab") as out:
            child = subprocess.Popen(
                [str(binary), *options, "--port", str(port), "--dir", str(folder), "--save", ""],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )
        self.children.append(child)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((host or "127.0.0.1", port), timeout=1).close()
                return child
            except OSError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server {name} did not start:\n{log.read_text()}")
                time.sleep(0.05)

    def log_tail(self, name, lines=20):
        """The last lines of the log of the server with this port, or on this host."""
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def is_redis(binary):
    """Whether the binary is a `redis-server`, with which the suites test themselves."""
    return "redis-server" in pathlib.Path(binary).name
