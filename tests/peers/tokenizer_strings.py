"""The strings over which tokenizers are compared: string i is made of the atoms of a file by a small generator
that tests/engine/tokenizer-strings.h repeats in C, so that no string has to be kept."""
import hashlib

COUNT, BLOCK = 22000, 500
MASK = (1 << 64) - 1


class Random:
    """SplitMix64."""
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9e3779b97f4a7c15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK
        return (z ^ z >> 31) % n


def code_point(random):
    point = 1 + random.below(0x10ffff)
    return "\ufffd" if 0xd800 <= point < 0xe000 else chr(point)


def string(atoms, i):
    random, out = Random(i), []
    for _ in range(1 + random.below(12)):
        kind = random.below(8)
        if kind == 0:  # any characters
            out += [code_point(random) for _ in range(1 + random.below(4))]
        elif kind == 1:  # a run
            out.append(atoms[random.below(len(atoms))] * (2 + random.below(7)))
        else:
            out.append(atoms[random.below(len(atoms))])
    return "".join(out)


def digests(rows):
    """One short digest per block of id lists: each row's length, then its ids, as little-endian 32-bit numbers."""
    out = []
    for start in range(0, len(rows), BLOCK):
        block = hashlib.sha256()
        for row in rows[start:start + BLOCK]:
            block.update(b"".join(n.to_bytes(4, "little") for n in [len(row), *row]))
        out.append(block.hexdigest()[:16])
    return out
