#!/usr/bin/env python3
"""Writes tests/vectors/shortcut/vectors.json: what scikit-learn makes of pairs of answers, seen as text alone.

    pip install scikit-learn
    tests/peers/make_shortcut_vectors.py

Made with scikit-learn 1.9.1 and numpy 2.4.6. n-grams come from CountVectorizer, the regression from LogisticRegression on the
differences (half of the rows turned round, so that there are two classes), the area from roc_auc_score on every pair seen
from both sides. The standard error is a jackknife: the area anew without each group in turn.

`sets` holds pairs of answers; `areas` scores alone, with ties and groups of different sizes."""
import json
import pathlib
import random
import re

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "shortcut" / "vectors.json"
WORD = r"\w+|[^\w\s]"
QUESTIONS = ["How many circles are there?", "What is left of the table?", "Describe the picture.", "Wie viele Äpfel siehst du?",
             "Is  there a\tdog ?", "図の色は？"]
NOUNS = ["dog", "red ball", "Tisch", "Äpfel", "small cat", "blue car", "image_7", "house", "tree", "王 犬", "two boys", "11 birds"]
VERBS = ["stands beside", "is left of", "covers", "hides", "liegt auf", "is larger than"]
ENDS = [".", " .", "!", ", I think.", "", " in the photo", "…"]


def sentence(rng, words):
    return " and ".join(f"{rng.choice(NOUNS)} {rng.choice(VERBS)} {rng.choice(NOUNS)}" for _ in range(words)) + rng.choice(ENDS)


def draw_set(seed, n, groups, folds, marker):
    """Pairs whose rejected answer tends to be longer, or to hold `marker`, or neither."""
    rng = random.Random(seed)
    fold_of = [i % folds for i in range(groups)]
    rng.shuffle(fold_of)
    pairs = []
    while len(pairs) < n:
        group = rng.randrange(groups)
        chosen, rejected = sentence(rng, rng.choice([1, 2])), sentence(rng, rng.choice([1, 2, 2]))
        if marker and rng.random() < 0.4:
            rejected += " " + marker
        if chosen != rejected:
            pairs.append({"question": rng.choice(QUESTIONS), "chosen": chosen, "rejected": rejected, "kind": rng.choice(["one", "two / three"]),
                          "group": group, "fold": fold_of[group]})
    return pairs


def normal(text):
    return re.sub(r"\s+", " ", text).strip()


def analyzers():
    words = CountVectorizer(token_pattern=WORD, ngram_range=(1, 2)).build_analyzer()
    characters = CountVectorizer(analyzer="char", ngram_range=(3, 3)).build_analyzer()
    tokens = CountVectorizer(token_pattern=WORD).build_analyzer()
    return words, characters, tokens


def features(pair, side, kit):
    words, characters, tokens = kit
    text = "\x02" + normal(pair[side]) + "\x03"
    head = " ".join(tokens(normal(pair["question"]))[:2])
    return ({("w", g) for g in words(text)} | {("c", g) for g in characters(text)} | {("x", head, g) for g in tokens(text)})


def lengths(pair, side, tokens):
    text, asked = pair[side], set(tokens(pair["question"]))
    own = tokens(text)
    return [len(text), len(own), np.log1p(len(text)), len(text) / len(own), sum(w in asked for w in own) / len(own)]


def matrix(pairs):
    kit = analyzers()
    columns, rows = {}, []
    for pair in pairs:
        chosen, rejected = features(pair, "chosen", kit), features(pair, "rejected", kit)
        rows.append({columns.setdefault(g, len(columns)): s for s, side in ((1, chosen - rejected), (-1, rejected - chosen)) for g in side})
    dense = np.zeros((len(pairs), len(columns)))
    for i, row in enumerate(rows):
        for column, value in row.items():
            dense[i, column] = value
    long = np.array([np.subtract(lengths(p, "chosen", kit[2]), lengths(p, "rejected", kit[2])) for p in pairs])
    root = np.sqrt((long ** 2).mean(axis=0))
    return np.hstack([long / np.where(root > 0, root, 1), dense]), len(columns)


def fit(x):
    turned = np.where(np.arange(len(x)) % 2, -1.0, 1.0)
    model = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    return model.fit(x * turned[:, None], turned).coef_[0]


def area(scores):
    return roc_auc_score([1] * len(scores) + [0] * len(scores), np.concatenate([scores, -scores]))


def jackknife(scores, groups):
    """Standard error of the area by leaving out each group in turn."""
    names = sorted(set(groups))
    left = np.array([area(scores[[g != name for g in groups]]) for name in names])
    return float(np.sqrt((len(names) - 1) / len(names) * ((left - left.mean()) ** 2).sum()))


def measured(scores, groups):
    return {"area": float(area(scores)), "error": jackknife(scores, groups)}


def expect(pairs, folds):
    x, n_grams = matrix(pairs)
    fold = np.array([p["fold"] for p in pairs])
    scores = np.zeros(len(pairs))
    for f in range(folds):
        scores[fold == f] = x[fold == f] @ fit(x[fold != f])
    groups = [p["group"] for p in pairs]
    long = np.array([len(p["chosen"]) - len(p["rejected"]) for p in pairs], dtype=float)
    one = np.array([p["kind"] == "one" for p in pairs])
    return {"ngrams": n_grams, "scores": [float(s) for s in scores], "largest": float(np.abs(fit(x)[5:]).max()),
            "text": measured(scores, groups), "length": measured(long, groups),
            "text_of_one": measured(scores[one], [g for g, keep in zip(groups, one) if keep])}


def main():
    rng = random.Random(20)
    sets = []  # small enough that all n-grams fall into different buckets: the test counts them
    for seed, n, groups, folds, marker in ((1, 60, 60, 5, "obviously"), (2, 80, 40, 4, ""), (3, 50, 12, 3, "so (b)")):
        pairs = draw_set(seed, n, groups, folds, marker)
        sets.append({"pairs": pairs, "folds": folds, **expect(pairs, folds)})
    areas = []
    for n, groups, shift in ((40, 40, 0.5), (200, 60, 0.0), (90, 30, 1.2), (12, 12, 0.2)):
        scores = np.array([round(rng.gauss(shift, 1.0), 1) for _ in range(n)])  # one decimal: there are ties
        group = [i if i < groups else rng.randrange(groups) for i in range(n)]
        areas.append({"scores": [float(s) for s in scores], "groups": group, **measured(scores, group)})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"sets": sets, "areas": areas}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    for s in sets:
        print(len(s["pairs"]), s["ngrams"], s["text"], s["length"])


main()
