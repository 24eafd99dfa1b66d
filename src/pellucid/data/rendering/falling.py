"""What falls or drifts in many small pieces: rain, snow, confetti, fireflies; and spectacles."""

from collections.abc import Sequence

import cv2
import numpy as np

from pellucid.data.rendering.cushions import CLEAR
from pellucid.data.rendering.fire import points_of_light
from pellucid.data.rendering.glass import window_light
from pellucid.data.rendering.glow import WARM
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import WHITE, Sketch, Stop, layer, over, ramp, smooth
from pellucid.data.rendering.vapour import WHITES
from pellucid.data.rendering.water import WATER

PARTY = (27.0, 55.0, 98.0, 142.0, 220.0, 260.0, 305.0, 350.0)
"""Hues of confetti."""
FRAMES: Sequence[Sequence[Stop]] = (
    ((0.0, 0.10, 0.0, 0.0), (0.6, 0.28, 0.01, 260), (1.0, 0.7, 0.01, 260)),
    ((0.0, 0.24, 0.06, 45), (0.6, 0.45, 0.09, 50), (1.0, 0.75, 0.07, 60)),
    ((0.0, 0.45, 0.09, 70), (0.5, 0.76, 0.14, 85), (1.0, 0.96, 0.08, 98)),
)


def rain(sketch: Sketch) -> Floats:
    """Paints slanting streaks of rain, near ones long and clear, far ones short and faint."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    slant = sketch.uniform(-0.35, 0.35)
    for _ in range(int(sketch.among(45, 90) * sketch.density)):
        near = sketch.uniform(0.2, 1.0)
        x, y, long = sketch.uniform(-1, 1), sketch.uniform(-1, 0.9), 0.1 + 0.25 * near
        way = np.array([(x, y), (x + slant * long, y + long)])
        line = np.rint((way + 1) / sketch.pixel * 16 - 8).astype(np.int32)
        thick = max(1, round(near * sketch.size_px / 90))
        cv2.polylines(field, [line], False, 0.25 + 0.55 * near, thick, cv2.LINE_AA, 4)
    field = sketch.blurred(field, 0.006)
    alpha = np.clip(field, 0, 0.9) * sketch.away_from_border(0.25)
    return layer(sketch.matte(WATER), 0.35 + 0.5 * field, alpha)


def snow(sketch: Sketch) -> Floats:
    """Paints falling flakes of snow, far ones sharp and small, near ones large and out of focus."""
    made = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    for size, soft, count in ((0.014, 0.008, 50), (0.03, 0.018, 24), (0.06, 0.035, 9)):
        field = np.zeros_like(made)
        for _ in range(int(count * sketch.density * sketch.uniform(0.6, 1.2))):
            place = [round((sketch.uniform(-0.95, 0.95) + 1) / sketch.pixel * 16) for _ in range(2)]
            radius = round(size * sketch.uniform(0.7, 1.3) / sketch.pixel * 16)
            cv2.circle(field, place, max(6, radius), sketch.uniform(0.6, 1), -1, cv2.LINE_AA, 4)
        made = np.maximum(made, sketch.blurred(field, soft))
    return layer(sketch.matte(WHITES), 0.55 + 0.4 * made, made * 0.95 * sketch.away_from_border(0.2))


def confetti(sketch: Sketch) -> Floats:
    """Paints tumbling pieces of coloured paper, of all colours or of one."""
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    own = sketch.matte(FRAMES) if sketch.colour else None
    for _ in range(sketch.among(25, 55)):
        hue = PARTY[sketch.among(0, len(PARTY) - 1)]
        colours = ramp(((0.0, 0.5, 0.16, hue), (1.0, 0.84, 0.15, hue))) if own is None else own
        angle, flat = sketch.uniform(0, 6.3), sketch.uniform(0.25, 1.0)
        size = sketch.uniform(0.04, 0.085)
        corners = np.array([(-1.0, -0.55), (1.0, -0.55), (1.0, 0.55), (-1.0, 0.55)]) * (size, size * flat)
        turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
        at = corners @ turn.T + sketch.rng.normal(0, 0.36, 2).clip(-0.82, 0.82)
        field = np.zeros((sketch.size_px, sketch.size_px), np.uint8)
        line = np.rint((at + 1) / sketch.pixel * 256 - 128).astype(np.int32)
        cv2.fillPoly(field, [line], 255, cv2.LINE_AA, 8)
        x, y, wide, high = cv2.boundingRect(field)
        spot = slice(y, y + high), slice(x, x + wide)
        piece = layer(
            colours, 0.2 + 0.7 * flat, field[spot].astype(np.float32) / 255 * sketch.uniform(0.75, 1)
        )
        made[spot] = over(piece, made[spot])
    return made


def fireflies(sketch: Sketch) -> Floats:
    """Paints a few small lights that float, each in a wide glow."""
    count = sketch.among(5, 14)
    points = sketch.rng.uniform(-0.72, 0.72, (count, 2))
    colours = sketch.shining(WARM)
    sharp = points_of_light(sketch, points, sketch.rng.uniform(0.015, 0.04, count), colours)
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    for x, y in points.tolist():
        away = np.hypot(sketch.x - x, sketch.y - y)
        field = np.maximum(field, 0.5 * smooth(1 - away / 0.24, 0.0, 1.0))
    return over(sharp, layer(colours, 0.2, field * sketch.away_from_border(0.12)))


def spectacles(sketch: Sketch) -> Floats:
    """Paints a pair of glasses from the front: clear lenses in a frame."""
    gap, radius, wide = sketch.uniform(0.4, 0.45), sketch.uniform(0.3, 0.36), sketch.uniform(0.035, 0.06)
    frame, tint = sketch.matte(FRAMES), ramp(CLEAR[sketch.among(0, 2)])
    squareness = sketch.uniform(2.0, 3.4)
    u, v = (np.abs(sketch.x) - gap) / radius, sketch.y / radius
    away = (np.abs(u) ** squareness + np.abs(v) ** squareness) ** (1 / squareness)
    lens = sketch.inside((1 - away) * radius)
    made = layer(tint, 0.75 - 0.2 * v, (0.16 + 0.22 * away**3) * lens * sketch.density**0.6)
    left = (sketch.x + np.where(sketch.x < 0, gap, -gap)) / radius
    sheen = smooth(0.16 - np.abs(left + v + 0.35), 0.0, 0.05) * 0.45 + 0.5 * window_light(left, v, size=0.12)
    made = over(layer(WHITE, 1.0, sheen * lens), made)
    ring = sketch.inside(wide / 2 - np.abs(away - 1) * radius)
    bridge_y = -0.08 + 0.25 * np.abs(sketch.x) ** 1.5
    bridge = sketch.inside(wide / 2 - np.abs(sketch.y - bridge_y)) * sketch.inside(
        gap - radius + 0.01 - np.abs(sketch.x)
    )
    end = np.abs(sketch.x) - gap - radius
    arms = sketch.inside(wide / 2 - np.abs(sketch.y + 0.07)) * sketch.inside(end) * sketch.inside(0.09 - end)
    solid = np.maximum(np.maximum(ring, bridge), arms)
    light = 0.5 - 0.5 * np.sin((away - 1) * radius / wide * 3) - 0.15 * v
    return over(layer(frame, light, solid), made)
