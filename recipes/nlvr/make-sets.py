#!/usr/bin/env python3
"""From the NLVR corpus (Suhr et al., ACL 2017) to what recipes/nlvr/loop.yaml reads.

    recipes/nlvr/make-sets.py ../shared/data/nlvr OUT [--seed 1]

The 400 x 100 pictures hold three boxes each. Of a box, square views are cut that fit the places models/vj-tiny speaks of: no shape
crosses the view's border or the lines of its 3 x 3 grid, which is seen in the pixels. Pictures are dealt by the seed to three
splits; no view of one has the pixels of a view of another. OUT gets

    images/                     the views, 56 to 100 pixels wide, PNG
    open.jsonl                  for each view of the first split "describe the image", a few times
    places.jsonl, counts.jsonl  questions about them with short answers: about one place; about all of the view
    tune.jsonl, measure.jsonl   answer pairs about views of the second and third, made of gold (structured_rep), for measuring only

Questions are made of chance and file names, without gold or label. Pairs use the words that the model knows. It knows no black: a
black shape is counted and never told of. Pairs come in twins: the same question and the same two words, once with this one right,
once with the other; a choice between short answers that does not look at the picture is right in half of them.

Standard library only; equal input gives equal bytes.
"""
import argparse
import hashlib
import itertools
import json
import os
import struct
import sys
import zlib

SPLITS = (("questions", 50), ("tune", 17), ("measure", 33))  # per cent of the pictures
RANK = {"measure": 0, "tune": 1, "questions": 2}             # a view that is in two splits stays in the first of these
VIEWS = {"questions": 8, "tune": 4, "measure": 4}            # of a box, at most
PAIRS = {"tune": 400, "measure": 800}                        # wanted; there are fewer where twins run out
ASKS = {"open": 3, "places": 5, "counts": 4}                 # of a view, at most: what is asked twice counts once
BOXES = (0, 150, 300)      # where they begin in a row of 400 pixels
SIDE = 100                 # of a box
SIDES = range(56, 101, 4)  # of a view; the model scales each to 56
GROUND = bytes((211, 211, 211))

NUMBERS = ("zero", "one", "two", "three", "four")
PLACES = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")
COLORS = {"Yellow": "yellow", "#0099ff": "blue", "Black": None}
SHAPES = ("circle", "square", "triangle")
ASKED = {"size": ("small", "large"), "color": ("yellow", "blue"), "shape": SHAPES}
SHAPES_TOLD = 4            # the model knows no higher number
LARGE, UNCLEAR = 14.5, 1.5 # pixels of 56: the model's small is 12, its large 17; nothing is asked of sizes so near the middle


def chance(*names):
    """A number that the names alone decide: no generator whose draws could differ from version to version."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, names)).encode()).digest()[:8], "big")


def pick(values, *names):
    return values[chance(*names) % len(values)]


def fail(text):
    sys.exit(f"make-sets: {text}")


# -- pictures ----------------------------------------------------------------------------------------------------------

def chunks(data):
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8:at + 8 + length]
        at += 12 + length


def unfilter(kind, row, above, step):
    """Undoes a row's filter in place (PNG, section 9). above: the row before it, unfiltered; step: bytes of a pixel."""
    for i in range(len(row)):
        left, up = row[i - step] if i >= step else 0, above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            near = left + up - corner
            guess = min((left, up, corner), key=lambda value: abs(near - value))
        row[i] = (row[i] + guess) & 255


def read_png(path):
    """(width, height, rows of RGB bytes) of an 8-bit RGB or RGBA file without interlacing, which all of NLVR's are."""
    with open(path, "rb") as file:
        data = file.read()
    parts = list(chunks(data))
    if data[:8] != b"\x89PNG\r\n\x1a\n" or not parts or parts[0][0] != b"IHDR":
        fail(f"{path}: not a PNG file; give the folder of the corpus")
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 8 or color not in (2, 6) or interlaced:
        fail(f"{path}: depth {depth}, color type {color}, interlacing {interlaced}; 8-bit RGB or RGBA without interlacing is read")
    step = 3 if color == 2 else 4
    raw, stride = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT")), width * step
    rows, above = [], bytearray(stride)
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        if kind:
            unfilter(kind, row, above, step)
        above = row
        rows.append(bytes(row) if step == 3 else bytes(itertools.chain.from_iterable(zip(row[0::4], row[1::4], row[2::4]))))
    return width, height, rows


