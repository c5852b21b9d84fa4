"""The demonstration's network in JAX: a pre-norm Mixture-of-Experts ViT, with the checkpoint's own tensor names.

All experts are computed for every token and the scores of those not chosen are zero: the same sums as with routing,
in the form that a compiler for CPUs runs fastest.
"""

import jax
import jax.numpy as jnp
import numpy as np


def sizes(architecture):
    """The few numbers that the functions below need."""
    image, encoder, moe = architecture["image"], architecture["encoder"], architecture["moe"]
    return dict(
        patch=image["patch"],
        grid=image["height"] // image["patch"],
        dim=encoder["dim"],
        depth=encoder["depth"],
        heads=encoder["heads"],
        hidden=encoder["mlp_hidden"],
        eps=encoder["norm_eps"],
        experts=moe["experts"],
        k=moe["k"],
        expert_hidden=moe["expert_hidden"],
        mean=image["mean"][0],
        std=image["std"][0],
    )


def _position_table(grid, dim):
    """Sines and cosines of the patch's row and column: a start that already knows the geometry."""
    frequency = 1.0 / 30.0 ** (np.arange(dim // 4) / (dim // 4))
    row, column = np.divmod(np.arange(grid * grid), grid)
    angles = [np.outer(at * 1.5, frequency) for at in (row, column)]
    table = np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1)
    return 0.3 * np.concatenate([np.zeros((1, dim)), table])[None]


def init(s, rng):
    """Fresh parameters, keyed by tensor name."""
    d, p = s["dim"], {}

    def linear(name, outputs, inputs, shape=()):
        limit = np.sqrt(6.0 / (outputs + inputs))
        p[f"{name}.weight"] = rng.uniform(-limit, limit, (*shape, outputs, inputs))
        p[f"{name}.bias"] = np.zeros((*shape, outputs))

    def norm(name):
        p[f"{name}.weight"], p[f"{name}.bias"] = np.ones(d), np.zeros(d)

    linear("patch_embed.proj", d, s["patch"] ** 2)
    p["patch_embed.proj.weight"] = p["patch_embed.proj.weight"].reshape(d, 1, s["patch"], s["patch"])
    p["cls_token"] = rng.normal(0, 0.02, (1, 1, d))
    p["pos_embed"] = _position_table(s["grid"], d)
    for b in range(s["depth"]):
        norm(f"blocks.{b}.norm1")
        norm(f"blocks.{b}.norm2")
        linear(f"blocks.{b}.attn.qkv", 3 * d, d)
        linear(f"blocks.{b}.attn.proj", d, d)
        if b % 2 == 0:
            linear(f"blocks.{b}.mlp.fc1", s["hidden"], d)
            linear(f"blocks.{b}.mlp.fc2", d, s["hidden"])
            continue
        linear(f"blocks.{b}.mlp.experts.htoh4", s["expert_hidden"], d, (s["experts"],))
        linear(f"blocks.{b}.mlp.experts.h4toh", d, s["expert_hidden"], (s["experts"],))
        for task in range(2):
            p[f"blocks.{b}.mlp.gate.{task}.w_gate"] = rng.normal(0, 0.05, (d, s["experts"]))
    for task, outputs in enumerate((10, s["patch"] ** 2)):
        norm(f"heads.{task}.norm")
        linear(f"heads.{task}.proj", outputs, d)
    return {name: jnp.asarray(value, jnp.float32) for name, value in p.items()}


def _norm(p, name, x, eps):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]


def _linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _gelu(x):
    return 0.5 * x * (1.0 + jax.lax.erf(x * np.float32(np.sqrt(0.5))))


def _attention(p, name, x, s):
    batch, tokens, dim = x.shape
    qkv = _linear(p, f"{name}.qkv", x).reshape(batch, tokens, 3, s["heads"], -1)
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    scores = q @ k.transpose(0, 1, 3, 2) * (dim // s["heads"]) ** -0.5
    context = jax.nn.softmax(scores) @ v
    return _linear(p, f"{name}.proj", context.transpose(0, 2, 1, 3).reshape(batch, tokens, dim))


def _scores(p, name, x, task, k):
    """Softmax over all experts, top-k kept, not renormalised; and the load-balancing loss of both tasks."""
    gates = jnp.stack([p[f"{name}.gate.{t}.w_gate"] for t in range(2)])
    probability = jax.nn.softmax(jnp.einsum("btd,bde->bte", x, gates[task]))
    experts = probability.shape[-1]
    _, chosen = jax.lax.top_k(probability, k)
    kept = jax.nn.one_hot(chosen, experts).sum(2)
    balance = 0.0
    for t in range(2):
        weight = (task == t).astype(jnp.float32)[:, None]
        count = jnp.maximum(weight.sum(), 1.0)
        load = (kept.mean(1) * weight).sum(0) / count / k
        importance = (probability.mean(1) * weight).sum(0) / count
        balance += experts * (load * importance).sum()
    return probability * kept, balance


def _experts(p, name, x, scores):
    """Every expert's MLP as two wide matrix products."""
    up, down = p[f"{name}.experts.htoh4.weight"], p[f"{name}.experts.h4toh.weight"]
    experts, hidden, dim = up.shape
    h = x @ up.reshape(experts * hidden, dim).T + p[f"{name}.experts.htoh4.bias"].reshape(-1)
    h = _gelu(h).reshape(*x.shape[:2], experts, hidden) * scores[..., None]
    y = h.reshape(*x.shape[:2], -1) @ down.transpose(0, 2, 1).reshape(experts * hidden, dim)
    return y + scores @ p[f"{name}.experts.h4toh.bias"]


def _patches(images, s):
    g, size = s["grid"], s["patch"]
    x = (images.astype(jnp.float32) / 255.0 - s["mean"]) / s["std"]
    return x.reshape(-1, g, size, g, size).transpose(0, 1, 3, 2, 4).reshape(-1, g * g, size * size)


def encode(p, images, task, s):
    """Tokens [batch, 1 + patches, dim] after the last block, and the load-balancing loss; `task` is a number an image."""
    x = _patches(images, s) @ p["patch_embed.proj.weight"].reshape(s["dim"], -1).T + p["patch_embed.proj.bias"]
    x = jnp.concatenate([jnp.broadcast_to(p["cls_token"], (len(x), 1, s["dim"])), x], 1) + p["pos_embed"]
    balance = 0.0
    for b in range(s["depth"]):
        name = f"blocks.{b}"
        x = x + _attention(p, f"{name}.attn", _norm(p, f"{name}.norm1", x, s["eps"]), s)
        y = _norm(p, f"{name}.norm2", x, s["eps"])
        if b % 2 == 0:
            x = x + _linear(p, f"{name}.mlp.fc2", _gelu(_linear(p, f"{name}.mlp.fc1", y)))
        else:
            scores, loss = _scores(p, f"{name}.mlp", y, task, s["k"])
            x, balance = x + _experts(p, f"{name}.mlp", y, scores), balance + loss
    return x, balance


def digit_logits(p, tokens, s):
    return _linear(p, "heads.0.proj", _norm(p, "heads.0.norm", tokens[:, 0], s["eps"]))


def boundary_logits(p, tokens, s):
    """One logit a pixel: [batch, 28, 28]; a patch's channel is row * 4 + column."""
    g, size = s["grid"], s["patch"]
    cells = _linear(p, "heads.1.proj", _norm(p, "heads.1.norm", tokens[:, 1:], s["eps"]))
    return cells.reshape(-1, g, g, size, size).transpose(0, 1, 3, 2, 4).reshape(-1, g * size, g * size)
