"""How wide text is, without a font at hand: by the widths of DejaVu Sans, wider than what browsers show instead."""

from __future__ import annotations

import unicodedata

# Hundredths of the size, of the characters from the space to the tilde.
_PLAIN = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69,
    61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63,
    59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
_BOLD = 1.12
_OTHER, _BROAD = 84, 105  # characters that are not in the table; those of East Asia


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line is at most.

    Args:
        text: the line.
        size: of the font, in pixels.
        bold: whether it is.

    Returns:
        Pixels.
    """
    total = sum(map(_hundredths, text))
    return total * size / 100 * (_BOLD if bold else 1)


def _hundredths(char: str) -> int:
    at = ord(char) - 32
    if 0 <= at < len(_PLAIN):
        return _PLAIN[at]
    if unicodedata.combining(char):
        return 0
    return _BROAD if unicodedata.east_asian_width(char) in "WF" else _OTHER


def wrapped(text: str, size: float, most: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines that are narrow enough: between shapes, else after spaces, else after signs, or anywhere.

    Args:
        text: the text; every white space counts as one space.
        size: of the font.
        most: width of a line.
        bold: whether it is.

    Returns:
        Lines; one empty line for an empty text.
    """
    rest, lines = " ".join("".join(char if char.isprintable() else " " for char in text).split()), []
    while width_of(rest, size, bold=bold) > most:
        fits = 1
        while width_of(rest[: fits + 1], size, bold=bold) <= most:
            fits += 1
        places = (rest.rfind("), ", 0, fits) + 2, rest.rfind(" ", 0, fits + 1),
                  max(rest.rfind(sign, 0, fits) + 1 for sign in "_/,"))  # fmt: skip
        cut = next((place for place in places if place > fits // 3), fits)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, rest] if rest or not lines else lines