def png_bytes(rows):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9))
            + chunk(b"IEND", b""))


def cut(path):
    """The three boxes of a picture: rows of RGB bytes each."""
    width, height, rows = read_png(path)
    if (width, height) != (BOXES[-1] + SIDE, SIDE):
        fail(f"{path}: {width} x {height} pixels; NLVR's pictures are {BOXES[-1] + SIDE} x {SIDE}")
    return [[row[3 * x:3 * (x + SIDE)] for row in rows] for x in BOXES]


# -- views -------------------------------------------------------------------------------------------------------------

class Covered:
    """How many pixels of a rectangle are not ground."""

    def __init__(self, rows):
        self.sums = [[0] * (SIDE + 1)]
        for row in rows:
            line = [0]
            for x in range(SIDE):
                line.append(line[-1] + (row[3 * x:3 * x + 3] != GROUND) + self.sums[-1][x + 1] - self.sums[-1][x])
            self.sums.append(line)

    def count(self, left, top, right, bottom):
        return self.sums[bottom][right] - self.sums[top][right] - self.sums[bottom][left] + self.sums[top][left]


def grid(side):
    return [round(side * i / 3) for i in range(4)]


def crossed(covered, left, top, side):
    """Whether a shape lies across the border or a line of the grid: pixels are covered on both sides of it."""
    right, bottom = left + side, top + side
    for at in grid(side):
        x, y = left + at, top + at
        if 0 < x < SIDE and covered.count(x - 1, top, x, bottom) and covered.count(x, top, x + 1, bottom):
            return True
        if 0 < y < SIDE and covered.count(left, y - 1, right, y) and covered.count(left, y, right, y + 1):
            return True
    return False


def views(name, rows, seed):
    """(left, top, side), those with the most cells that are not empty first, else by chance; of those that have the same side
    and the same cells covered, one."""
    covered, found = Covered(rows), {}
    for side in SIDES:
        at = grid(side)
        for left, top in itertools.product(range(0, SIDE - side + 1, 2), repeat=2):
            if not crossed(covered, left, top, side):
                cells = tuple(covered.count(left + at[x], top + at[y], left + at[x + 1], top + at[y + 1]) > 0
                              for y in range(3) for x in range(3))
                key = (chance(seed, "view", name, left, top, side), (left, top, side))
                found[side, cells] = min(found.get((side, cells), key), key)
    return [view for (_, cells), (_, view) in sorted(found.items(), key=lambda entry: (-sum(entry[0][1]), entry[1])) if any(cells)]


# -- splits ------------------------------------------------------------------------------------------------------------

def split_of(name, seed):
    """Pictures of one set of sentences ("2710" of "2710-3") resemble each other and stay together."""
    at = chance(seed, "split", name.split("-")[0]) % 100
    for split, share in SPLITS:
        if at < share:
            return split
        at -= share
    raise AssertionError("shares make 100")


def load(folder):
    path = os.path.join(folder, "dev-500.jsonl")
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        fail(f"{path}: {error.strerror}; give the folder of the corpus")


def first_of_each(entries):
    """Of (rank, pixels, entry) with the same pixels, the lowest; in the order of ranks."""
    found = {}
    for rank, pixels, entry in sorted(entries, key=lambda entry: entry[0]):
        found.setdefault(pixels, entry)
    return list(found.values())


def cut_views(folder, records, seed):
    """split -> [(name, rows, number of the record, which box, view)]; the pixels of a box or of a view are in one place only."""
    boxes = []
    for number, record in enumerate(records):
        split = split_of(record["identifier"], seed)
        for which, rows in enumerate(cut(os.path.join(folder, record["image"]))):
            name = f"{record['identifier']}-{which}"
            boxes.append(((RANK[split], chance(seed, "box", name)), b"".join(rows), (split, name, rows, number, which)))
    cuts = []
    for split, name, rows, number, which in first_of_each(boxes):
        for left, top, side in views(name, rows, seed)[:VIEWS[split]]:
            part = [row[3 * left:3 * (left + side)] for row in rows[top:top + side]]
            entry = (split, f"{name}-{left}-{top}-{side}", part, number, which, (left, top, side))
            cuts.append(((RANK[split], len(cuts)), b"".join(part), entry))
    splits = {split: [] for split, _ in SPLITS}
    for split, *entry in first_of_each(cuts):
        splits[split].append(tuple(entry))
    return splits


# -- questions, which see a name and nothing else ----------------------------------------------------------------------

