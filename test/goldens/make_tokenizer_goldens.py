#!/usr/bin/env python3
"""Writes the tokenizer goldens: what Hugging Face `tokenizers` makes of texts that test it.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers
    /tmp/venv/bin/python test/goldens/make_tokenizer_goldens.py [NAME …]    # all variants, or these

The Python must know Unicode 14 (3.11 does), the newest that PCRE2 10.42 knows: no later code point is used.

tokenizer/variants.json   changes to the bundled model's tokenizer.json, by name; a dotted key reaches inside, null takes
                          the key away. "base" names another file to change, "swap" pairs of strings of which the
                          first becomes the second in every text
tokenizer/BASE.json       tokenizers of other families, in the form of published ones; trained here if missing
tokenizer/inputs.bin.gz   three counts (chunks of the 1 MB text, random strings, broken byte strings), then the records:
                          length, bytes; all numbers are little-endian u32
tokenizer/NAME.bin.gz     counts of chunks, strings, broken strings and decodes, then the low 32 bits of FNV-1a hashes: of
                          ids (as u32) and text for the whole text, for each record, and of text for each decode. The
                          whole text counts only if all chunks are there.
tokenizer/characters.txt  what BERT's steps make of every code point, as 32-bit hashes of all results one after another
Record i is encoded with special tokens around it if i is even and with special tokens in the text taken as text if
i % 4 == 3; it is decoded without special tokens if i % 3 == 0.
"""
import gzip
import json
import pathlib
import random
import struct
import sys
import unicodedata

import tokenizers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = HERE / "tokenizer"
MASK = (1 << 64) - 1
WHOLE = ("llama3", "qwen2", "llama2", "bert", "bert_bytes", "gpt2")
DECODES = 500

SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>",
            "<tool_call>", "</tool_call>", "<mask>", "<|im", " the ", "ﬁ", "é", "  "]
PICKED = ["", " ", "\n", "\r\n", "'s 'S 'ſ 'ſt 'ﬆ 'T 'RE 'Ve 'M 'LL 'D 'K", "I'M we'LL it'ſ x'ſy don’t", "a\u180eb \u180e c",
          "a\x85b\x85\x85 c", "\x1c\x1d\x1e\x1f x", "\u200b\u200c\u200d\u2060\ufeff", " unreachable'd zqzq zqzqz",
          "👩‍👩‍👧‍👦👍🏽🏳️‍🌈🇫🇷🇯🇵", "the theme bathe the,the (the) THE _the the1 ᵃthe", " <mask>  x<mask><mask> \u3000<mask>\u2003y",
          "<|im_start|>user\nhi<|im_end|>\n", "<|im_startx <|im|>", "e\u0301\u0327\u0323 \u1e9b\u0323 ﬁ ﬃ ½ Ⅷ ㍻ ﷺ",
          "가각힣 ᄀ\u1161\u11a8 \u1100\u1161", "\u0344\u0958\u2126\u212b\u0374\u1f71", "a\u08ca\u0301 e\u0c3c\u0301 a\u1dfa\u0327\u0301",
          "\U00011935\U00011930 \U00011938", "1234567890 ١٢٣٤ ²³ ⅣⅤ 一二三 1,000.50", "a.*b a.*a.*", "xx axx exxx 0aFg", "¼𨪩 a² ³, ¹-½ ¾a",
          "\x00\x01\x7f", "\ue000\U000f0000\U0010fffd"]


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value & 0xFFFFFFFF


