#!/usr/bin/env python3
"""Holds vjrun's tokenizer to the `tokenizers` library: byte-level BPE of 1,000, 32,000 and 128,000 entries with the
Llama 3 splitting pattern and `ignore_merges`, 22,000 strings (over 20,000 different ones), and the time to load a file.

    make tests/peers/encode-strings                       # in the build tree
    check_tokenizers.py BUILDDIR [DIR]                    trains in DIR (default: a temporary one) and compares
    check_tokenizers.py --write tests/vectors/tokenizer   writes the committed part: strings.json, 1k/ and all digests

The training text is made by a seeded generator: pseudo-words of many scripts, Zipf-distributed, with code and numbers
between. The larger files get their merges as Llama 3 has them: every way of making each token of two others.
Needs: tokenizers 0.21 or later; made with 0.23.3.
"""
import argparse
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from make_tokenizer_vectors import CONTROL, CORPUS, PATTERN, TEXTS
from tokenizer_strings import COUNT, digests, string

SIZES = {"1k": 1000, "32k": 32000, "128k": 128000}

# Letters that pseudo-words are made of, most of them as ranges.
SCRIPTS = [
    "az", "az", "az", "az", "azäöüß", "azéèàçêù", "aząęłńóśźż", "azığşçö", "ạảấầẩậắằặẹẻẽếềểễệốồổỗộ", "αω", "ая",
    "аяіїєґ", "ﺀﻼ", "ءي", "את", "अह", "অহ", "ਅਹ", "અહ", "அஹ", "అహ", "ಅಹ", "അഹ", "กฮ", "ກຮ", "ကအ", "კჰ", "աև", "ሀፐ",
    "កអ", "ぁん", "ァン", "가힣", "一龥", "一倀", "ᎠᏴ", "ᐁᙶ", "𐌰𐍊", "𝒜𝓏"
]
CODE = [
    "if (x == NULL)\n    return -1;\n", "for i in range(10):\n\tprint(i)\n", "#include <stdio.h>\n", "x += 1;",
    "{\"a\": [1, 2.5e-3, null]}", "</div>\n", "a->b", "::", "!=", "&&", "|| ", "/* note */", "// note\n", "\\n",
    "0xdeadbeef", "SELECT * FROM t WHERE a = 'b';", "fn main() {\n", "    }\n", "}\n\n", "\t\t\treturn x;\n",
    "$HOME/bin", "<|", "|>", "[[A]]", "__init__"
]
ODD = [
    "\u00a0", "\u2003\u2003", "\u3000", "\u0085", "\u2028", "\u180e", "\u200b", "\u200d", "\u200e\u202e", "\ufeff",
    "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000", "\U000e0041", "\x01\x02\x1f", "\x7f\x80\x9f", "\x1b[31m",
    "\b\b", "\v\f", "\r", "\r\n", "\n\n\n", "\n \n", " \n", "\t", "    ", "        ", " ", "  ", "   \t ",
    "\ufffd\ufffd", "Ã©", "â€™", "\u0301", "e\u0301\u0323", "\u0e33", "\u1112\u1161\u11ab", "ǅ", "ſ", "K", "ﬃ", "İ", "ı"
]
EMOJI = [
    "👩‍👩‍👧‍👦", "🏳️‍🌈", "🏴‍☠️", "👨🏽‍🚀", "👍🏽", "🇩🇪", "🇫🇷🇯🇵",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "❤️‍🔥", "✂️", "1️⃣", "#️⃣", "🫠", "🧑🏿‍🤝‍🧑🏻", "©️",
    "™", "🇩", "‍", "🏽", "☎︎", "🀄", "𓀀"
]
MORE = [
    "Don't", "I'M", "we'll've", "'S", "’s", "O’Neil's", "'ſ", "x'", "''t", "12", "007", "1234567", "3.1415926535",
    "1,000,000.00", "½ ⅓ ²³", "١٢٣٤٥", "१२३", "Ⅷ", "㉓", "万億", "<|eot_id|>", "<|image|>",
    "<|begin_of_text|><|begin_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>user", "<|eot_id",
    "|eot_id|>", "< |image| >", "<s>", "[INST]"
]


def atoms():
    lines = [word for line in CORPUS.split("\n") for word in (line, *line.split(" "))]
    texts = [text for text in TEXTS if 0 < len(text) < 40]
    return sorted({atom for atom in [*lines, *texts, *CODE, *ODD, *EMOJI, *MORE] if 0 < len(atom) < 120})


def letters(script):
    if len(script) == 2:
        return [chr(c) for c in range(ord(script[0]), ord(script[1]) + 1)]
    return letters("az") + list(script[2:]) if script.startswith("az") else list(script)


