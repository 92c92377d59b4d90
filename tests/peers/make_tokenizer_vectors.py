#!/usr/bin/env python3
"""Makes tests/vectors/tokenizer: small byte-level BPE tokenizers with the Llama 3
splitting pattern, trained by the `tokenizers` library, and what that library
encodes and decodes with them.

  make_tokenizer_vectors.py DIR             the committed vectors
  make_tokenizer_vectors.py DIR --random N  N random texts more (for one-off comparisons:
                                            VJ_TOKENIZER_VECTORS=DIR tests/engine/test-tokenizer)
  make_tokenizer_vectors.py DIR --scan      every code point between letters, digits and spaces
Needs: tokenizers 0.21 or later.
"""
import argparse
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
           "<|eom_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>", "<|image|>"]

CORPUS = """The red circle is left of the blue square; there are three green triangles at the top right.
Answer A is better than answer B because it names what the image shows. Output [[A]] or [[B]].
How many shapes are there? There are 12, 345 or 6789 of them. It's what we've said, they'll say I'm sure you'd don't.
Der rote Kreis liegt links vom blauen Quadrat; über dem größeren Dreieck steht nichts. Straße, Äpfel, Öl.
Le cercle rouge est à gauche du carré bleu ; où est l'élève ? Ça va, garçon, déjà vu.
Красный круг слева от синего квадрата, а зелёный треугольник сверху. Сколько здесь фигур?
Το κόκκινο τετράγωνο είναι αριστερά. Πόσα σχήματα υπάρχουν;
红色的圆形在蓝色正方形的左边。图中有几个三角形？ 一二三四五六七八九十。
赤い円は青い四角の左にあります。三角形はいくつありますか？ カタカナとひらがな。
빨간 원은 파란 사각형의 왼쪽에 있습니다. 삼각형은 몇 개입니까?
الدائرة الحمراء على يسار المربع الأزرق. كم عدد الأشكال؟
लाल वृत्त नीले वर्ग के बाईं ओर है। कितने आकार हैं?
วงกลมสีแดงอยู่ทางซ้ายของสี่เหลี่ยมสีน้ำเงิน
for (int i = 0; i < n; i++) { total += values[i] * weights[i]; }\n\tif (x == NULL)\n\t\treturn -1;
def area(width, height):\n    return width * height  # square units\n\nprint(area(3, 4.5))
"""

TEXTS = ["", " ", "  ", "   a", "a   ", "a  b", "\n", "\n\n", " \n", "\n ", " \n \n  x", "\r\n\r\n", "\t\tx", "x\t\n\ty", "a\u00a0b", "\u3000\u3000字",
         "a\u180eb \u180e", "a\u200bb", "a\u2028b\u2029c", "\u0085x", "x\u0085\u0085 y", "\v\f x", "\ufeffbom",
         "It's", "IT'S HE'LL WE'VE i'm", "'s't're've'm'll'd", "o'clock 'Tis rock'n'roll", "\u2019s it\u2019s", "'\u017f 'S", "don't''s",
         "1", "12", "123", "1234", "1234567890", "3.14159", "1,000,000", "x1y22z333", "٣٤٥٦٧", "①②③④", "ⅣⅫ", "½¾", "१२३४५", "1st 2nd",
         "Hello, world!", "hello world", " hello", "HELLO", "camelCaseAndSnake_case", "https://example.org/a?b=c&d=e#f", "a@b.cd", "#!/bin/sh",
         "x+=1;", "if(x){return y;}", "    indented\n        more\n", "\tfor i in range(10):\n\t\tprint(i)\n", "{}[]()<>", "!!!???...", "---\n---\n", "a\n\nb\n\n\nc",
         "The red circle is left of the blue square.", "Output [[A]].", "so [[B]]", "at mid-right red A blue B ; image shows blue B so [[B]]",
         "größer Straße Äpfel", "l'élève déjà", "naïve café résumé", "cafe\u0301 e\u0301\u0300", "Красный круг", "Πόσα σχήματα;", "红色的圆形", "図の中の三角形はいくつ？",
         "빨간 원", "الدائرة الحمراء", "לשלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "გამარჯობა", "Բարեւ", "ሰላም", "ᚠᛇᚻ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𠀀𠀁", "𐍈",
         "😀", "😀😃😄", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "a😀b", " 😀", "✂️ ✈", "→←↑↓", "∑∫√∞≠", "€£¥₿", "™©®", "“quoted” ‘it’", "…—–", "§¶†",
         "<|eot_id|>", "<|image|>a", "x<|begin_of_text|>y", "<|start_header_id|>user<|end_header_id|>\n\n", "<|not_a_token|>",
         "a" * 300, "ab" * 150, " " * 70, "\n" * 70, "9" * 100, "!" * 90, "é" * 80, "字" * 60, "the " * 50, "ÿþýü", "\x01\x02\x7f", "ſ K Å", "ǅ ʰ ª º", "\u0e33\u0eb3", "ﬁ ﬅ"]


