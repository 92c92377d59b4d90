#!/usr/bin/env python3
"""Writes tokenizer.json of vj-tiny: a byte-level BPE in the Llama 3 manner, in which
every word of the scene language, with and without a space before it, is one token,
and every byte is a token, so that any text can be read.

Usage: vj-tiny-tokenizer.py [FILE]     (default: models/vj-tiny/tokenizer.json of this tree)

Only the standard library. The merges are found as a BPE trainer finds them, over the
list of words below, until each of them is one token.
"""
import json
import os
import sys
from collections import Counter

# What a user or the chat says besides the scenes' own words.
CHAT = "user assistant system".split()
SCENES = """
northwest north northeast west center east southwest south southeast
small large red green blue yellow purple orange circle square triangle
zero one two three four shape shapes circles squares triangles
how many what color is at there any or none yes no
describe the image copy rewrite attribute count position differ choose judge
A B shows so
""".split()
SIGNS = [";", ":", "?", "[[", "]]", "\n\n"]

# Control tokens fill the vocabulary up to VOCAB_SIZE, text_config.vocab_size of config.json. The image
# token's id is VOCAB_SIZE itself, as mllama wants it: one past what the model can say.
VOCAB_SIZE = 512
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters():
    """The printable letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {b: chr(b) for b in plain}
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + len(letters) - len(plain))
    return letters


def merge(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i:i + 2] == list(pair):
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def train(texts, letters):
    """Merges, in order, after which each text is one token."""
    words = [[letters[b] for b in text.encode()] for text in texts]
    merges = []
    while True:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [merge(word, best) for word in words]


def build():
    letters = byte_letters()
    words = sorted(set(CHAT + SCENES))
    texts = words + [" " + w for w in words] + SIGNS + [" " + s for s in SIGNS if not s.isspace() and s != "]]"]
    merges = train(texts, letters)
    tokens = [letters[b] for b in sorted(letters, key=lambda b: ord(letters[b]))]
    tokens += dict.fromkeys(a + b for a, b in merges)
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) == len(tokens)
    names = SPECIAL + [f"<|reserved_special_token_{i}|>" for i in range(VOCAB_SIZE - len(tokens) - len(SPECIAL))]
    special = [{"id": len(tokens) + i, "content": s, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i, s in enumerate(names + ["<|image|>"])]
    assert special[-1]["id"] == VOCAB_SIZE
    bos = special[0]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": bos["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [{"SpecialToken": {"id": bos["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": bos["content"], "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {bos["content"]: {"id": bos["content"], "ids": [bos["id"]], "tokens": [bos["content"]]}}}]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocab, "merges": [f"{a} {b}" for a, b in merges]},
    }


def main():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(top, "models", "vj-tiny", "tokenizer.json")
    with open(target, "w", encoding="utf-8") as file:
        json.dump(build(), file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
