"""Tell two spirals apart: batches by NumPy, a compiled step, a checkpoint for NumPy.

usage: spirals_jax.py CHECKPOINT.npz
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

EXAMPLES, HELD_OUT, BATCH, EPOCHS, WIDTH = 1536, 512, 128, 4, 32


def spirals(count, rng):
    labels = rng.integers(0, 2, count)
    turn = 3 * np.sqrt(rng.random(count))
    angle = turn + np.pi * labels
    points = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1)
    return points + rng.normal(scale=0.05, size=points.shape), labels


def batches(points, labels, rng):
    order = rng.permutation(len(points))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield points[chosen], labels[chosen]


def fresh(key):
    first, second = jax.random.split(key)
    return {
        "in": {"w": jax.random.normal(first, (2, WIDTH)), "b": jnp.zeros(WIDTH)},
        "out": {"w": jax.random.normal(second, (WIDTH, 2)) * 0.1, "b": jnp.zeros(2)},
    }


def logits(params, points):
    hidden = jnp.tanh(points @ params["in"]["w"] + params["in"]["b"])
    return hidden @ params["out"]["w"] + params["out"]["b"]


def loss(params, points, labels):
    chosen = jax.nn.log_softmax(logits(params, points))
    return -jnp.mean(jnp.take_along_axis(chosen, labels[:, None], axis=1))


@jax.jit
def step(params, points, labels):
    value, slope = jax.value_and_grad(loss)(params, points, labels)
    return jax.tree.map(lambda p, g: p - 0.5 * g, params, slope), value


@jax.jit
def accuracy(params, points, labels):
    return jnp.mean(jnp.argmax(logits(params, points), axis=1) == labels)


def main():
    rng = np.random.default_rng(7)
    points, labels = spirals(EXAMPLES + HELD_OUT, rng)
    held_out = jnp.asarray(points[EXAMPLES:])
    answers = jax.device_put(labels[EXAMPLES:].astype(np.int32))
    points, labels = points[:EXAMPLES], labels[:EXAMPLES]
    params = fresh(jax.random.key(0))
    for epoch in range(EPOCHS):
        for some, their in batches(points, labels, rng):
            params, value = step(params, some, their)
        right = accuracy(params, held_out, answers)
        print(f"epoch {epoch}: loss {float(value):.6f}, {right.item():.4f} right")
    flat = {f"{a}.{b}": np.asarray(leaf) for a, of in params.items() for b, leaf in of.items()}
    guesses = np.array(jnp.argmax(logits(params, held_out), axis=1))
    np.savez(sys.argv[1], guesses=guesses, **flat)
    print("kept", len(flat), "arrays;", guesses.tolist().count(1), "ones")


if __name__ == "__main__":
    main()
