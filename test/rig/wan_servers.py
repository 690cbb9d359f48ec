"""What a line's targets are made of: TCP, HTTP, HTTPS and DNS (standard library only).

wan_servers.py    says ``ready`` once all listen, on every address of the host:
                  7001 TCP, 8080 HTTP, 8443 HTTPS, 53 DNS.
HTTP answers the status that the path names, ``/204``. DNS knows ``www.example.`` only; of
``servfail.example.`` it answers SERVFAIL, of ``mute.example.`` not at all, and of
``other.example.`` with another question.
"""

import contextlib
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

ADDRESSES = {1: bytes([203, 0, 113, 7]), 28: bytes.fromhex("20010db8000f00000000000000000007")}


def listen(port):
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen(64)
    return listener


def answer_http(client):
    with contextlib.suppress(OSError), client:
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(4096)
            if not more:
                return
            data += more
            if data[0] == 0x16:  # somebody speaks TLS, as servers complain of it
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
        status = data.split()[1].strip(b"/").decode() or "200"
        client.sendall(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode())


def serve_tcp(listener, context=None, answer=None):
    while True:
        client, _ = listener.accept()
        try:
            if context is not None:
                client.settimeout(5)
                client = context.wrap_socket(client, server_side=True)
        except OSError:
            client.close()
            continue
        if answer is None:
            client.close()
        else:
            threading.Thread(target=answer, args=(client,), daemon=True).start()


def dns_answer(query):
    """Return the answer to a query, or None."""
    end = query.index(b"\0", 12) + 5
    name, (kind, _) = query[12 : end - 4].lower(), struct.unpack("!HH", query[end - 4 : end])
    asked = query[12:end]
    if name == b"\x04mute\x07example\0":
        return None
    code, answers = 0, b""
    if name == b"\x08servfail\x07example\0":
        code = 2
    elif name == b"\x05other\x07example\0":
        asked = b"\x03www\x07example\0" + asked[-4:]
        answers = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, 4) + ADDRESSES[1]
    elif name != b"\x03www\x07example\0":
        code = 3
    elif kind in ADDRESSES:
        data = ADDRESSES[kind]
        answers = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, bool(answers), 0, 0)
    return head + asked + answers


def serve_dns(server):
    # Each answer from the address that was asked, of which the host has several.
    while True:
        query, control, _, sender = server.recvmsg(512, 128)
        out = [(socket.IPPROTO_IPV6, 50, data) for _, kind, data in control if kind == 50]
        answer = dns_answer(query)
        if answer is not None:
            out = [(level, kind, data[:16] + bytes(4)) for level, kind, data in out]
            server.sendmsg([answer], out, 0, sender)


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = os.path.join(folder, "key"), os.path.join(folder, "certificate")
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        argv += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=nobody"]
        argv += ["-keyout", key, "-out", certificate]
        subprocess.run(argv, check=True, capture_output=True)
        context.load_cert_chain(certificate, key)
    dns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    dns.setsockopt(socket.IPPROTO_IPV6, 49, 1)
    dns.bind(("::", 53))
    for argument in (
        (serve_tcp, listen(7001)),
        (serve_tcp, listen(8080), None, answer_http),
        (serve_tcp, listen(8443), context, answer_http),
        (serve_dns, dns),
    ):
        threading.Thread(target=argument[0], args=argument[1:], daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
