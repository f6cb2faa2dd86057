"""Rendered heads: the stand-in for the face images.

Each head is a height field z(x, y), a sum of smooth bumps whose sizes and places are drawn once
for each person, painted with an albedo map (skin, hair, brows, eyes, lips, beard). A distant lamp
lights it as a matt surface: Lambert's law gives the attached shadows, a walk towards the lamp the
cast ones.

Coordinates: x to the right of the picture, y up, z towards the camera; the picture is 2 wide.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

HEIGHT, WIDTH = 48, 42  # pixels
NUM_PEOPLE = 38
NUM_IMAGES = 2414  # the last people are short of one lamp: 20 x 64 + 18 x 63
SUPERSAMPLING = 2  # rays per pixel, along each side
SEED = 38

# Lamps: elevation -> azimuths, in degrees. Each azimuth stands for two lamps, left and right.
LAMPS = {
    90: (0,),
    65: (0, 40, 90),
    45: (0, 20, 45, 75, 110),
    20: (0, 10, 25, 40, 60, 85, 110),
    10: (0, 5, 15, 50, 95),
    0: (0, 10, 20, 35, 60, 90, 130),
    -20: (0, 10, 30, 60, 110),
    -40: (0, 35, 70),
}
AMBIENT = 0.03  # light from everywhere, as a share of the lamp's
EXPOSURE = 235.0  # grey level of white paper facing the lamp
PENUMBRA = 0.06  # depth over which a cast shadow fades in, in half-widths of the picture

# The parts of a face: mean and standard deviation over people, in half-widths of the picture.
PROPORTIONS = {
    "head_width": (1.16, 0.06),
    "head_height": (1.55, 0.06),
    "head_depth": (1.00, 0.08),
    "jaw": (0.10, 0.04),  # how fast the face narrows towards the chin
    "turn": (0.00, 0.03),  # where the middle of the face is
    "tilt": (0.00, 0.02),  # radians
    "brow_ridge": (0.07, 0.03),
    "brow_gap": (0.23, 0.025),  # from the eye up to the brow
    "brow_arch": (0.06, 0.04),
    "brow_thickness": (0.050, 0.014),
    "brow_darkness": (0.75, 0.15),
    "socket_depth": (0.17, 0.03),
    "eye_x": (0.49, 0.025),
    "eye_y": (0.55, 0.02),
    "eye_width": (0.20, 0.015),
    "eye_opening": (0.085, 0.015),
    "cheekbone": (0.08, 0.03),
    "nose_height": (0.30, 0.04),
    "nose_width": (0.17, 0.02),
    "nose_tip_y": (-0.10, 0.04),
    "nostril_x": (0.16, 0.02),
    "mouth_y": (-0.60, 0.03),
    "mouth_width": (0.37, 0.04),
    "lip_thickness": (0.075, 0.015),
    "smile": (0.01, 0.025),  # how far the corners rise
    "muzzle": (0.12, 0.03),
    "chin": (0.16, 0.05),
    "skin": (0.66, 0.12),  # albedo
    "freckles": (0.02, 0.008),
    "hair": (0.16, 0.09),  # albedo
    "hairline": (1.20, 0.14),
    "beard": (-0.15, 0.40),  # below zero: shaved
}


class RenderedFaces(NamedTuple):
    images: np.ndarray  # uint8 (2414, 48, 42)
    person: np.ndarray  # int (2414,), 0 to 37
    light: np.ndarray  # float (2414, 3), unit vector from the head to the lamp


def _bump(x, y, width, height):
    """Gaussian bump of height 1 at the origin."""
    return np.exp(-0.5 * ((x / width) ** 2 + (y / height) ** 2))


def _step(t, softness=0.02):
    """0 where t is well below zero, 1 where well above, smooth in between."""
    return 0.5 * (1 + np.tanh(t / softness))


def lamp_directions():
    """Unit vectors to the 64 lamps, float (64, 3), the most frontal first."""
    angles = np.radians(
        [(side, up) for up, sides in LAMPS.items() for a in sides for side in sorted({a, -a})]
    )
    azimuth, elevation = angles.T
    level = np.cos(elevation)
    light = np.stack([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)], axis=1)
    return light[np.argsort(-light[:, 2], kind="stable")]


def draw_people(rng):
    """The proportions of every person: a dict of float (38, 1, 1), at most two deviations off."""
    shape = (NUM_PEOPLE, 1, 1)
    return {
        name: mean + spread * np.clip(rng.standard_normal(shape), -2, 2)
        for name, (mean, spread) in PROPORTIONS.items()
    }


def _mouth_line(p, x):
    """Height at which the lips meet; the corners rise by `smile`."""
    return p["mouth_y"] + p["smile"] * np.minimum((x / p["mouth_width"]) ** 2, 1.5)


def _shape(p, x, y):
    """Height field of every head, (38, h, w)."""
    ax = np.abs(x)
    narrowing = 1 + p["jaw"] * np.clip(-y, 0, None) ** 2
    inside = 1 - (ax * narrowing / p["head_width"]) ** 2.6 - (np.abs(y) / p["head_height"]) ** 2.6
    z = p["head_depth"] * np.sqrt(np.maximum(inside, 0.0))
    z += np.minimum(inside, 0.0)  # beyond the outline the surface falls away
    brow_y = p["eye_y"] + p["brow_gap"]
    z += p["brow_ridge"] * _bump(ax - 0.38, y - brow_y, 0.28, 0.09)
    z -= p["socket_depth"] * _bump(ax - p["eye_x"] + 0.04, y - p["eye_y"], 0.20, 0.14)
    z += 0.07 * _bump(ax - p["eye_x"], y - p["eye_y"], 0.13, 0.08)  # eyeball
    z += p["cheekbone"] * _bump(ax - 0.58, y - 0.12, 0.22, 0.18)
    z -= 0.06 * _bump(ax - 0.62, y + 0.42, 0.16, 0.25)  # hollow of the cheek

    # The nose rises along a straight line from the bridge to the tip and ends under it.
    along = (p["eye_y"] + 0.12 - y) / (p["eye_y"] + 0.12 - p["nose_tip_y"])  # 0 bridge, 1 tip
    profile = np.clip(along, 0, None) * _step(1.08 - along, 0.12)
    nose_width = p["nose_width"] * (0.5 + 0.5 * np.clip(along, 0, 1))
    z += p["nose_height"] * profile * _bump(ax, 0, nose_width, 1)
    z += 0.06 * _bump(ax, y - p["nose_tip_y"], 0.09, 0.08)
    wing_y = p["nose_tip_y"] - 0.03
    z += 0.09 * _bump(ax - p["nostril_x"] - 0.03, y - wing_y, 0.055, 0.065)

    # The muzzle; on it the lips, a groove between them, one below and one above; then the chin.
    mouth_y = _mouth_line(p, x)
    z += p["muzzle"] * _bump(ax, y - p["mouth_y"] - 0.05, 0.36, 0.28)
    z += 0.07 * _bump(ax, y - mouth_y - p["lip_thickness"], p["mouth_width"] * 0.6, 0.05)
    z += 0.09 * _bump(ax, y - mouth_y + p["lip_thickness"], p["mouth_width"] * 0.5, 0.06)
    z -= 0.05 * _bump(ax, y - mouth_y, p["mouth_width"] * 0.7, 0.03)
    z -= 0.06 * _bump(ax, y - p["mouth_y"] + 0.23, 0.25, 0.06)
    z -= 0.03 * _bump(ax, y - p["mouth_y"] - 0.25, 0.04, 0.09)
    z += p["chin"] * _bump(ax, y - p["mouth_y"] + 0.42, 0.26, 0.15)
    return z


def _paint(p, x, y, rng):
    """Albedo of every head, (38, h, w)."""
    ax = np.abs(x)
    grain = rng.standard_normal(np.broadcast_shapes(x.shape, y.shape))
    grain = ndimage.gaussian_filter(grain, (0, SUPERSAMPLING, SUPERSAMPLING))
    albedo = p["skin"] + p["freckles"] * grain / grain.std()

    def cover(mask, value):
        nonlocal albedo
        albedo = albedo + mask * (value - albedo)

    beard = _step(1 - np.hypot(ax / 0.55, (y - p["mouth_y"] + 0.12) / 0.45), 0.2)
    cover(np.clip(p["beard"], 0, 0.7) * beard, p["hair"])

    mouth_y = _mouth_line(p, x)
    inside = _step(p["mouth_width"] - ax, 0.04)
    lip = p["lip_thickness"] * 1.7 * np.sqrt(np.clip(1 - (x / p["mouth_width"]) ** 2, 0, 1))
    cover(0.8 * inside * _step(lip - np.abs(y - mouth_y), 0.025), 0.68 * p["skin"])
    cover(0.8 * inside * _bump(0, y - mouth_y, 1, 0.022), 0.08)
    cover(0.75 * _bump(ax - p["nostril_x"] * 0.6, y - p["nose_tip_y"] + 0.12, 0.045, 0.03), 0.05)

    ex, ey = ax - p["eye_x"], y - p["eye_y"]
    lid = p["eye_opening"] * np.clip(1 - (ex / p["eye_width"]) ** 2, 0, 1)  # almond half-height
    opening = _step(lid - np.abs(ey) - 0.01, 0.015)
    cover(opening, 0.85)
    cover(opening * _step(0.085 - np.hypot(ex, ey - 0.01), 0.015), 0.10)
    lashes = _step(p["eye_width"] * 1.05 - np.abs(ex), 0.02) * _bump(0, ey - lid, 1, 0.025)
    cover(0.7 * lashes, 0.08)
    cover(0.3 * _step(p["eye_width"] - np.abs(ex), 0.04) * _bump(0, ey - lid - 0.07, 1, 0.02), 0.2)

    brow_y = p["eye_y"] + p["brow_gap"] + p["brow_arch"] * (1 - ((ax - 0.5) / 0.3) ** 2)
    thickness = p["brow_thickness"] * (1.3 - 0.7 * ax)
    brow = _step(0.27 - np.abs(ax - 0.46), 0.05) * _bump(0, y - brow_y, 1, thickness)
    cover(np.clip(p["brow_darkness"], 0, 0.95) * brow, p["hair"])

    strands = ndimage.gaussian_filter1d(rng.standard_normal((NUM_PEOPLE, 1, x.shape[-1])), 1.5)
    hairline = p["hairline"] - 0.35 * ax**3 + 0.10 * strands
    cover(_step(y - hairline, 0.05), p["hair"] * (1 + 0.8 * strands))
    return np.clip(albedo, 0.03, 0.95)


def _normals(z, pixel):
    """Unit normals of the height fields z of shape (n, h, w): (3, n, h, w)."""
    down, right = np.gradient(z, pixel, axis=(1, 2))
    normals = np.stack([-right, down, np.ones_like(z)])
    return normals / np.linalg.norm(normals, axis=0)


def _visible(z, light, pixel):
    """How much of the lamp each point sees, 0 to 1: walk towards it, look for higher ground."""
    h, w = z.shape[1:]
    across = np.hypot(light[0], light[1])
    reach = h // 3  # pixels: as far as the nose's shadow falls
    padded = np.pad(z, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    blocked = np.zeros_like(z)
    for step in range(1, reach if across > 1e-9 else 0):
        right, up = np.rint(step * light[:2] / across).astype(int)
        ground = padded[:, reach - up : reach - up + h, reach + right : reach + right + w]
        ray = z + step * pixel * light[2] / across
        np.maximum(blocked, ground - ray, out=blocked)
    return 1 - np.clip(blocked / PENUMBRA, 0, 1)


def _shade(z, normals, light, pixel):
    """Light that each point receives, in units of the lamp's; Lambert's law, max(0, n . light)."""
    lambert = np.maximum(np.tensordot(light, normals, 1), 0)
    return AMBIENT + lambert * _visible(z, light, pixel)


def render_faces():
    """Render the 2414 images, person by person, each person's most frontal lamp first.

    Returns
    -------
    RenderedFaces
        `images` uint8 (2414, 48, 42), `person` int (2414,) and `light` float64 (2414, 3).
    """
    rng = np.random.default_rng(SEED)
    h, w = HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING
    pixel = 2 / w
    x = (np.arange(w) - (w - 1) / 2) * pixel  # (w,)
    y = (((h - 1) / 2 - np.arange(h)) * pixel)[:, None]  # (h, 1)
    p = draw_people(rng)
    face_x, face_y = x - p["turn"] + p["tilt"] * y, y - p["tilt"] * x  # (38, h, w)
    z = _shape(p, face_x, face_y).astype(np.float32)
    albedo = _paint(p, face_x, face_y, rng).astype(np.float32)

    normals = _normals(z, pixel)
    lights = lamp_directions().astype(np.float32)
    images = np.empty((NUM_PEOPLE, len(lights), HEIGHT, WIDTH), np.uint8)
    for i, light in enumerate(lights):
        grey = EXPOSURE * albedo * _shade(z, normals, light, pixel)  # (38, h, w)
        grey = grey.reshape(NUM_PEOPLE, HEIGHT, SUPERSAMPLING, WIDTH, SUPERSAMPLING).mean((2, 4))
        images[:, i] = np.rint(np.clip(grey, 0, 255))

    person, lamp = np.divmod(np.arange(NUM_PEOPLE * len(lights)), len(lights))
    missing = NUM_PEOPLE * len(lights) - NUM_IMAGES
    kept = (lamp < len(lights) - 1) | (person < NUM_PEOPLE - missing)
    return RenderedFaces(
        images.reshape(-1, HEIGHT, WIDTH)[kept], person[kept], lights[lamp[kept]].astype(np.float64)
    )
