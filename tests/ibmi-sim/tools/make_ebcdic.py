#!/usr/bin/env python3
"""Writes data/ebcdic.csv: one line per EBCDIC code page, 256 code points in hex.

Run from tests/ibmi-sim. Pages that Python knows come from Python's codecs, the others from ICU's `uconv`
(Debian package icu-devtools), so that the simulator's tables are not those of the product.
"""
import codecs
import subprocess

PAGES = [37, 273, 277, 278, 280, 284, 285, 297, 420, 424, 500, 838, 870, 871, 875, 1025, 1026,
         1140, 1141, 1142, 1143, 1144, 1145, 1146, 1147, 1148, 1149]


def from_python(page):
    try:
        decode = codecs.getdecoder(f"cp{page:03d}")
    except LookupError:
        return None
    return [ord(decode(bytes([b]), "replace")[0]) for b in range(256)]


def from_icu(page):
    row = []
    for b in range(256):
        done = subprocess.run(["uconv", "-f", f"ibm-{page}", "-t", "utf-32be", "--callback", "substitute"],
                              input=bytes([b]), capture_output=True, check=True)
        row.append(int.from_bytes(done.stdout[:4], "big"))
    return row


with open("data/ebcdic.csv", "w", encoding="ascii", newline="\n") as out:
    for page in PAGES:
        row = from_python(page) or from_icu(page)
        out.write(f"{page}," + " ".join(f"{point:X}" for point in row) + "\n")
