"""What the bench puts to a model: model directories with random weights, pictures, prompts. Nothing is downloaded and
everything is drawn from fixed seeds, so a peer reads the same files. Standard library only."""
import json
import os
import random
import shutil
import struct
import subprocess
import zlib

# "1b" has the decoder of Llama 3.2 1B with four cross-attention layers and a head of its own, as Llama 3.2 Vision has;
# its vision tower is of ViT-B's size. "tiny" is for trying the bench itself.
SHAPES = {
    "1b": {"text": (2048, 8192, 20, [3, 8, 13, 18], 32, 8, 128256),
           "vision": (768, 3072, 12, 12, 2, [3, 7]), "image": (224, 4)},
    "100m": {"text": (768, 2048, 12, [3, 8], 12, 4, 16384),
             "vision": (256, 1024, 4, 4, 1, [1]), "image": (112, 1)},
    "tiny": {"text": (64, 128, 4, [1], 4, 2, 1024),
             "vision": (32, 64, 2, 2, 1, [0]), "image": (28, 1)},
}
PATCH = 14


def ratios(most):
    return [[down, across] for down in range(1, most + 1) for across in range(1, most + 1) if down * across <= most]


def config(shape):
    hidden, ffn, layers, cross, heads, kv_heads, vocab = shape["text"]
    width, vision_ffn, vision_heads, local, overall, taken = shape["vision"]
    side, tiles = shape["image"]
    special = vocab - 31
    return {
        "architectures": ["MllamaForConditionalGeneration"], "model_type": "mllama", "image_token_index": vocab,
        "torch_dtype": "bfloat16",
        "text_config": {
            "model_type": "mllama_text_model", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": ffn,
            "num_hidden_layers": layers, "cross_attention_layers": cross, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "hidden_act": "silu", "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "rope_scaling": None, "dropout": 0,
            "tie_word_embeddings": False, "use_cache": True,
            "bos_token_id": special, "eos_token_id": [special + 1, special + 5, special + 6],
            "pad_token_id": special + 2, "torch_dtype": "bfloat16"},
        "vision_config": {
            "model_type": "mllama_vision_model", "image_size": side, "patch_size": PATCH, "num_channels": 3,
            "hidden_size": width, "intermediate_size": vision_ffn, "attention_heads": vision_heads,
            "num_hidden_layers": local,
            "num_global_layers": overall, "intermediate_layers_indices": taken,
            "vision_output_dim": width * (1 + len(taken)), "max_num_tiles": tiles,
            "supported_aspect_ratios": ratios(tiles), "hidden_act": "gelu", "norm_eps": 1e-5,
            "torch_dtype": "bfloat16"},
    }


def word(number):
    """A word of letters alone, so that the tokenizer keeps it whole."""
    letters = ""
    for _ in range(4):
        letters = chr(ord("a") + number % 26) + letters
        number //= 26
    return "q" + letters


def enlarge(tokenizer, vocab):
    """vj-tiny's tokenizer with words added up to `vocab` ids, its control tokens last, the image token after them."""
    added, words = tokenizer["added_tokens"], tokenizer["model"]["vocab"]
    for token in added:
        words.pop(token["content"], None)
    first = vocab - (len(added) - 1)
    for number in range(first - len(words)):
        words["\u0120" + word(number)] = len(words)
    for number, token in enumerate(added):
        token["id"] = first + number
    for stage in tokenizer["post_processor"]["processors"]:
        for name, special in stage.get("special_tokens", {}).items():
            special["ids"] = [next(token["id"] for token in added if token["content"] == name)]
    return tokenizer


def write_json(value, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)


