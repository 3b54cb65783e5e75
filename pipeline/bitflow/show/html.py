"""HTML pages: one file each, without scripts or anything from a network. look.css.j2 has their style."""

from __future__ import annotations

import base64
import io
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["picture", "png", "render"]

# Viridis at its quarters, from low to high: brighter is larger, which is also visible without colours.
_SHADES = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])


def render(package: str, template: str, **values: Any) -> str:
    """A page from a template of `package`. The values are text, never markup."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "") for name in (package, "bitflow.show")]),
        autoescape=True,  # names of classes, networks and boards are not trusted
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def picture(image: npt.NDArray[Any], side: int) -> str:
    """An image uint8 or int8 [H, W, C] as a data URI, its longer side at most `side`; smaller images keep their pixels.

    Signed pixels are shifted to 0..255. An image of height 1 with several channels is shown as features over time: one
    column per step, one row per feature with the first at the bottom, each scaled from its lowest to its highest value.
    """
    if image.shape[0] == 1 and image.shape[2] > 1:
        found = Image.fromarray(_features(image[0]))
    else:
        pixels = (image.astype(np.int16) + 128 if image.dtype == np.int8 else image).astype(np.uint8)
        found = Image.fromarray(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0])
    found.thumbnail((side, side))
    file = io.BytesIO()
    found.save(file, "PNG")
    return png(file.getvalue())


def png(content: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _features(steps: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Colours [features, steps, 3] of values [steps, features].

    Each feature has its own range: in sounds the first is the loudness, beside which the others would look flat.
    """
    values = steps.T[::-1].astype(float)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    places = (values - low) / np.maximum(high - low, 1) * (len(_SHADES) - 1)
    grades = [np.interp(places, range(len(_SHADES)), _SHADES[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(grades, axis=-1)), np.uint8)
