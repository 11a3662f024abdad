"""Pictures that a result's JSON holds: PNG in base64."""

import base64
import io

from PIL import Image


def pack(image: Image.Image) -> str:
    """The picture as text."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def unpack(text: str) -> Image.Image:
    """Inverse of `pack`."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as png:
        return png.copy()