def controls():
    return [{"content": c, "special": True} for c in CONTROL]


def train(vocab, ignore_merges):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(CORPUS.split("\n") * 3 + TEXTS, trainer)
    tokenizer.add_special_tokens(CONTROL)
    bos = CONTROL[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    return tokenizer


def random_text(rng):
    pools = ["abcdefghijklmnopqrstuvwxyz", "ABC xyz", "0123456789", " \n\t\r", ".,;:!?'\"()[]{}<>|/\\", "'s't're've'm'll'd'S'T", "äöüßéèçñ", "абвгдежз",
             "红色的圆形在", "かなカナ", "한국어", "العربية", "हिन्दी", "😀👍🏽🇩🇪👩‍👩", "\u00a0\u2003\u3000\u0085\u2028", "\u0301\u0300\u200d"]
    out = []
    for _ in range(rng.randrange(1, 12)):
        pool = rng.choice(pools)
        out.append("".join(rng.choice(pool) for _ in range(rng.randrange(1, 9))))
    if rng.random() < .2:
        out.append("".join(c for c in (chr(rng.randrange(1, 0x11000)) for _ in range(6)) if not 0xd800 <= ord(c) < 0xe000))
    if rng.random() < .3:
        out.append(rng.choice(CORPUS.split("\n")))
    return "".join(out)


def decodes(tokenizer, rng, n):
    zero = tokenizer.token_to_id(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("\0")[0][0])
    size = tokenizer.get_vocab_size()
    out = []
    for i in range(n):
        top = 256 if i % 2 else size
        ids = [rng.randrange(top) for _ in range(rng.randrange(1, 14))]
        ids = [t for t in ids if t != zero]
        out.append({"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True)})
    return out


def scan_texts():
    """Every code point after a letter, a digit, a tab and a sign; see join_leads."""
    points = [c for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
    return ["".join(f"a{chr(c)} \n1{chr(c)} \n\t{chr(c)} \n!{chr(c)} \n" for c in points[i:i + 16]) for i in range(0, len(points), 16)]


def join_leads(spec):
    """First of all merges: letter, digit, tab or sign with any lead byte. So ids tell which of them stand in one piece."""
    vocab, merges = spec["model"]["vocab"], spec["model"]["merges"]
    leads = [chr(b) if b in range(0xc2, 0xf5) else None for b in range(256)]
    new = [(left, lead) for left in ("a", "1", "\u0109", "!") for lead in leads if lead and left + lead not in vocab]
    for left, lead in new:
        vocab[left + lead] = len(vocab)
    for i, token in enumerate(spec["added_tokens"]):
        token["id"] = len(vocab) + i
    template = spec["post_processor"]["processors"][1]["special_tokens"]
    template[CONTROL[0]]["ids"] = [len(vocab)]
    spec["model"]["merges"] = [list(m) for m in new] + merges


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=40)
    parser.add_argument("--scan", action="store_true")
    args = parser.parse_args()
    for name, vocab, ignore, pairs in (("plain", 900, False, True), ("ignore-merges", 700, True, False)):
        rng = random.Random(7)
        tokenizer = train(vocab, ignore)
        where = args.dir / name
        where.mkdir(parents=True, exist_ok=True)
        spec = json.loads(tokenizer.to_str())
        if ignore:  # tokens no chain of merges reaches: only ignore_merges finds them
            del spec["model"]["merges"][100::7]
            spec["model"]["merges"] = [m for m in spec["model"]["merges"]]
        if args.scan:
            join_leads(spec)
        merges = [m if isinstance(m, list) else m.split(" ") for m in spec["model"]["merges"]]
        spec["model"]["merges"] = merges if pairs else [" ".join(m) for m in merges]
        text = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
        (where / "tokenizer.json").write_text(text, encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
        tokenizer.encode_special_tokens = True  # as vjrun: control tokens in a text are plain text
        texts = TEXTS + [random_text(rng) for _ in range(args.random)] + (scan_texts() if args.scan else [])
        cases = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in texts]
        vectors = {"bos": tokenizer.token_to_id(CONTROL[0]), "size": tokenizer.get_vocab_size(), "encode": cases,
                   "decode": decodes(tokenizer, rng, args.random)}
        (where / "vectors.json").write_text(json.dumps(vectors, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
