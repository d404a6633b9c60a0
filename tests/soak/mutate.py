"""Bytes of a good file -> bytes of a damaged one."""

import gzip
import random
import zlib

_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp1252", "utf-8-sig", "cp037")
_TOKENS = (
    b'"', b'""', b"'", b",", b";", b"\t", b"|", b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf",
    b"{", b"}", b"[", b"]", b"[" * 2000, b"{\"a\":" * 2000, b"null", b"NaN", b"Infinity", b"-0", b"1e999", b"9" * 5000,
    b"true",
    b"\\", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\x1b[31m", b"<a>", b"</a>", b"<![CDATA[", b"]]>", b"&x;",
    b"<!DOCTYPE a>",
    b"sep=;\n", b"# ", b"=", b"''' ", b'"""', b"---\n", b"0x", b"1979-05-27", b"inf",
)  # fmt: skip


def damage(draw: random.Random, data: bytes) -> bytes:
    """Return the bytes flipped, cut, doubled, moved, in another encoding or with tokens put in: one to three times."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        data = draw.choice((_flip, _flip, _cut, _double, _swap, _insert, _insert, _insert, _encode, _replace, _zero))(
            draw, data
        )
    return data


def _place(draw, data):
    return draw.randrange(len(data) + 1)


def _flip(draw, data):
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 4, 32))):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _cut(draw, data):
    one, other = sorted((_place(draw, data), _place(draw, data)))
    return draw.choice((data[:one], data[other:], data[:one] + data[other:]))


def _double(draw, data):
    one = _place(draw, data)
    other = min(len(data), one + draw.choice((1, 10, 1000)))
    return data[:other] + data[one:other] * draw.choice((1, 3, 50)) + data[other:]


def _swap(draw, data):
    lines = data.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


def _insert(draw, data):
    place = _place(draw, data)
    return data[:place] + draw.choice(_TOKENS) + data[place:]


def _replace(draw, data):
    old = draw.choice((b",", b'"', b"\n", b":", b"<", b">", b"=", b"1", b"e", b" "))
    return data.replace(old, draw.choice(_TOKENS), draw.choice((1, 3, -1)))


def _zero(draw, data):
    place = _place(draw, data)
    return data[:place] + bytes(draw.choice((1, 64, 4096))) + data[place + 64 :]


def _encode(draw, data):
    try:
        return data.decode().encode(draw.choice(_ENCODINGS), "replace")
    except UnicodeDecodeError:
        return data[::-1]


def packed(draw, data):
    """Return the bytes as gzip, whole or damaged."""
    made = gzip.compress(data, mtime=0)
    return draw.choice((made, damage(draw, made), made + made, made + b"rest", zlib.compress(data)))


def bomb(size):
    """Return gzip of one record that grows to so many bytes."""
    made, block = zlib.compressobj(1, wbits=31), bytes([97]) * (1 << 20)
    parts = [made.compress(b'{"prompt": "')]
    parts += [made.compress(block) for _ in range(size >> 20)]
    return b"".join([*parts, made.flush()])