def about_place(*names):
    """(category, question) about one place, of random words."""
    form, place = pick(("color", "shape", "choice"), *names, "form"), pick(PLACES, *names, "place")
    if form == "choice":
        one, other = pick([two for words in ASKED.values() for two in itertools.permutations(words, 2)], *names, "words")
        return form, f"at {place} {one} or {other} ?"
    return form, f"what {form} is at {place} ?"


def about_all(*names):
    """(category, question) about the whole view, of random words."""
    color, shape = pick(ASKED["color"], *names, "color"), pick(SHAPES, *names, "shape")
    if pick(("count", "yes-no"), *names, "form") == "yes-no":
        return "yes-no", f"is there any {color} {shape} ?"
    return "count", f"how many {pick(('shapes', f'{shape}s', f'{color} shapes', 'small shapes', 'large shapes'), *names, 'what')} ?"


def questions(cuts, seed):
    """file -> rows; those of one view stand together."""
    makes = {"open": lambda *names: ("describe", "describe the image"), "places": about_place, "counts": about_all}
    files = {kind: [] for kind in ASKS}
    for name, *_ in cuts:
        for kind, number in ASKS.items():
            asked = set()
            for i in range(number):
                category, question = makes[kind](seed, kind, name, i)
                if kind == "open" or question not in asked:
                    asked.add(question)
                    files[kind].append({"id": f"{name}-{i}", "image": f"images/{name}.png", "category": category, "question": question})
    return files


# -- pairs, made of gold -----------------------------------------------------------------------------------------------

