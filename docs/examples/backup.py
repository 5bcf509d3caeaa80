#!/usr/bin/env python3
"""Asks a node for a backup over its control socket, and follows it to its end.

    backup.py SOCKET [NUMBER]

Each packet is one JSON object, either way (docs/embedding.md). Interrupted, it has the backup
aborted, and waits for the end all the same. Exit: 0: there is a complete backup; 1: there is none;
3: there is one, without some objects that could not be read; 4: nobody knows yet.
"""
import json
import signal
import socket
import sys

PACKET_BYTES = 128 * 1024


def connect(path):
    node = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    node.connect(path)
    return node


def send(node, **request):
    node.send(json.dumps(request).encode())


def messages(node):
    while packet := node.recv(PACKET_BYTES):
        yield json.loads(packet)
    sys.exit("the node has hung up: ask its status")


def follow(node):
    for message in messages(node):
        kind = message["message_type"]
        if kind == "started":
            print(f"backup {message['number']} (uid {message['uid']}) has started")
        elif kind == "progress":
            total = message["source_bytes_total"]  # 0: not known yet
            share = f"{100 * message['source_bytes'] // total} %" if total else "listing"
            print(f"{share}, {message['objects']} objects")
        elif kind == "completed":
            print(f"complete: {message['source_bytes']} bytes in {message['elapsed_ns'] / 1e9:.2f} s")
            return 3 if message["unreadable"] else 0
        elif kind == "failed":
            print(f"{message['error_name']}: {message['message']}", file=sys.stderr)
            return 1 if message["outcome_known"] else 4
        # Others may be added: whoever does not know one leaves it out.


def main(path, number="0"):
    node = connect(path)
    # A second connection: the first one waits for the end.
    signal.signal(signal.SIGINT, lambda *_: send(connect(path), request="abort"))
    send(node, request="backup", number=int(number))
    return follow(node)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
