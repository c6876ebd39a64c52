"""The picture of the demo: a lake among hills in the evening, drawn here so that no file of anybody's is needed."""

import io
import math
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["lake"]

WIDTH, HEIGHT = 1200, 800  # pixels
SHORE = 520  # pixels from the top: above it the hills, below it their mirror
SUN = (840, 300, 64)  # place and radius
SKY = ((0.0, (52, 86, 139)), (0.45, (240, 160, 120)), (0.65, (253, 214, 160)), (1.0, (250, 224, 190)))
HILLS = (  # from far to near: colour, height above the shore, how steep, where its waves begin
    ((139, 132, 160), 210, 150, 0.3),
    ((92, 99, 138), 140, 110, 2.1),
    ((48, 66, 96), 70, 80, 4.4),
)


def lake() -> bytes:
    """Return the picture as a JPEG."""
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(picture)
    for row in range(SHORE):
        draw.line((0, row, WIDTH, row), fill=_sky(row / SHORE))
    _draw_sun(picture)
    draw = ImageDraw.Draw(picture)
    for colour, high, steep, begin in HILLS:
        draw.polygon([(0, SHORE), *_ridge(high, steep, begin), (WIDTH, SHORE)], fill=colour)
    _draw_water(picture)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return data.getvalue()


def _sky(share: float) -> tuple[int, ...]:
    for (above, upper), (below, lower) in pairwise(SKY):
        if share <= below:
            part = (share - above) / (below - above)
            return tuple(round(a + (b - a) * part) for a, b in zip(upper, lower, strict=True))
    return SKY[-1][1]


def _draw_sun(picture: Image.Image) -> None:
    x, y, radius = SUN
    for size, softness, light in ((3 * radius, radius, 90), (radius, 2, 255)):
        glow = Image.new("L", picture.size)
        ImageDraw.Draw(glow).ellipse((x - size, y - size, x + size, y + size), fill=light)
        picture.paste((255, 240, 205), mask=glow.filter(ImageFilter.GaussianBlur(softness)))


def _ridge(high: int, steep: int, begin: float) -> list[tuple[int, float]]:
    """Return the upper edge of a range of hills: a few waves laid over each other."""
    waves = ((1.0, 2.3), (0.45, 5.9), (0.16, 17.0), (0.05, 53.0))

    def height(x: int) -> float:
        return high + steep * sum(size * math.sin(begin + often * 6 * x / WIDTH) for size, often in waves) / 2

    return [(x, SHORE - max(12.0, height(x))) for x in range(0, WIDTH + 4, 4)]


def _draw_water(picture: Image.Image) -> None:
    """Mirror what stands above the shore, darker and softer the nearer it comes, with a few bright ripples."""
    mirror = picture.crop((0, 2 * SHORE - HEIGHT, WIDTH, SHORE)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = Image.blend(mirror.filter(ImageFilter.BoxBlur(3)), Image.new("RGB", mirror.size, (40, 70, 104)), 0.35)
    picture.paste(water, (0, SHORE))
    draw = ImageDraw.Draw(picture)
    for number in range(60):
        y = SHORE + 8 + round(4.4 * number)
        x = SUN[0] + round(70 * math.sin(7.3 * number))
        draw.line((x - 12 - number, y, x + 12 + number, y), fill=(255, 214, 170), width=1 + number // 30)
