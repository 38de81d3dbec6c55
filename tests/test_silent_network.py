"""Nothing leaves the machine: ordinary commands in a network namespace where every way leads into a
trap, for connections and for look-ups of names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSIDE = """
set -e
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo || true
mount --bind "$1/resolv.conf" /etc/resolv.conf
exec "$2" "$1/trap.py" "$1"
"""

TRAP = r"""
import io, json, os, socket, subprocess, sys, threading, time
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

place = Path(sys.argv[1])
seen = []


def asked():
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("0.0.0.0", 53))
    return line


def name(query):
    parts, at = [], 12
    while query[at]:
        parts.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(parts)


def look_ups(line):
    while True:
        query, who = line.recvfrom(4096)
        seen.append(["name", name(query)])
        line.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:], who)


def connections(line):
    while True:
        other, _ = line.accept()
        seen.append(["connection", *other.getsockname()[:2]])
        other.close()


threading.Thread(target=look_ups, args=(asked(),), daemon=True).start()
for port in (80, 443, 8080):
    line = socket.create_server(("0.0.0.0", port))
    threading.Thread(target=connections, args=(line,), daemon=True).start()

from kuleshov.apps.cli.main import main



def serve(photo):
    # the page and a reading of a server in a process of its own; its exit code
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from kuleshov.apps.cli.main import main; raise SystemExit(main())"
    given = [sys.executable, "-c", program, "serve", "--port", str(port), *models]
    server, opener = subprocess.Popen(given), build_opener(ProxyHandler({}))
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while True:
        try:
            opener.open(f"{address}/", timeout=30).read()
            break
        except OSError:
            if time.monotonic() > until or server.poll() is not None:
                raise
            time.sleep(0.3)
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body += Path(photo).read_bytes() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    asked = Request(f"{address}/api/v1/infer", body, kind)
    assert json.load(opener.open(asked, timeout=120))["people"]
    server.terminate()
    return server.wait(60)


photo, codes = json.loads((place / "photo.json").read_text()), {}
models = ["--model", "pocket", "--faces", "pocket"]
for given in (
    ["doctor"],
    ["models"],
    ["demo", "--report", str(place / "demo.html")],
    ["chat", photo, "--private", *models],
    ["infer", photo, *models],
    ["annotate", photo, "--out", str(place / "ray"), "--engine", "ray", *models],
):
    sys.stdin = io.StringIO("why?\n/quit\n")
    codes[given[0]] = main(given)
codes["serve"] = serve(photo)
kept, seen_then = list(seen), len(seen)
# the trap works: else what was seen says nothing
try:
    socket.create_connection(("169.254.169.254", 80), 5).close()
    socket.getaddrinfo("metadata.google.internal", 80)
except OSError:
    pass
until = time.monotonic() + 20  # the thread that accepts may be slow to say so
while ["connection", "169.254.169.254", 80] not in seen[seen_then:] and time.monotonic() < until:
    time.sleep(0.05)
(place / "seen.json").write_text(json.dumps([codes, kept, seen[seen_then:]]))
sys.stdout.flush()
os._exit(0)
"""


def _has_namespaces() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    tried = subprocess.run(["unshare", "-rnm", "ip", "link"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.skipif(not _has_namespaces(), reason="no network namespaces can be made here")
def test_ordinary_commands_send_nothing_and_look_no_name_up(
    tmp_path: Path, feat_data: Path
) -> None:
    pytest.importorskip("ray")
    (tmp_path / "resolv.conf").write_text("nameserver 10.9.9.9\noptions timeout:1 attempts:1\n")
    (tmp_path / "trap.py").write_text(TRAP)
    (tmp_path / "photo.json").write_text(json.dumps(str(feat_data / "single_face.jpg")))
    call = ["unshare", "-rnm", "sh", "-c", INSIDE, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    codes, seen, trapped = json.loads((tmp_path / "seen.json").read_text())
    ended = dict.fromkeys(("doctor", "models", "demo", "chat", "infer", "annotate"), 0)
    assert codes == {**ended, "serve": 0}
    assert ["connection", "169.254.169.254", 80] in trapped
    assert ["name", "metadata.google.internal"] in trapped
    assert seen == []
