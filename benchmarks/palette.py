"""A colour for each codec, the same in every figure."""

# Okabe and Ito's set, which the colour-blind tell apart, its orange darkened to show on white.
COLOURS = {
    "hqcodec": "#d55e00",
    "jpeg": "#808080",
    "jpeg444": "#a8a29a",
    "webp": "#009e73",
    "avif": "#0072b2",
    "jxl": "#56b4e9",
    "jpeg2000": "#b88200",
    "opus": "#0072b2",
    "mp3": "#808080",
    "vorbis": "#009e73",
}
FURTHER = "#cc79a7"  # our curves by other decoders
UNKNOWN = "#7a6f9b"  # codecs that are not in the list


def colour(codec: str, ours: bool) -> str:
    """#rrggbb of a curve and its name."""
    return COLOURS.get(codec, FURTHER if ours else UNKNOWN)
