"""The work a model has to do, counted from its config.json: what any program must multiply or read, whatever it does
beyond that (padding rows, recomputation) being its own loss. Products only: 2 operations per multiplication and
addition; norms, softmax and activations are left out."""
import json
import os


class Shape:
    """The sizes of config.json under short names."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        text, vision = config["text_config"], config["vision_config"]
        self.hidden, self.ffn, self.vocab = text["hidden_size"], text["intermediate_size"], text["vocab_size"]
        self.kv = self.hidden // text["num_attention_heads"] * text["num_key_value_heads"]
        layers, cross = text["num_hidden_layers"], set(text["cross_attention_layers"])
        self.n_cross, self.n_self = len(cross), layers - len(cross)
        # Cross-attention after the last self-attention layer, which hands on the rows alone whose logits are asked for.
        self.n_late = layers - 1 - max(layer for layer in range(layers) if layer not in cross)
        self.width, self.vision_ffn = vision["hidden_size"], vision["intermediate_size"]
        self.patch = vision["patch_size"]
        self.vision_layers = vision["num_hidden_layers"] + vision["num_global_layers"]
        self.tile_states = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
        self.features = self.width * (1 + len(vision["intermediate_layers_indices"]))


def seen(rows):
    """Keys that rows see of their own sequence, all together."""
    return rows * (rows + 1) / 2


def text_flops(s, rows, image_rows, states, out_rows):
    """One sequence of `rows` tokens, the last `image_rows` of which see `states` image states; logits after the last
    `out_rows`. In the last self-attention layer other rows are keys and values only, and after it nothing."""
    layer, out_image_rows = 2 * s.hidden * s.hidden + 3 * s.hidden * s.ffn, min(image_rows, out_rows)
    own = s.n_self * rows * 2 * s.hidden * s.kv + ((s.n_self - 1) * rows + out_rows) * layer
    cross_rows = (s.n_cross - s.n_late) * image_rows + s.n_late * out_image_rows
    cross = cross_rows * layer + s.n_cross * states * 2 * s.hidden * s.kv
    keys = (s.n_self - 1) * seen(rows) + seen(rows) - seen(rows - out_rows) + cross_rows * states
    return 2 * (own + cross + 2 * s.hidden * keys + out_rows * s.hidden * s.vocab)


def patch_flops(s, tiles):
    return 2 * tiles * (s.tile_states - 1) * 3 * s.patch ** 2 * s.width


def vision_flops(s, tiles):
    """One image of `tiles` tiles, up to the states that the text sees."""
    rows = tiles * s.tile_states
    layer = rows * (4 * s.width ** 2 + 2 * s.width * s.vision_ffn) + 2 * s.width * rows ** 2
    return patch_flops(s, tiles) + 2 * (s.vision_layers * layer + rows * s.features * s.hidden)


def prefill_flops(s, rows, image_rows, tiles):
    return vision_flops(s, tiles) + text_flops(s, rows, image_rows, tiles * s.tile_states, 1)


def train_flops(s, rows, image_rows, tiles, targets):
    """Forward and backward of one example: every product has two in return, but for the pixels, which learn nothing."""
    forward = vision_flops(s, tiles) + text_flops(s, rows, image_rows, tiles * s.tile_states, targets)
    return 3 * forward - patch_flops(s, tiles)


def decode_bytes(s, context, tiles, width=2):
    """Read for one token at `context` tokens: the matrices it passes through and the cached keys and values, each of
    `width` bytes, the checkpoint's own."""
    mlp, square = 3 * s.hidden * s.ffn, 2 * s.hidden * s.hidden
    matrices = s.n_self * (square + 2 * s.hidden * s.kv + mlp) + s.n_cross * (square + mlp) + s.hidden * s.vocab
    cache = 2 * s.kv * (s.n_self * context + s.n_cross * tiles * s.tile_states)
    return width * (matrices + cache)