def make_model(folder, name, tiny, weights):
    """Writes folder/name unless it is there whole; `tiny` is models/vj-tiny, `weights` the program bench-weights."""
    where = os.path.join(folder, name)
    if os.path.exists(os.path.join(where, "model.safetensors")):
        return where
    shape = SHAPES[name]
    os.makedirs(where, exist_ok=True)
    made = config(shape)
    text = made["text_config"]
    write_json(made, where, "config.json")
    ends = {key: text[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(ends, where, "generation_config.json")
    for file in ("special_tokens_map.json", "tokenizer_config.json", "chat_template.json"):
        shutil.copyfile(os.path.join(tiny, file), os.path.join(where, file))
    with open(os.path.join(tiny, "tokenizer.json"), encoding="utf-8") as file:
        write_json(enlarge(json.load(file), text["vocab_size"]), where, "tokenizer.json")
    with open(os.path.join(tiny, "preprocessor_config.json"), encoding="utf-8") as file:
        pixels = json.load(file)
    side, tiles = shape["image"]
    pixels.update(size={"height": side, "width": side}, max_image_tiles=tiles)
    write_json(pixels, where, "preprocessor_config.json")
    subprocess.run([weights, where], check=True)
    return where


# -- pictures and prompts -------------------------------------------------------


def write_png(path, side, draw):
    """A square picture of blocks of random colours."""
    block = max(1, side // 7)
    count = side // block + 1
    colours = [[bytes(draw.randrange(256) for _ in range(3)) for _ in range(count)] for _ in range(count)]
    rows = b"".join(b"\0" + b"".join(colours[y // block][x // block] for x in range(side)) for y in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def words(draw, count, vocab):
    """`count` words of one token each; a text begins without a space, and its first word is then of vj-tiny's own."""
    return "describe" + "".join(" " + word(draw.randrange(vocab - 1000)) for _ in range(count - 1))


def picture_side(shape):
    """Of a picture that fills as many tiles as the model takes."""
    side, tiles = shape["image"]
    return side * int(tiles ** 0.5)


def write_cases(folder, cases):
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(case) + "\n" for case in cases)
    return os.path.join(folder, "cases.jsonl")


def make_prompt(folder, name, text_tokens):
    """One image and `text_tokens` tokens, as ids."""
    shape, draw = SHAPES[name], random.Random(1)
    vocab = shape["text"][-1]
    write_png(os.path.join(folder, "image.png"), picture_side(shape), draw)
    tokens = [vocab - 31, vocab] + [draw.randrange(vocab - 31) for _ in range(text_tokens)]
    return write_cases(folder, [{"tokens": tokens, "images": ["image.png"]}])


def make_question(folder, name, text_tokens):
    """One image and a question."""
    shape, draw = SHAPES[name], random.Random(2)
    write_png(os.path.join(folder, "image.png"), picture_side(shape), draw)
    return write_cases(folder, [{"prompt": words(draw, text_tokens, shape["text"][-1]), "images": ["image.png"]}])


def make_lessons(folder, name, count, text_tokens):
    """`count` examples with an image each; half the words are the reply."""
    shape, draw = SHAPES[name], random.Random(3)
    cases = []
    for number in range(count):
        image = f"image-{number}.png"
        write_png(os.path.join(folder, image), picture_side(shape), draw)
        prompt, reply = (words(draw, text_tokens // 2, shape["text"][-1]) for _ in range(2))
        cases.append({"prompt": prompt, "reply": reply, "images": [image]})
    return write_cases(folder, cases)


def make_pairs(folder, count):
    """`count` pairs of answers in both orders, in vj-tiny's words and picture size, each with its own image."""
    draw, cases = random.Random(4), []
    places = ["northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast"]
    colours, shapes = ["red", "green", "blue", "yellow", "purple", "orange"], ["circle", "square", "triangle"]
    for number in range(count):
        image = f"image-{number}.png"
        write_png(os.path.join(folder, image), 56, draw)
        seen = [(place, draw.choice(["small", "large"]), draw.choice(colours), draw.choice(shapes))
                for place in sorted(draw.sample(places, 3))]
        other = [seen[0], (seen[1][0], seen[1][1], draw.choice(colours), seen[1][3]), seen[2]]
        answers = ["three shapes ; " + " ; ".join(" ".join(part) for part in parts) for parts in (seen, other)]
        for a, b in (answers, answers[::-1]):
            cases.append({"prompt": f"judge : describe the image A : {a} B : {b}", "images": [image]})
    return write_cases(folder, cases)
