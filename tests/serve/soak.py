"""A long day of a server in little, by hand: its memory has to stay flat, and nobody gets a 5xx.

    python tests/serve/soak.py --requests 3000 --hostile 0.1

Sound pictures in several formats and sizes, and among them hostile requests: what is no picture,
broken files, bombs, nonsense in the form, clients that hang up while they send or while they wait.
"""

import argparse
import random
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from running import BOUNDARY, body, request, server

FLAT = 1.15
"""How much larger the last quarter's memory may be than the second's."""


def pictures():
    """Sound files."""
    rng, found = np.random.default_rng(0), []
    for side in (33, 64, 96, 130):
        pixels = cv2.resize(rng.random((9, 9, 3)), (side, side + 7), interpolation=cv2.INTER_CUBIC)
        for suffix in (".png", ".jpg", ".webp"):
            coded = cv2.imencode(suffix, (pixels.clip(0, 1) * 255).astype(np.uint8))[1]
            found.append(coded.tobytes())
    return found


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb():
    """A PNG that says it has 4 gigapixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(9)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def hostile(port, sound, rng):
    """One hostile request; the status, or "left"."""
    kind, content = rng.randrange(8), rng.choice(sound)
    if kind == 0:
        sent = body(rng.randbytes(2000))
    elif kind == 1:
        sent = body(content[: len(content) // 2])
    elif kind == 2:
        spoiled = bytearray(content)
        for _ in range(20):
            spoiled[rng.randrange(len(spoiled))] ^= rng.randrange(256)
        sent = body(bytes(spoiled))
    elif kind == 3:
        sent = body(bomb())
    elif kind == 4:
        sent = body(content, effort=rng.choice(["-1", "x", "1e999"]), model="../../etc")
    elif kind == 5:
        sent = f"--{BOUNDARY}\r\n".encode() + rng.randbytes(500)
    elif kind == 6:  # says more than it sends, and hangs up
        connection = request(port, "GET", "/health")
        connection.getresponse().read()
        connection.putrequest("POST", "/v1/upscale")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        connection.putheader("Content-Length", "100000")
        connection.endheaders(body(content)[:200])
        connection.close()
        return "left"
    else:  # hangs up while it waits
        connection = request(port, "POST", "/v1/upscale", body(content, effort=1, scale=8))
        time.sleep(rng.random() * 0.05)
        connection.close()
        return "left"
    connection = request(port, "POST", "/v1/upscale", sent)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def polite(port, sound, rng):
    """One request that is answered with a picture, or a job that is fetched."""
    connection = request(port, "POST", "/v1/upscale", body(rng.choice(sound), effort=rng.random()))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def resident(process):
    """MiB that a process holds."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact-x4")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--hostile", type=float, default=0.1)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    sound, statuses, memory, lock = pictures(), Counter(), [], threading.Lock()
    before = set(Path(tempfile.gettempdir()).glob("mmsr-serve-*"))
    with server(asked.model, "--queue", 64, "--max-megapixels", 8) as (process, port):

        def one(number):
            rng = random.Random(number)
            is_hostile = rng.random() < asked.hostile
            status = (hostile if is_hostile else polite)(port, sound, rng)
            with lock:
                statuses["hostile" if is_hostile else "sound", status] += 1
                if number % max(1, asked.requests // 60) == 0:
                    memory.append(resident(process))

        started = time.monotonic()
        with ThreadPoolExecutor(asked.clients) as pool:
            list(pool.map(one, range(asked.requests)))
        seconds = time.monotonic() - started
        answer = request(port, "GET", "/health").getresponse().read().decode()
        time.sleep(1)
        homes = set(Path(tempfile.gettempdir()).glob("mmsr-serve-*")) - before
        left = [path for home in homes for path in home.iterdir()]
        quarter = len(memory) // 4
        parts = [np.mean(memory[at : at + quarter]) for at in range(0, 4 * quarter, quarter)]
        print(f"{asked.requests} requests in {seconds:.0f} s; {answer}")
        for (kind, status), count in sorted(statuses.items(), key=str):
            print(f"  {kind:8s} {status}: {count}")
        print("MiB by quarter:", ", ".join(f"{part:.0f}" for part in parts), f"; left {len(left)}")
    failed = [status for _, status in statuses if isinstance(status, int) and status >= 500]
    sys.exit(bool(failed or left or parts[3] > FLAT * parts[1]))


if __name__ == "__main__":
    main()
