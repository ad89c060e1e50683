"""A small OpAMP agent over WebSocket, written from the protocol's tables with an encoder of its own.

Nothing but the standard library: it shares no code with either side. Arguments: URL, CA file, token file.
It reports, takes configurations, and prints what it is told as JSON lines.
"""

import base64
import hashlib
import json
import os
import pathlib
import select
import socket
import ssl
import sys
import time
import uuid
from urllib.parse import urlsplit

url, ca, token = sys.argv[1:4]


def tell(**what):
    print(json.dumps(what), flush=True)


# --- protobuf -------------------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def fixed64(field, value):
    return varint(field << 3 | 1) + value.to_bytes(8, "little")


def chunk(field, value):
    if isinstance(value, str):
        value = value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """All fields of a message: number to list of values."""
    found, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 2:
            length, at = read_varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def one(message, field, default=b""):
    return message.get(field, [default])[-1]


# --- WebSocket ------------------------------------------------------------------------------------------------


class WebSocket:
    def __init__(self):
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=ca)
        raw = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self.socket = context.wrap_socket(raw, server_hostname=parts.hostname)
        key = base64.b64encode(os.urandom(16)).decode()
        secret = pathlib.Path(token).read_text().strip()
        self.socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
        )
        self.input = b""
        while b"\r\n\r\n" not in self.input:
            self.more()
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        if " 101 " not in lines[0]:
            tell(refused=lines[0])
            sys.exit(3)
        expected = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        accepted = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("sec-websocket-accept:")]
        assert accepted == [base64.b64encode(expected).decode()], head
        assert b"sec-websocket-protocol" not in head.lower(), "no sub-protocol is negotiated"

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            tell(closed=None)
            sys.exit(4)
        self.input += data

    def send(self, opcode, payload):
        mask = os.urandom(4)
        length = len(payload)
        head = bytes([0x80 | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += bytes([0x80 | 126]) + length.to_bytes(2, "big")
        else:
            head += bytes([0x80 | 127]) + length.to_bytes(8, "big")
        self.socket.sendall(head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)))

    def frame(self):
        """One frame, if it is whole."""
        data = self.input
        if len(data) < 2:
            return None
        length, at = data[1] & 0x7F, 2
        if length in (126, 127):
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if len(data) < at + length:
            return None
        self.input = data[at + length :]
        return data[0] & 0x0F, data[at : at + length]

    def receive(self, deadline):
        """The next binary message until the deadline; pings are answered on the way."""
        while True:
            frame = self.frame()
            if frame is None:
                wait = max(0, deadline - time.monotonic())
                if not self.socket.pending():
                    ready, _, _ = select.select([self.socket, sys.stdin], [], [], wait)
                    if sys.stdin in ready:
                        return "stop"
                    if not ready:
                        return None
                self.more()
                continue
            opcode, payload = frame
            if opcode == 2:
                return payload
            if opcode == 9:
                self.send(10, payload)
            elif opcode == 8:
                tell(closed=int.from_bytes(payload[:2], "big"))
                sys.exit(4)
            else:
                assert opcode == 10, opcode


# --- agent ----------------------------------------------------------------------------------------------------

# ReportsStatus, AcceptsRemoteConfig, ReportsEffectiveConfig, AcceptsRestartCommand, ReportsHealth,
# ReportsRemoteConfig, ReportsHeartbeat.
CAPABILITIES = 0x1 | 0x2 | 0x4 | 0x400 | 0x800 | 0x1000 | 0x2000


def attribute(key, value):
    return chunk(1, key) + chunk(2, chunk(1, value))


class Agent:
    def __init__(self):
        self.uid = uuid.uuid4().bytes
        self.sequence = 0
        self.effective = b""
        self.status = b""

    def message(self, *parts):
        head = chunk(1, self.uid) + number(2, self.sequence) + number(4, CAPABILITIES)
        self.sequence += 1
        # The header of a WebSocket message: 0 as a varint.
        return b"\0" + head + b"".join(parts)

    def full(self):
        description = chunk(1, attribute("service.name", "websocket-foreign"))
        description += chunk(2, attribute("host.name", "sockethost"))
        sick = chunk(3, "exporter cannot connect") + chunk(4, "StatusRecoverableError") + fixed64(5, time.time_ns())
        child = chunk(1, "exporter/otlp") + chunk(2, sick)
        health = number(1, 1) + fixed64(2, time.time_ns()) + chunk(6, child)
        return self.message(
            chunk(3, description), chunk(5, health), chunk(6, self.effective), chunk(7, self.status)
        )

    def hear(self, data):
        """Gives the answer, if the message wants one."""
        assert data[0] == 0, "the header byte"
        told = fields(data[1:])
        if one(told, 1) != self.uid:
            return None
        if 2 in told:
            tell(error=one(fields(one(told, 2)), 2).decode())
            return None
        if 9 in told:
            tell(command=one(fields(one(told, 9)), 1, 0), alone=not (set(told) - {1, 7, 9}))
            return None
        if 8 in told:
            self.uid = one(fields(one(told, 8)), 1)
            tell(uid=str(uuid.UUID(bytes=self.uid)))
            return self.full()
        if one(told, 6, 0) & 1:
            return self.full()
        if 3 not in told:
            return None
        offer = fields(one(told, 3))
        files = [fields(entry) for entry in fields(one(offer, 1)).get(1, [])]
        config = {one(f, 1).decode(): one(fields(one(f, 2)), 1).decode() for f in files}
        tell(config=config)
        self.effective = chunk(1, one(offer, 1))
        self.status = chunk(1, one(offer, 2)) + number(2, 1)
        return self.message(chunk(6, self.effective), chunk(7, self.status))


agent = Agent()
tell(uid=str(uuid.UUID(bytes=agent.uid)))
link = WebSocket()
link.send(2, agent.full())
while True:
    heard = link.receive(time.monotonic() + 1)
    if heard == "stop":
        # agent_disconnect in a last message, then a close frame.
        link.send(2, agent.message(chunk(9, b"")))
        link.send(8, (1000).to_bytes(2, "big"))
        break
    answer = agent.message() if heard is None else agent.hear(heard)
    if answer is not None:
        link.send(2, answer)
