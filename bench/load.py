"""A load generator that costs little: one thread, raw sockets, every request made before the clock starts.

``python -m bench.load PORT PATH CONNECTIONS`` reads lines ``first-order-id count same`` from standard input and
answers each with one line of JSON: the seconds it took, and the latencies in milliseconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import selectors
import socket
import sys
import time

from bench.processes import SECRET
from bridge.sandbox.shop import Shop
from bridge.sandbox.shop_shapes import php_json


def deliveries(port: int, path: str, first: int, count: int, same: bool) -> list[bytes]:
    """Signed deliveries as WooCommerce sends them, ready for the wire."""
    shop = Shop()
    product = shop.add_product("A course", sku="totara-course-2", price="100.00")
    order = shop.show_order(shop.place_order([(product, 1)], email="bo@bench.example", first_name="Bo"))
    made = []
    for number in range(count):
        body = php_json(order | {"id": first if same else first + number})
        signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: WooCommerce/11.0.1 Hookshot\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "X-WC-Webhook-Source: http://shop.test/\r\nX-WC-Webhook-Topic: order.updated\r\n"
            "X-WC-Webhook-Resource: order\r\nX-WC-Webhook-Event: updated\r\nX-WC-Webhook-ID: 1\r\n"
            f"X-WC-Webhook-Delivery-ID: 0123456789abcdef\r\nX-WC-Webhook-Signature: {signature}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Begin a request."""
        self.began = time.perf_counter()
        self.socket.sendall(data)

    def answered(self) -> bool:
        """Read what is there; True when the answer is whole. Anything but 200 is a RuntimeError."""
        data = self.socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection")
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        self._buffer = b""
        return True


def fire(port: int, requests: list[bytes], connections: int) -> tuple[float, list[float]]:
    """Send all of them over so many connections. Returns (seconds, latencies in milliseconds)."""
    waiting = iter(requests)
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [Client(port) for _ in range(connections)]
        began = time.perf_counter()
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(next(waiting))
        while len(latencies) < len(requests):
            for key, _ in selector.select(30):
                client = key.data
                if client.answered():
                    latencies.append((time.perf_counter() - client.began) * 1000)
                    if (following := next(waiting, None)) is not None:
                        client.send(following)
        seconds = time.perf_counter() - began
        for client in clients:
            client.socket.close()
    return seconds, latencies


def main() -> None:
    """Fire when told to."""
    port, path, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for line in sys.stdin:
        first, count, same = (int(word) for word in line.split())
        seconds, latencies = fire(port, deliveries(port, path, first, count, bool(same)), connections)
        print(json.dumps([seconds, [round(ms, 3) for ms in latencies]]), flush=True)


if __name__ == "__main__":
    main()
