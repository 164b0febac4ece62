"""A sealed login as docs/durability.md describes it, in Python alone: no library of ours, and not libsodium."""

import hashlib
import struct

MAGIC = b"claude-init seal"
MASK = 0xFFFFFFFF


def _hash(data, size, person):
    return hashlib.blake2b(data, digest_size=size, person=person).digest()


def key_of(file):
    return _hash(file.rstrip(b"\r\n"), 32, b"claude-init seal")


def _quarter(x, a, b, c, d):
    for first, second, target, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[first] = (x[first] + x[second]) & MASK
        mixed = x[target] ^ x[first]
        x[target] = (mixed << turn | mixed >> (32 - turn)) & MASK


def _rounds(words):
    x = list(words)
    for _ in range(10):
        for column in range(4):
            _quarter(x, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter(x, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return x


def _words(key, rest):
    return list(struct.unpack("<16I", b"expand 32-byte k" + key + rest))


def _stream(key, nonce, size):
    """ChaCha20 (RFC 8439): block 0 is for Poly1305, the rest is the stream."""
    blocks = []
    for counter in range(1 + (size + 63) // 64):
        words = _words(key, struct.pack("<I", counter) + nonce)
        blocks.append(struct.pack("<16I", *((a + b) & MASK for a, b in zip(words, _rounds(words)))))
    return blocks[0], b"".join(blocks[1:])[:size]


def _poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:32], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def _padded(data):
    return data + bytes(-len(data) % 16)


def _apply(key, nonce, text, associated, encrypt):
    """XChaCha20-Poly1305 (IETF): the other text, and the tag."""
    mixed = _rounds(_words(key, nonce[:16]))
    inner = struct.pack("<8I", *mixed[:4], *mixed[12:])
    one_time, stream = _stream(inner, bytes(4) + nonce[16:], len(text))
    other = bytes(a ^ b for a, b in zip(text, stream))
    sealed = other if encrypt else text
    lengths = struct.pack("<QQ", len(associated), len(sealed))
    return other, _poly1305(one_time, _padded(associated) + _padded(sealed) + lengths)


def close_(text, key_file, store, nonce):
    key = key_of(key_file)
    head = MAGIC + struct.pack("<I", 1) + _hash(key, 8, b"claude-init name") + _hash(store, 16, b"claude-init home")
    sealed, tag = _apply(key, nonce, text, head + store, encrypt=True)
    return head + nonce + sealed + tag


def open_(sealed, key_file, store):
    """`store` is what follows "store " in .claude-init/id."""
    key = key_of(key_file)
    head, nonce, body, tag = sealed[:44], sealed[44:68], sealed[68:-16], sealed[-16:]
    assert head[:16] == MAGIC and head[16:20] == b"\1\0\0\0"
    assert head[20:28] == _hash(key, 8, b"claude-init name"), "another key"
    assert head[28:44] == _hash(store, 16, b"claude-init home"), "another store"
    text, expected = _apply(key, nonce, body, head + store, encrypt=False)
    assert tag == expected, "damaged"
    return text
