"""Hosts, addresses, URLs and paths, read in one way or not at all."""

import ipaddress
import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.engine.reference_values import is_mark
from thoth.engine.reference_values import nfc as reference_nfc
from thoth.native.names import nfc, read_email, read_host, read_ip, read_path, read_url_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("acme.com", "acme.com"),
        ("ACME.com.", "acme.com"),
        ("CAFÉ.example", "xn--caf-dma.example"),
        ("_dmarc.acme.com", "_dmarc.acme.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("[FE80::0:1]", "[fe80::1]"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_has_one_form(text: str, host: str) -> None:
    assert read_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", "-a.example", "a-.example", "a b", "a@b", "acme.com:80", "0x7f.1", "127.1", "010.0.0.1",
        "1.2.3.256", "[fe80::1%eth0]", "[::1", "a" * 64 + ".example", ".".join(["a" * 60] * 5), "acme.com..",
        "%61.example",
    ],
)  # fmt: skip
def test_what_programs_read_differently_is_no_host(text: str) -> None:
    assert read_host(text) is None


def test_an_address_keeps_its_local_part_and_normalises_its_host() -> None:
    assert read_email("Ada.Lovelace+x@ACME.com.") == "Ada.Lovelace+x@acme.com"


@pytest.mark.parametrize(
    "text", ["", "@acme.com", "ada", "ada@", "a b@acme.com", ".a@acme.com", "a..b@acme.com", "a@b@acme.com", "a@[::1]",
             "a" * 65 + "@acme.com", "Ada <ada@acme.com>"]
)  # fmt: skip
def test_what_is_not_exactly_one_address_is_none(text: str) -> None:
    assert read_email(text) is None


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://acme.com", "acme.com"),
        ("HTTP://ACME.com:8080/x?y#z", "acme.com"),
        ("https://acme.com:?q=@x", "acme.com"),
        ("http://[::1]:80/", "[::1]"),
        ("https://acme.com/%2e%2e", "acme.com"),
    ],
)
def test_a_plain_url_has_a_host(text: str, host: str) -> None:
    assert read_url_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "ftp://acme.com", "acme.com", "//acme.com", "https:/acme.com", "https://ada@acme.com",
        "https://acme.com\\@evil", "https://acme%2ecom", "https://acme.com:99999", "https://acme.com:8a",
        "https://acme.com/a b", "https:// acme.com",
        "https://", "https://acme.com/\n", "https://[::1]x",
    ],
)  # fmt: skip
def test_a_url_that_readers_disagree_about_has_no_host(text: str) -> None:
    assert read_url_host(text) is None


@pytest.mark.parametrize(
    ("text", "folder", "path"),
    [
        ("/etc/passwd", None, "/etc/passwd"),
        ("/etc//./x/../passwd", None, "/etc/passwd"),
        ("/../..", None, "/"),
        ("x/../../y", "/home/ada", "/home/y"),
        ("x", "/", "/x"),
        ("x", "/..", "/x"),
    ],
)
def test_a_path_is_absolute_and_resolved(text: str, folder: object, path: str) -> None:
    assert read_path(text, folder) == path


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "/"), ("x", None), ("x", "home"), ("x", 1), ("x", "/a*"), ("//etc", None), ("~/x", "/"), ("/a\\b", None),
        ("/%2e%2e/x", None), ("/$HOME", None), ("/a\x00b", None), ("/*", None), ("/{a,b}", None), ("/a\nb", None),
    ],
)  # fmt: skip
def test_a_path_that_takes_a_guess_is_none(text: str, folder: object) -> None:
    assert read_path(text, folder) is None


@given(st.text("ab/.", max_size=12))
def test_a_path_resolves_as_the_standard_library_does(text: str) -> None:
    expected = None if text.startswith("/") else posixpath.normpath("/" + text)
    assert read_path("/" + text, None) == expected


@given(st.ip_addresses())
def test_an_address_is_read_back_from_its_spelling(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert read_ip(str(address)) == (mapped.version, int(mapped))
    assert read_ip(address.exploded) == (mapped.version, int(mapped))


@given(
    st.lists(st.sampled_from([":", "::", "0", "1", "ffff", "12345", "1.2.3.4", ".", "%1"]), max_size=12).map("".join)
)
def test_an_address_is_read_where_the_standard_library_reads_one(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        assert read_ip(text) is None
    else:
        if getattr(address, "scope_id", None) is None:
            mapped = getattr(address, "ipv4_mapped", None) or address
            assert read_ip(text) == (mapped.version, int(mapped))


@given(st.text())
def test_texts_come_in_nfc(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


MARKS_AND_MORE = "\u0301\u0323\u0344\u0f73\u0f75\u0f81\u0345\u05b0\u3099ae\u00e9\u0915\uac00\u1100\u1161\u11a8"


@given(
    st.lists(st.text(MARKS_AND_MORE, min_size=1, max_size=3), max_size=12),
    st.integers(1, 70),
)
def test_rows_of_marks_come_to_the_same_form_as_unicode_says(parts: list[str], times: int) -> None:
    """Short rows are left to the library, long ones are put in order first; rows of 64 to 128 marks lie at the edge."""
    text = "".join(part * times for part in parts)
    assert nfc(text) == reference_nfc(text) == unicodedata.normalize("NFC", text)


def test_what_is_made_of_marks_alone_is_known_for_one() -> None:
    def begins_with_a_mark(c: str) -> bool:
        return unicodedata.combining(unicodedata.normalize("NFD", c)[0]) > 0

    every = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert [c for c in every if c > "\u02ff" and begins_with_a_mark(c) != is_mark(c)] == []


def test_a_text_of_nothing_but_marks_is_read_in_linear_time() -> None:
    """The library alone takes ten seconds over it, and an hour over twenty times as much."""
    text = "a" + "\u0301\u0323" * 50_000
    assert nfc(text) == "\u1ea1" + "\u0323" * 49_999 + "\u0301" * 50_000
    assert reference_nfc(text) == nfc(text)
