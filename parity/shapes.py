"""Generated photographs of five shapes. Only the shape decides the class.

A shape is filled or an outline, dark before a bright background or bright before a dark one, and of any colour. It has
any angle and is not in the middle. The background has texture, lines and dots. Sides are 200 to 640 pixels. Of ten
files one is grey, one CMYK, one turned by EXIF data and one a PNG.
"""
import numpy as np
from PIL import Image, ImageDraw


def corners(count, inner=None):
    """The corners of a regular polygon, or of a star with this inner radius: complex numbers."""
    angles = np.exp(2j * np.pi * np.arange(count) / count)
    return angles if inner is None else np.stack([angles, inner * angles * np.exp(1j * np.pi / count)], 1).ravel()


SHAPES = {
    "circle": 0.85 * corners(90),
    "cross": np.outer(corners(4), [1 - 0.3j, 1 + 0.3j, 0.3 + 0.3j]).ravel(),
    "square": corners(4),
    "star": corners(5, inner=0.42),
    "triangle": corners(3),
}


def write(folder, count, seed):
    """Writes `count` photographs of each shape, in a folder for each class. Another seed gives others."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for index in range(count):
            save(scene(shape, rng), folder / shape / f"{index:04}", index % 10)


def save(image, path, kind):
    """Saves a photograph as one of ten kinds."""
    exif = Image.Exif()
    if kind == 3:
        image = image.convert("L")
    elif kind == 5:
        image = image.convert("CMYK")
    elif kind == 7:
        exif[0x0112] = 6  # The orientation: to be turned by 90 degrees.
    elif kind == 8:
        return image.save(path.with_suffix(".png"), compress_level=1)
    return image.save(path.with_suffix(".jpg"), quality=90, exif=exif)


def scene(shape, rng):
    """A photograph."""
    size = width, height = tuple(map(int, rng.integers(200, 641, 2)))
    levels = [(30, 100), (150, 220)]
    rng.shuffle(levels)
    front, back = (textured(size, rng.uniform(*level, 3), rng) for level in levels)
    clutter(back, rng)
    image = Image.composite(front, back, mask(shape, size, rng))
    light = np.linspace(-20, 20, width)[:, None] * rng.uniform(-1, 1)
    noise = rng.integers(-6, 7, (height, width, 1), np.int8)
    return Image.fromarray(np.clip(np.asarray(image) + light.astype(np.int16) + noise, 0, 255).astype(np.uint8))


def textured(size, colour, rng):
    """Smooth blots of any size, whose colours resemble this one."""
    side = int(rng.integers(2, 12))
    blots = np.clip(colour + rng.normal(0, 15, (side, side, 3)), 0, 255)
    return Image.fromarray(blots.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def clutter(image, rng):
    """Draws a few lines and dots, whose colours resemble those below them."""
    draw, side = ImageDraw.Draw(image), min(image.size)
    for _ in range(rng.integers(3, 9)):
        x, y = (int(rng.integers(length)) for length in image.size)
        colour = np.clip(image.getpixel((x, y)) + rng.uniform(-45, 45, 3), 0, 255)
        colour = tuple(map(int, colour))
        if rng.random() < 0.5:
            dx, dy = rng.uniform(-0.5, 0.5, 2) * side
            draw.line((x, y, x + dx, y + dy), colour, int(side * rng.uniform(0.005, 0.025)) + 1)
        else:
            radius = side * rng.uniform(0.01, 0.05)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def mask(shape, size, rng):
    """An image that is white where the shape is."""
    middle, side = complex(*size) / 2, min(size)
    middle += side * complex(*rng.uniform(-0.08, 0.08, 2))
    turned = side * rng.uniform(0.24, 0.34) * np.exp(2j * np.pi * rng.random()) * SHAPES[shape]
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for scale, level in [(1, 255), (0.6, 0)] if rng.random() < 0.4 else [(1, 255)]:
        draw.polygon([(point.real, point.imag) for point in middle + scale * turned], fill=level)
    return image
