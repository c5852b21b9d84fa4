"""Trains the demonstration model and writes everything that is committed beside this file.

    pip install numpy jax optax safetensors pillow mlxtend
    python demo/train.py            # about 13 minutes on two busy cores; --steps 200 for a quick look

Every random number comes from one seed, so a second run on the same machine gives the same files.
"""

import argparse
import json
import os
import time
import tomllib
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image
from safetensors.numpy import save_file

import digits
import network

HERE = Path(__file__).parent
SEED = 2024
DIGIT_BATCH = 64
BOUNDARY_BATCH = 24
PEAK_RATE = 2e-3
BALANCE_WEIGHT = 0.02
SHEET_COLUMNS = 25
CALIBRATION_IMAGES = 32
SINGLE_IMAGES = 16
EXPECTED_IMAGES = 2


def make_step(s, optimiser):
    task = jnp.concatenate([jnp.zeros(DIGIT_BATCH, jnp.int32), jnp.ones(BOUNDARY_BATCH, jnp.int32)])

    def loss_of(p, images, labels, edges):
        tokens, balance = network.encode(p, images, task, s)
        digit = optax.softmax_cross_entropy(
            network.digit_logits(p, tokens[:DIGIT_BATCH], s),
            optax.smooth_labels(jax.nn.one_hot(labels, digits.CLASSES), 0.05),
        )
        edge = optax.sigmoid_binary_cross_entropy(network.boundary_logits(p, tokens[DIGIT_BATCH:], s), edges)
        return digit.mean() + edge.mean() + BALANCE_WEIGHT * balance, (digit.mean(), edge.mean(), balance)

    @jax.jit
    def step(p, state, average, images, labels, edges):
        (_, parts), gradient = jax.value_and_grad(loss_of, has_aux=True)(p, images, labels, edges)
        update, state = optimiser.update(gradient, state, p)
        p = optax.apply_updates(p, update)
        average = jax.tree.map(lambda a, b: 0.99 * a + 0.01 * b, average, p)
        return p, state, average, parts

    return step


def make_optimiser(steps):
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK_RATE, min(200, steps // 5), steps, PEAK_RATE * 1e-3)
    decays = lambda p: {name: value.ndim > 1 and "embed" not in name for name, value in p.items()}
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=0.05, mask=decays)
    )


def batches(clean, labels, rng):
    """Distorted and corrupted training images for ever: digits first, then images for the boundary task."""
    count = DIGIT_BATCH + BOUNDARY_BATCH
    while True:
        order = rng.permutation(len(clean))
        for start in range(0, len(order) - count + 1, count):
            pick = order[start : start + count]
            warped = digits.distort(clean[pick], rng)
            edges = digits.boundary(digits.mask(warped[DIGIT_BATCH:]))
            yield digits.corrupt(warped, rng), labels[pick[:DIGIT_BATCH]], edges.astype(np.float32)


def train(s, clean, labels, steps, rng):
    p = network.init(s, rng)
    optimiser = make_optimiser(steps)
    state, average, step = optimiser.init(p), p, make_step(s, optimiser)
    start = time.time()
    for i, batch in zip(range(1, steps + 1), batches(clean, labels, rng)):
        p, state, average, parts = step(p, state, average, *batch)
        if i % 200 == 0 or i == steps:
            digit, edge, balance = (float(v) for v in parts)
            seconds = time.time() - start
            print(f"step {i}: digit {digit:.3f} boundary {edge:.3f} balance {balance:.2f}, {seconds:.0f} s", flush=True)
    return average


def outputs(p, images, task, s):
    """Tokens and head logits, 50 images at a time."""
    head = (network.digit_logits, network.boundary_logits)[task]

    @jax.jit
    def run(some):
        tokens, _ = network.encode(p, some, jnp.full(len(some), task), s)
        return tokens, head(p, tokens, s)

    parts = [run(images[i : i + 50]) for i in range(0, len(images), 50)]
    return [np.concatenate([np.asarray(part[j]) for part in parts]) for j in range(2)]


def evaluate(p, images, labels, edges, s):
    """Accuracy of the digits and F1 of the boundaries (all pixels of all images counted together)."""
    accuracy = float((outputs(p, images, 0, s)[1].argmax(1) == labels).mean())
    found = outputs(p, images, 1, s)[1] > 0.0
    hits, wrong = int((found & edges).sum()), int((found != edges).sum())
    return accuracy, 2 * hits / (2 * hits + wrong)


def save_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def sheet(images):
    """All images in one picture, raster order, SHEET_COLUMNS a row."""
    rows = len(images) // SHEET_COLUMNS
    side = digits.SIDE
    tiles = images.reshape(rows, SHEET_COLUMNS, side, side).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles.reshape(rows * side, SHEET_COLUMNS * side))


def write_images(test, test_masks, labels, calibration):
    save_png(HERE / "test" / "images.png", sheet(test))
    save_png(HERE / "test" / "labels.png", sheet(np.where(test_masks, 255, 0).astype(np.uint8)))
    (HERE / "test" / "classes.txt").write_text("".join(f"{label}\n" for label in labels))
    for i in range(SINGLE_IMAGES):
        save_png(HERE / "images" / f"digit_{i:02}_is_{labels[i]}.png", test[i])
    for i, image in enumerate(calibration):
        save_png(HERE / "calibration" / f"train_{i:02}.png", image)


def write_model(p, test, labels, edges, s, steps):
    """The weights as f16, what they give in f32, and the tokens of a few images."""
    half = {name: np.asarray(value).astype(np.float16) for name, value in p.items()}
    save_file(half, HERE / "model.safetensors")
    p = {name: jnp.asarray(value, jnp.float32) for name, value in half.items()}
    accuracy, f1 = evaluate(p, test, labels, edges, s)
    expected = {
        f"image{i}.task{task}.tokens": outputs(p, test[:EXPECTED_IMAGES], task, s)[0][i]
        for task in range(2)
        for i in range(EXPECTED_IMAGES)
    }
    save_file(expected, HERE / "expected.safetensors")
    record = {"images": len(test), "digit_accuracy": accuracy, "boundary_f1": f1, "steps": steps}
    (HERE / "accuracy.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    steps = parser.parse_args().steps
    s = network.sizes(tomllib.loads((HERE / "architecture.toml").read_text()))
    rng = np.random.default_rng(SEED)
    clean, labels = digits.load()
    train_at, test_at = digits.split(labels, rng)
    test, test_masks = digits.corrupt(clean[test_at], rng), digits.mask(clean[test_at])
    calibration = digits.corrupt(clean[rng.permutation(train_at)[:CALIBRATION_IMAGES]], rng)
    print(f"{len(train_at)} training images, {len(test_at)} test images", flush=True)
    p = train(s, clean[train_at], labels[train_at], steps, rng)
    write_images(test, test_masks, labels[test_at], calibration)
    write_model(p, test, labels[test_at], digits.boundary(test_masks), s, steps)


if __name__ == "__main__":
    main()
