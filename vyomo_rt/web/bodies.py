"""The body of a request, read and inflated within its limit before anything looks at it."""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web

from vyomo_rt.domain.errors import BadRequest, BodyTooLarge, UnknownEncoding

ENCODINGS = ("gzip", "deflate")
_HEADER = "Content-Encoding"
_AS_IT_IS = ("", "identity")
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class RequestUnfinished(BadRequest, TimeoutError):
    """The rest of a request did not come in time; aiohttp then ends the connection itself."""

    part = "body"


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The body, of at most so many bytes, before and after inflating. Raises BadRequest.

    aiohttp does not inflate here: it would inflate anything at any path, and half a
    megabyte may hold half a gigabyte.
    """
    encoding = ", ".join(request.headers.getall(_HEADER, ())).strip().lower()
    if encoding not in (*ENCODINGS, *_AS_IT_IS):
        known = " or ".join(ENCODINGS)
        raise UnknownEncoding(
            f"Content-Encoding: {encoding[:40]!r} is not known: use {known}, or none",
            _HEADER,
        )
    body = bytearray()
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    if encoding in _AS_IT_IS or not body:
        return bytes(body)
    inflated = _inflate(bytes(body), encoding, limit_bytes)
    # Parsing takes as long again: let the loop turn first.
    await asyncio.sleep(0)
    return inflated


def _inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    has_header = body[0] & 0x0F == zlib.DEFLATED  # "deflate" comes with and without
    deflate = _ZLIB if has_header else _RAW
    inflater = zlib.decompressobj(_GZIP if encoding == "gzip" else deflate)
    try:
        inflated = inflater.decompress(body, limit_bytes + 1)
    except zlib.error:
        raise BadRequest(
            f"the body is not {encoding}, as its Content-Encoding says", _HEADER
        ) from None
    if len(inflated) > limit_bytes:
        raise _too_large(limit_bytes)
    if not inflater.eof or inflater.unused_data:
        what = "something follows its end" if inflater.eof else "it ends too early"
        raise BadRequest(f"the body is not one complete {encoding}: {what}", _HEADER)
    return inflated


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {limit_bytes >> 10} KiB")