def words_of(rng, script, n):
    """Words of syllables of a script, so that parts recur; most of ideographs are one or two."""
    of = letters(script)
    syllables = ["".join(of[rng.randrange(len(of))] for _ in range(1 + rng.randrange(3))) for _ in range(150)]
    if len(of) > 3000:
        return ["".join(of[rng.randrange(len(of))] for _ in range(1 + rng.randrange(3))) for _ in range(n)]
    return ["".join(syllables[rng.randrange(150)] for _ in range(1 + rng.randrange(4))) for _ in range(n)]


def training_lines(seed, words, lines):
    rng = random.Random(seed)
    lexicons = [words_of(rng, script, words) for script in SCRIPTS]
    for _ in range(lines):
        lexicon = lexicons[rng.randrange(len(lexicons))]
        out = []
        for _ in range(5 + rng.randrange(15)):
            word = lexicon[int(len(lexicon)**rng.random()) - 1]
            kind = rng.randrange(40)
            out.append(word.capitalize() if kind < 4 else word +
                       ",.;:!?"[kind - 4] if kind < 10 else str(rng.randrange(10**(
                           1 + kind - 10))) if kind < 14 else CODE[rng.randrange(len(CODE))] if kind ==
                       14 else EMOJI[rng.randrange(len(EMOJI))] if kind == 15 else word)
        yield " ".join(out)


def train(name):
    size = SIZES[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False)
    small = size < 10000
    tokenizer.train_from_iterator(training_lines(5, 100 if small else size // 8, 2000 if small else 5 * size), trainer)
    assert tokenizer.get_vocab_size() == size, tokenizer.get_vocab_size()
    spec = json.loads(tokenizer.to_str())
    if not small:
        spec["model"]["merges"] = all_merges(spec["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.add_special_tokens([*CONTROL[:-1], *(f"<|reserved_special_token_{i}|>"
                                                   for i in range(248)), CONTROL[-1]] if not small else CONTROL)
    bos = CONTROL[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{bos} $A",
                                      pair=f"{bos} $A {bos}:1 $B:1",
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))])
    ])
    return tokenizer


def all_merges(vocab):
    """Every pair of tokens that makes a token, in order of what they make: what Llama 3's file has for merges."""
    out = []
    for token, rank in sorted(vocab.items(), key=lambda item: item[1]):
        pairs = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in vocab and token[i:] in vocab]
        out += sorted(pairs, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    return [list(pair) for pair in out]


def encode_all(tokenizer, texts):
    tokenizer.encode_special_tokens = True  # as vjrun: control tokens spelled in a text are plain text
    return digests([row.ids for row in tokenizer.encode_batch(texts, add_special_tokens=False)])


def texts_of(parts):
    return [string(parts, i) for i in range(COUNT)]


def make(name, where, texts):
    """Trains, writes WHERE/tokenizer.json and WHERE/digests.json."""
    where.mkdir(parents=True, exist_ok=True)
    committed = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "tokenizer" / name / "digests.json"
    text = json.dumps(json.loads(train(name).to_str()), ensure_ascii=False, separators=(",", ":"))
    (where / "tokenizer.json").write_text(text, encoding="utf-8")
    tokenizer = Tokenizer.from_str(text)
    found = {
        "tokenizer": hashlib.sha256(text.encode()).hexdigest(), "size": tokenizer.get_vocab_size(), "texts":
        hashlib.sha256("\0".join(texts).encode()).hexdigest(), "ids": encode_all(tokenizer, texts)
    }
    same = committed.exists() and json.loads(committed.read_text()) == found
    (where / "digests.json").write_text(json.dumps(found, indent=0) + "\n")
    print(
        f"{name}: {len(text.encode())} bytes, {found['size']} tokens, {len(json.loads(text)['model']['merges'])} merges,",
        "as the committed digests say"
        if same else "NOT what the committed digests say: another version of the library?")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, nargs="?")
    parser.add_argument("dir", type=pathlib.Path, nargs="?")
    parser.add_argument("--write", type=pathlib.Path)
    args = parser.parse_args()
    parts = atoms()
    texts = texts_of(parts)
    print(
        f"{len(parts)} atoms; {COUNT} strings of {sum(map(len, texts))} characters, {len(set(texts))} of them different"
    )
    if args.write:
        (args.write / "strings.json").write_text(json.dumps(parts, ensure_ascii=True, indent=0) + "\n")
        for name in SIZES:
            make(name, args.write / name, texts)
            if name != "1k":
                (args.write / name / "tokenizer.json").unlink()
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        top = args.dir or pathlib.Path(temporary)
        top.mkdir(parents=True, exist_ok=True)
        (top / "strings.json").write_text(json.dumps(parts, ensure_ascii=True, indent=0) + "\n")
        for name in SIZES:
            if not (top / name / "digests.json").exists():
                make(name, top / name, texts)
            failed += subprocess.run([args.build / "tests/peers/encode-strings", top / "strings.json",
                                      top / name]).returncode != 0
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
