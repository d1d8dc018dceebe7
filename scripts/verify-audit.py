#!/usr/bin/env python3
"""Verifies the audit of a store without Sidedoor, to show that docs/audit.md says everything that is needed.

    verify-audit.py STORE [KEY_FILE]

Prints the head, or the first line or seal that is wrong, with exit code 1. It knows nothing of lines that were removed behind an export.
"""
import base64
import hashlib
import hmac
import re
import sqlite3
import sys


def message(tag, *values):
    parts = [b"\x00" if v is None else b"\x01" + len(v).to_bytes(4, "big") + v
             for v in (None if v is None else str(v).encode() for v in (tag, *values))]
    return b"".join(parts)


def read_keys(path):
    lines = [line.strip() for line in open(path)]
    keys = [line for line in lines if line and not line.startswith("#")]
    raw = [bytes.fromhex(k) if re.fullmatch("[0-9a-fA-F]+", k) else base64.b64decode(k) for k in keys]
    return {hashlib.sha256(b"sidedoor-audit-key-1" + key).hexdigest()[:8]: key for key in raw}


def signature(keys, key_id, text):
    return hmac.digest(keys[key_id], text, "sha256") if key_id else hashlib.sha256(text).digest()


def main(store, key_file=None):
    keys = read_keys(key_file) if key_file else {}
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    db.execute("BEGIN")
    lines = db.execute("""SELECT seq, at, actor, action, supervision_id, phase, operation, outcome, why, request_id, client_request_id,
        credential, peer, route, times, key_id, mac FROM audit ORDER BY seq""")
    seals = db.execute("""SELECT number, first_seq, last_seq, lines, digest, previous, at, key_id, head FROM audit_seals
        ORDER BY number""").fetchall()
    expected, previous, covered = 1, bytes(32), {seal[2]: seal for seal in reversed(seals) if seal[3]}
    digest = hashlib.sha256()
    for *content, key_id, mac in lines:
        seq, text = content[0], message("sidedoor-audit-line-1", *content)
        if seq != expected:
            return f"line {expected} is missing"
        if mac is not None and mac != signature(keys, key_id, text)[:16]:
            return f"line {seq} was altered"
        digest.update(seq.to_bytes(8, "big") + (mac or hashlib.sha256(text).digest()[:16]))
        if seq in covered and digest.digest() != covered[seq][4]:
            return f"the lines up to {seq} do not fit seal {covered[seq][0]}"
        if seq in covered:
            digest = hashlib.sha256()
        expected += 1
    for number, first, last, count, of_lines, before, at, key_id, head in seals:
        text = message("sidedoor-audit-seal-1", number, first, last, count, of_lines.hex(), before.hex(), at, key_id)
        if before != previous or head != signature(keys, key_id, text):
            return f"seal {number} was altered"
        if last >= expected:
            return f"line {expected} is missing"
        previous = head
    if keys and seals and not seals[-1][7]:
        return "the newest seal has no key"
    print(f"{expected - 1} lines, {len(seals)} seals, head {seals[-1][2]}:{previous.hex()}" if seals else "nothing is sealed")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
