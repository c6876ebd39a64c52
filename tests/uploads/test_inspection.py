"""Types of files by their content."""

import io
import zipfile

import pytest

from tests.uploads.pictures import encoded
from uploads.inspection import HEAD_BYTES, type_of


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_an_image_is_known_by_how_it_begins(form: str) -> None:
    assert type_of(encoded(form)[:HEAD_BYTES]).image == form


@pytest.mark.parametrize(
    ("head", "mime_type", "extension"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf", ".pdf"),
        (zipped(), "application/zip", ".zip"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video/mp4", ".mp4"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "audio/wave", ".wav"),
        (b"hello\nworld\t1\r\n", "text/plain", ".txt"),
        ("später, 晚安 👋".encode(), "text/plain", ".txt"),
        (b"\x01\x02\x03\x04", "application/octet-stream", ".bin"),
        (b"MZ\x90\0\x03" + b"\0" * 60, "application/octet-stream", ".bin"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "application/octet-stream", ".bin"),
    ],
)
def test_other_files_have_the_types_that_are_listed_and_no_others(head: bytes, mime_type: str, extension: str) -> None:
    assert type_of(head) == (mime_type, extension, "")


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><script>alert(1)</script>",
        b"<html><body onload=alert(1)>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"  <script>alert(1)</script>",
        b"alert(1)",
    ],
)
def test_what_a_browser_could_run_is_neither_an_image_nor_a_page(page: bytes) -> None:
    found = type_of(page)
    assert found.image == ""
    assert found.mime_type in ("application/octet-stream", "text/plain")


def test_a_character_cut_in_two_at_the_end_of_the_look_is_no_reason_to_doubt() -> None:
    head = ("x" * (HEAD_BYTES - 1) + "é").encode()[:HEAD_BYTES]
    assert type_of(head).mime_type == "text/plain"
    assert type_of("é".encode()[:1]).mime_type == "application/octet-stream"
    assert type_of(b"").mime_type == "text/plain"