def split_mix(state):
    """Steele, Lea and Flood, 2014; the test draws the same numbers."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def write(path, data):
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.write(data)


def assigned():
    assert unicodedata.unidata_version.startswith("14."), "this needs a Python that knows Unicode 14"
    kept = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    return [chr(c) for c in kept]


def words(rng, first, last, low, high, keep="LM"):
    alphabet = [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c))[0] in keep]
    return " ".join("".join(rng.choices(alphabet, k=rng.randint(low, high))) for _ in range(rng.randint(4, 14)))


def emoji(rng):
    base = [chr(c) for c in range(0x1F600, 0x1F650)] + [chr(c) for c in range(0x1F466, 0x1F47A)]
    one = rng.choice(base)
    kind = rng.randrange(4)
    if kind == 0:
        return one + chr(rng.randint(0x1F3FB, 0x1F3FF))
    if kind == 1:
        return "\u200d".join(rng.choices(base, k=rng.randint(2, 4))) + rng.choice(["", "\ufe0f"])
    if kind == 2:
        return "".join(chr(0x1F1E6 + rng.randrange(26)) for _ in range(2))
    return one * rng.randint(1, 3)


def code(rng):
    name = "".join(rng.choices("abcdefgh_xyzIJK", k=rng.randint(1, 10)))
    return rng.choice([
        f"def {name}(self, x: int) -> None:\n\treturn {{'{name}': x ** {rng.randint(0, 99)}}}\n",
        f"for (int i = 0; i < {rng.randint(0, 99999)}; ++i) {{\n    {name}[i] += 0x{rng.getrandbits(32):x};  // it's\n}}\n",
        f"SELECT {name}, COUNT(*) FROM t WHERE {name} >= {rng.random()} GROUP BY 1;\r\n",
        f"<div class=\"{name}\">&nbsp;{name}</div>\n\n\n", f"$ grep -rn '{name}' ./src | wc -l\n#!/bin/sh\n",
    ])


def marks(rng):
    return "".join(c + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(0, 5)))
                   for c in rng.choices("aeiounAEIOUÑçß ", k=rng.randint(5, 20)))


def chunks(rng):
    """About 1 MB in pieces of about 500 bytes, an English one after each two of other kinds."""
    english = (ROOT / "examples/texts/heldout.txt").read_text(encoding="utf-8")
    makers = [
        lambda: " ".join(emoji(rng) for _ in range(12)), lambda: words(rng, 0x4E00, 0x9FFF, 2, 12) + "。",
        lambda: words(rng, 0x3041, 0x30FF, 2, 9), lambda: words(rng, 0xAC00, 0xD7A3, 1, 5),
        lambda: words(rng, 0x620, 0x65F, 2, 9) + "؟", lambda: words(rng, 0x905, 0x94D, 2, 8), lambda: words(rng, 0xE01, 0xE4E, 5, 20),
        lambda: words(rng, 0x410, 0x44F, 2, 11), lambda: words(rng, 0x370, 0x3FF, 2, 9), lambda: words(rng, 0x5D0, 0x5EA, 2, 7),
        lambda: "".join(code(rng) for _ in range(3)), lambda: marks(rng),
        lambda: " ".join(str(rng.getrandbits(rng.randint(1, 90))) for _ in range(6)) + "٣٤٥ ५६७",
        lambda: "".join(rng.choices([" ", "  ", "\t", "\n", "\r\n", "\u3000", "\xa0", "\u2003", "x", "\u2028"], k=40)),
        lambda: "I'm you're he'S WE'VE they'll she'd don't 'tis rock'n'roll " + rng.choice(SPECIALS),
    ]
    made, size, place = [], 0, 0
    while size < 1_000_000:
        piece = ""
        while len(piece.encode()) < 450:
            piece += rng.choice(makers)() + rng.choice([" ", "\n", "", "  \n", ". "])
        if len(made) % 3 == 2 and place < len(english):
            piece = english[place:place + 600]
            place += 600
        made.append(piece)
        size += len(piece.encode())
    return made


def strings(rng):
    every = assigned()
    wild = [c for c in every if unicodedata.category(c)[0] in "MZPSC" or unicodedata.decomposition(c)]
    plain = [chr(c) for c in range(32, 127)] + list(" '\n\r\t  ")
    made = list(PICKED)
    while len(made) < 10_000:
        parts = []
        for _ in range(rng.randint(1, 26)):
            draw = rng.random()
            parts.append(rng.choice(every if draw < 0.45 else wild if draw < 0.6 else plain))
            if draw > 0.99:
                parts.append(rng.choice(SPECIALS))
        made.append("".join(parts))
    return made


def broken(rng):
    good = "aé€😀 z".encode()
    made = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe0\x80\xaf", b"a\xf0\x9f\x98z"]
    while len(made) < 1000:
        data = bytearray(rng.choices(good, k=rng.randint(1, 30)))
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), rng.choice(b"\xc2\xe0\xe2\xed\xf0\xf4\x80\xbf\x9f\xa0")])
        made.append(bytes(data))
    return made


def learn(model, trainer, normalizer, pre_tokenizer):
    """What `trainer` makes of the texts that come with Kerf, and of a little of other scripts."""
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    texts = [(ROOT / "examples/texts" / name).read_text(encoding="utf-8") for name in ("calibration.txt", "heldout.txt")]
    tokenizer.train_from_iterator(texts + chunks(random.Random(5))[:60], trainer)
    return json.loads(tokenizer.to_str())


def llama2():
    """Merges as SentencePiece has them: no piece goes past a space, but spaces join; the bytes come first."""
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=1200, limit_alphabet=250, show_progress=False)
    made = learn(tokenizers.models.BPE(), trainer, None, tokenizers.pre_tokenizers.Metaspace())
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += sorted(made["model"]["vocab"], key=made["model"]["vocab"].get) + ["▁▁", "▁▁▁▁"]
    special = [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i in range(3)]
    start, text = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [start, text], "pair": [start, text],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                  "vocab": {piece: i for i, piece in enumerate(pieces)},
                  "merges": [" ".join(pair) for pair in made["model"]["merges"]] + ["▁ ▁", "▁▁ ▁▁"]}}


def bert():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=1500, limit_alphabet=250, special_tokens=special,
                                                   show_progress=False)
    made = learn(tokenizers.models.WordPiece(unk_token="[UNK]"), trainer, tokenizers.normalizers.BertNormalizer(),
                 tokenizers.pre_tokenizers.BertPreTokenizer())
    made["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for i, name in ((2, "[CLS]"), (3, "[SEP]"))}}
    made["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return made


def base(name):
    if name == "bundled":
        path = ROOT / "examples/models/kerf-tiny-llama/tokenizer.json"
    else:
        path = OUT / f"{name}.json"
        if not path.exists():
            made = {"llama2": llama2, "bert": bert}[name]()
            path.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def variant(changes):
    config = base(changes.get("base", "bundled"))
    for key, value in changes.items():
        if key in ("base", "swap"):
            continue
        *path, last = key.split(".")
        at = config
        for name in path:
            at = at[name]
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return tokenizers.Tokenizer.from_str(json.dumps(config))


def encode(tokenizer, i, text):
    tokenizer.encode_special_tokens = i % 4 == 3
    return tokenizer.encode(text, add_special_tokens=i % 2 == 0).ids


def hashes(tokenizer, i, text):
    ids = encode(tokenizer, i, text)
    return [fnv(struct.pack(f"<{len(ids)}I", *ids)), fnv(tokenizer.decode(ids, skip_special_tokens=i % 3 == 0).encode())]


def characters():
    """Each of BERT's steps by itself; letters whose lower case came after Unicode 15 are left out of that."""
    def step(**only):
        off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return tokenizers.normalizers.BertNormalizer(**{**off, **only}).normalize_str

    split = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    later = {0x1C89, 0xA7CB, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA, 0xA7DC, *range(0x10D50, 0x10D66), *range(0x16EA0, 0x16EB9)}
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    steps = {
        "clean": map(step(clean_text=True), every), "ideographs": map(step(handle_chinese_chars=True), every),
        "accents": map(step(strip_accents=True), every),
        "lower": map(step(lowercase=True), (c for c in every if ord(c) not in later)),
        "split": ("|".join(piece for piece, _ in split(f"a{c}a")) for c in every)}
    lines = [f"{name} {fnv(''.join(results).encode()):08x}\n" for name, results in steps.items()]
    (OUT / "characters.txt").write_text("".join(lines), encoding="utf-8")


