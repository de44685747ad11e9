"""Many clients that fetch the same URL at once, in a separate process: threads would slow the test's loop.

    python -m tests.faults.readers URL CLIENTS

Prints a JSON list: for each client the body's bytes and their CRC-32, or its error.
"""

import json
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

PIECE = 1024 * 1024


def fetch(url: str) -> tuple[int, int] | str:
    at = urlsplit(url)
    try:
        with closing(HTTPConnection(at.netloc, timeout=120)) as connection:
            connection.request("GET", at.path)
            answer = connection.getresponse()
            if answer.status != 200:
                return answer.read().decode()
            buffer, length, crc = bytearray(PIECE), 0, 0
            while count := answer.readinto(buffer):
                length, crc = length + count, zlib.crc32(memoryview(buffer)[:count], crc)
            return length, crc
    except Exception as error:
        return repr(error)


if __name__ == "__main__":
    url, clients = sys.argv[1], int(sys.argv[2])
    with ThreadPoolExecutor(clients) as threads:
        json.dump(list(threads.map(fetch, [url] * clients)), sys.stdout)