def seen(structured, view):
    """What a view shows, in the model's words: a list of {cell, place, size, color, shape, clear}. color is None where the model
    has no word; clear says whether there is no doubt about the size."""
    left, top, side = view
    shapes = []
    for item in structured:
        column, row = ((item[axis] + item["size"] / 2 - at) * 3 // side for axis, at in (("x_loc", left), ("y_loc", top)))
        if 0 <= column < 3 and 0 <= row < 3:
            pixels, cell = item["size"] * 56 / side, int(3 * row + column)
            shapes.append({"cell": cell, "place": PLACES[cell], "size": ASKED["size"][pixels > LARGE], "color": COLORS[item["color"]],
                           "shape": item["type"], "clear": abs(pixels - LARGE) >= UNCLEAR})
    return shapes


def description(number, told):
    items = sorted(told, key=lambda item: PLACES.index(item["place"]))
    return " ; ".join([f"{NUMBERS[number]} shape{'' if number == 1 else 's'}"]
                      + [f"{item['place']} {item['size']} {item['color']} {item['shape']}" for item in items])


def open_pairs(shapes):
    """(how, question, right word, wrong word, chosen, rejected) of every description with one detail changed."""
    number, cells = len(shapes), [shape["cell"] for shape in shapes]
    told = [shape for shape in shapes if shape["color"] and cells.count(shape["cell"]) == 1]
    if not told or number > SHAPES_TOLD:
        return
    right = description(number, told)
    for other in range(1, SHAPES_TOLD + 1):
        if other != number:
            yield "described number", "describe the image", NUMBERS[number], NUMBERS[other], right, description(other, told)
    for i, item in enumerate(told):
        free = [place for cell, place in enumerate(PLACES) if cell not in cells]
        changes = [(aspect, word) for aspect, words in ASKED.items() for word in words
                   if word != item[aspect] and (aspect != "size" or item["clear"])]
        for aspect, word in changes + [("place", place) for place in free]:
            wrong = description(number, told[:i] + [item | {aspect: word}] + told[i + 1:])
            yield f"described {aspect}", "describe the image", item[aspect], word, right, wrong


def told_at(shapes, cell, aspect):
    """The one word that is true of a cell: of its shapes if they agree without doubt, "none" if it is empty; else None."""
    there = [shape for shape in shapes if shape["cell"] == cell]
    if not there:
        return "none"
    words = {shape[aspect] if shape["clear"] or aspect != "size" else None for shape in there}
    return words.pop() if len(words) == 1 else None


def closed_facts(shapes):
    """(how, question, right, what else could be answered)"""
    for aspect, words in ASKED.items():
        if aspect == "size" and not all(shape["clear"] for shape in shapes):
            continue
        for word in words:
            number = sum(shape[aspect] == word for shape in shapes)
            if number < len(NUMBERS):
                text = f"{word}s" if aspect == "shape" else f"{word} shapes"
                yield "count", f"how many {text} ?", NUMBERS[number], NUMBERS
    if len(shapes) < len(NUMBERS):
        yield "count", "how many shapes ?", NUMBERS[len(shapes)], NUMBERS[1:]
    for color, shape in itertools.product(ASKED["color"], SHAPES):
        there = any(item["color"] == color and item["shape"] == shape for item in shapes)
        yield "yes-no", f"is there any {color} {shape} ?", "yes" if there else "no", ("yes", "no")
    for cell, place in enumerate(PLACES):
        for aspect, words in ASKED.items():
            truth = told_at(shapes, cell, aspect)
            if truth and aspect != "size":
                yield aspect, f"what {aspect} is at {place} ?", truth, words + ("none",)
            for two in itertools.permutations(words, 2):
                if truth in two:
                    yield "choice", f"at {place} {two[0]} or {two[1]} ?", truth, two


def closed_pairs(shapes):
    for how, question, right, others in closed_facts(shapes):
        for wrong in others:
            if wrong != right:
                yield how, question, right, wrong, right, wrong


def twins(cuts, make, gold, seed):
    """how -> [(first pair, second pair)]: same question, the two words changed about; by chance."""
    sides = {}
    for name, _, number, which, view in cuts:
        for how, question, right, wrong, chosen, rejected in make(seen(gold[number][which], view)):
            row = {"image": f"images/{name}.png", "question": question, "chosen": chosen, "rejected": rejected, "category": how,
                   "how": f"{how}: {right} -> {wrong}"}
            sides.setdefault((how, question, right, wrong), []).append((chance(seed, name, question, chosen, rejected), row))
    found = {}
    for (how, question, right, wrong), rows in sides.items():
        if right < wrong:
            others = sides.get((how, question, wrong, right), [])
            for first, second in zip(sorted(rows, key=lambda row: row[0]), sorted(others, key=lambda row: row[0])):
                found.setdefault(how, []).append((first[0] ^ second[0], first[1], second[1]))
    return {how: [(first, second) for _, first, second in sorted(rows, key=lambda row: row[0])] for how, rows in sorted(found.items())}


def even(found, wanted):
    """`wanted` pairs, as equal a number of each kind as there is, those of views that were seldom shown first."""
    shown, chosen, left = {}, [], {how: list(rows) for how, rows in found.items()}
    while any(left.values()) and len(chosen) + 2 <= wanted:
        for how in sorted(left):
            if left[how] and len(chosen) + 2 <= wanted:
                at = min(range(len(left[how])), key=lambda i: max(shown.get((how, row["image"]), 0) for row in left[how][i]))
                for row in left[how].pop(at):
                    shown[how, row["image"]] = shown.get((how, row["image"]), 0) + 1
                    chosen.append(row)
    return chosen


def pairs(cuts, gold, split, seed):
    """Half of them descriptions, half short answers."""
    rows = [row for make in (open_pairs, closed_pairs) for row in even(twins(cuts, make, gold, seed), PAIRS[split] // 2)]
    return [{"id": f"{split}-{i}"} | row for i, row in enumerate(rows)]


# -- all of it ---------------------------------------------------------------------------------------------------------

def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_sets(out, splits, sets):
    os.makedirs(os.path.join(out, "images"), exist_ok=True)
    for cuts in splits.values():
        for name, rows, *_ in cuts:
            with open(os.path.join(out, "images", f"{name}.png"), "wb") as file:
                file.write(png_bytes(rows))
    for name, rows in sets.items():
        write_lines(os.path.join(out, f"{name}.jsonl"), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("corpus", help="folder with dev-500.jsonl and images/")
    parser.add_argument("out", help="folder to write, made if missing")
    parser.add_argument("--seed", type=int, default=1, help="which picture goes to which split, and what is asked (default 1)")
    given = parser.parse_args()
    records = load(given.corpus)
    splits = cut_views(given.corpus, records, given.seed)
    gold = [record["structured_rep"] for record in records]
    sets = questions(splits["questions"], given.seed) | {split: pairs(splits[split], gold, split, given.seed) for split in PAIRS}
    try:
        write_sets(given.out, splits, sets)
    except OSError as error:
        fail(f"{error.filename or given.out}: {error.strerror}; give a folder that can be written, with room for some MB")
    for name, rows in sets.items():
        print(f"{name + '.jsonl':15} {len(rows):5} rows, {len({row['image'] for row in rows}):4} views")


if __name__ == "__main__":
    main()