def main():
    characters()
    rng = random.Random(20220914)
    texts, short, bad = chunks(rng), strings(rng), broken(rng)
    records = [t.encode() for t in texts + short] + bad
    write(OUT / "inputs.bin.gz", struct.pack("<3I", len(texts), len(short), len(bad)) +
          b"".join(struct.pack("<I", len(r)) + r for r in records))
    for name, changes in json.loads((OUT / "variants.json").read_text(encoding="utf-8")).items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        tokenizer = variant(changes)

        def swapped(text):
            for old, new in changes.get("swap", []):
                text = text.replace(old, new)
            return text

        counts = (len(texts), len(short), len(bad)) if name in WHOLE else (60, 600, 40)
        found = hashes(tokenizer, 0, swapped("".join(texts[:counts[0]])))
        i = 0
        for group, count in zip((texts, short, [b.decode("utf-8", "replace") for b in bad]), counts):
            for text in group[:count]:
                found += hashes(tokenizer, i, swapped(text))
                i += 1
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        draw = split_mix(7)
        for i in range(DECODES):
            ids = [next(draw) % size for _ in range(next(draw) % 40)]
            found.append(fnv(tokenizer.decode(ids, skip_special_tokens=i % 3 == 0).encode()))
        write(OUT / f"{name}.bin.gz", struct.pack(f"<4I{len(found)}I", *counts, DECODES, *found))
        print(f"{name}: {len(found)} hashes")


if __name__ == "__main__":
    main()
