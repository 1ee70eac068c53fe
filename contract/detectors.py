"""The detectors that policies may name: where to look, in RE2's syntax, and what else must hold.

A candidate that the expression finds counts where its check agrees: Luhn's sum for card numbers
(ISO/IEC 7812-1), mod 97 for IBANs (ISO 13616), the unassigned ranges for US social security numbers,
a readable address for IP. The evaluators run the checks on windows of a candidate that begin and end
where a group of characters does, so a card number behind another number is found as well.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Detector:
    """`regex` finds candidates; `check` is "", luhn, iban, ssn or ip."""

    regex: str
    check: str = ""


_PRIVATE = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"

DETECTORS: Final[dict[str, Detector]] = {
    "email": Detector(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}"),
    "card_number": Detector(r"\d(?:[ \-]?\d){12,}", "luhn"),
    "iban": Detector(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,}\b", "iban"),
    "us_ssn": Detector(r"\b\d{3}-\d{2}-\d{4}\b", "ssn"),
    "api_key": Detector(
        r"\b(?:sk-[A-Za-z0-9_\-]{20,}|sk_(?:live|test)_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}"
        r"|github_pat_[A-Za-z0-9_]{22,}|xox[abeprs]-[A-Za-z0-9\-]{10,}|AIza[0-9A-Za-z_\-]{35}|glpat-[A-Za-z0-9_\-]{20,})"
    ),
    "private_key": Detector(rf"-----BEGIN {_PRIVATE}(?s:.*?)(?:-----END {_PRIVATE}|\z)"),
    "url": Detector(r"(?i:\bhttps?)://[^\s<>\"'`{}|\\^]+"),
    "ip": Detector(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", "ip"),
}
