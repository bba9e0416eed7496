#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's multiprocessing.connection at one end, forkmap at the other.

    interop.py PEER CASE     in an empty directory; PEER is peer.c's program

A case is FORM_ROLE_FAMILY, as md5_client_path: the role is Python's, the family path or tcp. The form is

    installed    the challenge of this Python: MD5 up to 3.11, SHA-256 from 3.12 on
    md5, sha256  those of the old and of the new Pythons by the functions below, whichever is installed

or it is `huge`: a message of more than 2 GiB each way.
"""
import contextlib
import hmac
import mmap
import multiprocessing.connection as mpc
import os
import socket
import struct
import subprocess
import sys

SIZES = (0, 1, 65536, 16 << 20)
HUGE = (2 << 30) + (16 << 20)
KEY = b"the key of this test"
CHALLENGE, WELCOME, FAILURE = b"#CHALLENGE#", b"#WELCOME#", b"#FAILURE#"


# ---- both forms of the challenge, in as few words as they have ----

def mac(key, message, digest):
    return hmac.new(key, message, digest).digest()


def ask(connection, key, message, right_answers):
    connection.send_bytes(CHALLENGE + message)
    if connection.recv_bytes(256) not in right_answers:
        connection.send_bytes(FAILURE)
        raise mpc.AuthenticationError("digest received was wrong")
    connection.send_bytes(WELCOME)


def answer(connection, what):
    question = connection.recv_bytes(256)
    assert question.startswith(CHALLENGE), question
    connection.send_bytes(what(question[len(CHALLENGE):]))
    if connection.recv_bytes(256) != WELCOME:
        raise mpc.AuthenticationError("digest sent was rejected")


def ask_md5(connection, key):
    message = os.urandom(20)
    ask(connection, key, message, (mac(key, message, "md5"),))


def answer_md5(connection, key):
    answer(connection, lambda message: mac(key, message, "md5"))  # all of it, braces or not


def ask_sha256(connection, key, digest_name="sha256"):
    message = b"{sha256}" + os.urandom(40)
    ask(connection, key, message, (b"{sha256}" + mac(key, message, "sha256"),))  # who knows braces heeds them


def answer_sha256(connection, key):
    def what(message):
        if len(message) == 20:
            return mac(key, message, "md5")
        assert message.startswith(b"{sha256}"), message
        return b"{sha256}" + mac(key, message, "sha256")
    answer(connection, what)


def use_form(form):
    forms = {"md5": (ask_md5, answer_md5), "sha256": (ask_sha256, answer_sha256)}
    if form in forms:
        mpc.deliver_challenge, mpc.answer_challenge = forms[form]


# ---- the peer ----

@contextlib.contextmanager
def peer(*words):
    process = subprocess.Popen([sys.argv[1], *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end_of(process, expected):
    out, err = process.communicate(timeout=100)
    assert out.split()[-1:] == [expected], (out, err)
    return err


def address_for_python(text):
    host, colon, port = text.rpartition(":")
    return text if "/" in text else (host, int(port))


def pattern(n):
    return (bytes(range(251)) * (n // 251 + 1))[:n]


# ---- the roles ----

def refuses(key, address):
    try:
        mpc.Client(address, authkey=key).close()
    except mpc.AuthenticationError:
        return True
    return False


def client(family):
    with peer("listen", "./socket" if family == "path" else "127.0.0.1:0", KEY.decode()) as process:
        address = address_for_python(process.stdout.readline().strip())
        assert refuses(b"another key", address)  # and the next one is served
        with mpc.Client(address, authkey=KEY) as c:
            for n in SIZES:
                c.send_bytes(pattern(n))
                assert c.recv_bytes() == pattern(n), n
            c.send_bytes(b"xyz", 1, 1)
            assert c.recv_bytes_into(buffer := bytearray(8), 2) == 1 and buffer == b"\0\0y\0\0\0\0\0"
            c.send(["an object", None])
            assert c.recv() == ["an object", None]
        err = end_of(process, "OK")
        assert err.count("was refused") == 1 and "another key" in err, err


def listener(family):
    with mpc.Listener("./socket" if family == "path" else ("127.0.0.1", 0), authkey=KEY) as listening:
        address = listening.address if family == "path" else "%s:%d" % listening.address
        with peer("connect", address, "another key") as process:
            try:
                listening.accept()
                raise AssertionError("a wrong key was taken")
            except mpc.AuthenticationError:
                pass
            end_of(process, "FM_EAUTH")
        with peer("connect", address, KEY.decode(), *map(str, SIZES)) as process:
            with listening.accept() as c:
                for _ in SIZES:
                    c.send_bytes(c.recv_bytes())
                end_of(process, "OK")


def receive_huge(c):
    """By hand: recv_bytes() would ask for the whole message's memory with each read, of which there are thousands."""
    with socket.socket(fileno=os.dup(c.fileno())) as raw:
        assert struct.unpack("!iQ", raw.recv(12, socket.MSG_WAITALL)) == (-1, HUGE)
        left, chunk, marked = HUGE, bytearray(4 << 20), []
        while left > 0:
            n = raw.recv_into(chunk, min(left, len(chunk)))
            assert n > 0
            if chunk.count(0, 0, n) != n:
                marked.append((HUGE - left) // 4096)
            left -= n
    return marked


def huge():
    """Only the pages with marks are ever there on this side."""
    message = mmap.mmap(-1, HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    message.madvise(mmap.MADV_HUGEPAGE)
    for at in (0, HUGE // 2, HUGE - 8):
        message[at:at + 8] = struct.pack("=Q", 12345)
    with peer("take", "./socket", KEY.decode()) as process:
        with mpc.Client(process.stdout.readline().strip(), authkey=KEY) as c:
            c.send_bytes(message)
            assert struct.unpack("=QQ", c.recv_bytes()) == (HUGE, 3 * 12345)
            assert len(receive_huge(c)) == 3
        end_of(process, "OK")


def main(case):
    if case == "huge":
        huge()
    else:
        form, role, family = case.split("_")
        use_form(form)
        {"client": client, "listener": listener}[role](family)
    print(f"Python {sys.version.split()[0]}: {case}")


if __name__ == "__main__":
    main(sys.argv[2])
