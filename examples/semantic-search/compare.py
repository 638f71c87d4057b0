"""Compares cosines from Kerf with those of transformers: compare.py CHECKPOINT SIMILARITY.json

SIMILARITY.json is what `kerf-run embed --similarity --json` printed. Pools by the mean and cuts at max_seq_length, as
all-MiniLM-L6-v2 says in its files.
"""
import json
import pathlib
import sys

import torch
import transformers

checkpoint, found = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2], encoding="utf-8"))
pooling = json.loads((checkpoint / "1_Pooling" / "config.json").read_text())
assert pooling["pooling_mode_mean_tokens"], "this script pools by the mean only"
longest = json.loads((checkpoint / "sentence_bert_config.json").read_text())["max_seq_length"]

tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
model = transformers.AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
vectors = []
with torch.inference_mode():
    for item in found["texts"]:
        # One text at a time: nothing is padded here either.
        inputs = tokenizer(item["text"], truncation=True, max_length=longest, return_tensors="pt")
        assert inputs["input_ids"].shape[1] == item["tokens"], f"{item['text']!r}: other tokens"
        rows = model(**inputs).last_hidden_state[0]
        vectors.append(torch.nn.functional.normalize(rows.mean(0), dim=0))
expected = torch.stack(vectors) @ torch.stack(vectors).T
difference = (torch.tensor([item["similarity"] for item in found["texts"]]) - expected).abs().max().item()
print(f"{len(vectors)} texts, {len(vectors) ** 2} cosines: the largest difference is {difference:.1e}")
assert difference < 1e-4, "cosines differ from those of transformers"
