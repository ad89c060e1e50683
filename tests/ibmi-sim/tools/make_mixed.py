#!/usr/bin/env python3
"""Writes data/ebcdic-mixed.csv: EBCDIC pages that mix single and double bytes, by glibc's `iconv`.

Run from tests/ibmi-sim. A line `page,CCSID,TABLE,256 code points in hex` is a page's single bytes; a line
`double,TABLE,FIRST BYTE,text` tells what the pairs with that first byte and the last bytes 41, 42, ... mean, a
blank where there is nothing to write. The two pages of a family share one table of what both read the same, without
characters for private use: enough to write with, and small.
"""
import subprocess

FAMILIES = {"japanese": (930, 939, 1390, 1399), "korean": (933, 1364), "simplified": (935, 1388),
            "traditional": (937, 1371)}
# Other names of two of them.
ALIASES = {930: 5026, 939: 5035}
FIRST, LAST = 0x41, 0xFE


def iconv(page, data):
    done = subprocess.run(["iconv", "-c", "-f", f"IBM{page}", "-t", "UTF-32BE"], input=data, capture_output=True)
    return "".join(chr(int.from_bytes(done.stdout[at:at + 4], "big")) for at in range(0, len(done.stdout), 4))


def single(page):
    return [ord(iconv(page, bytes([byte])) or "\uFFFD") for byte in range(256)]


def double(page):
    rows = {}
    for first in range(FIRST, LAST + 1):
        frames = b"".join(bytes([0x0E, first, last, 0x0F, 0x25]) for last in range(FIRST, LAST + 1))
        rows[first] = iconv(page, frames).split("\n")[:-1]
    return rows


def usable(meanings):
    one = meanings[0]
    same = all(meaning == one for meaning in meanings) and len(one) == 1
    return same and not "\uD800" <= one <= "\uF8FF" and one <= "\uFFFF"


with open("data/ebcdic-mixed.csv", "w", encoding="utf-8", newline="\n") as out:
    for family, pages in FAMILIES.items():
        for page in pages:
            points = " ".join(f"{point:X}" for point in single(page))
            for ccsid in (page, *([ALIASES[page]] if page in ALIASES else [])):
                out.write(f"page,{ccsid},{family},{points}\n")
    for family, pages in FAMILIES.items():
        tables = [double(page) for page in pages]
        for first in range(FIRST, LAST + 1):
            meanings = zip(*(table[first] for table in tables))
            text = "".join(meaning[0] if usable(meaning) else " " for meaning in meanings).rstrip(" ")
            if text:
                out.write(f"double,{family},{first:02X},{text}\n")
