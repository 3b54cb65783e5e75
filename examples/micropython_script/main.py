# Two networks on MicroPython: each says what it sees in a camera's frame.
#
# On the board: lib/bitflow.mpy, which `bitflow flash --runtime micropython` puts there, digits.bfn, scene.bfn, and a
# camera.py of yours: WIDTH, HEIGHT, and functions that return the picture that the camera took last.
#
# SPDX-License-Identifier: MIT
import camera

import bitflow

networks = [bitflow.Model("digits.bfn"), bitflow.Model("scene.bfn")]
images = [bytearray(model.info()["input_bytes"]) for model in networks]


def look(frame, pixels):
    for model, image in zip(networks, images):
        model.picture(frame, camera.WIDTH, camera.HEIGHT, pixels, image)
        label = model.labels[model.predict(image)]
        print(model.info()["name"] + ":", label, *model.scores(image))


look(camera.rgb565(), bitflow.RGB565)
look(camera.gray(), bitflow.GRAY)
