"""The colours of both themes can be read: WCAG 2.2 AA, 4.5 to 1 for text and 3 to 1 for fields and lines."""

import re

import pytest

from api.pages.rendering import STATIC

SHEET = (STATIC / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in (SHEET.split("@media (prefers-color-scheme: dark)")[0], SHEET.split("dark) {")[1])
)

TEXT = [
    *((colour, back) for colour in ("text", "faint", "accent", "bad") for back in ("page", "card")),
    *((state, f"{state}-back") for state in ("good", "bad", "busy", "wait", "idle")),
    ("on-accent", "accent"),
]
EDGES = [(colour, back) for colour in ("field", "first", "second", "accent") for back in ("page", "card")]


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_stand_out_from_what_is_behind_them(theme: dict[str, str]) -> None:
    for pairs, least in ((TEXT, 4.5), (EDGES, 3.0)):
        for colour, back in pairs:
            dark, light = sorted((luminance(theme[colour]), luminance(theme[back])))
            assert (light + 0.05) / (dark + 0.05) >= least, f"{colour} on {back}"
