"""check_quality.py GOLDEN FOLDER: what kerf-run perplexity and compare said against PyTorch (docs/quality.md).

FOLDER holds NAME.json and NAME.jsonl, the result and the log, of each run: perplexity as W-S, compare as `compare`.
"""
import json
import math
import pathlib
import sys

golden = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(sys.argv[2])
failed = False


def near(what, got, want, tolerance):
    global failed
    ok = abs(got - want) <= tolerance
    failed |= not ok
    print(f"{'ok' if ok else 'BAD'} {what}: {got:.9g}, PyTorch {want:.9g}, tolerance {tolerance:.2g}")


def read(name):
    result = json.loads((folder / f"{name}.json").read_text())
    events = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "start" and events[-1] == {**events[-1], "event": "exit", "status": 0}, events[-1]
    return result, [event for event in events if event["event"] == "window"]


for case in golden["perplexity"]:
    name = f"{case['window']}-{case['stride']}"
    result, windows = read(name)
    assert len(windows) == len(case["nats"]) == result["windows"]
    assert result["scored_tokens"] == case["scored_tokens"] == golden["tokens"]
    # 1e-4 a token is the bound; the golden is rounded to four digits.
    for window, nats in zip(windows, case["nats"]):
        if abs(window["nats"] - nats) > 1e-4 * window["scored_tokens"] + 1e-4:
            near(f"{name} window {window['index']}", window["nats"], nats, 1e-4 * window["scored_tokens"])
    near(f"{name} perplexity", result["perplexity"], case["perplexity"], 1e-5 * case["perplexity"])
    near(f"{name} error", result["perplexity_error"], case["perplexity_error"], 1e-3 * case["perplexity_error"])

result, windows = read("compare")
want = golden["compare"]
assert result["scored_tokens"] == want["scored_tokens"]
perplexity = next(case["perplexity"] for case in golden["perplexity"]
                  if (case["window"], case["stride"]) == (want["window"], want["stride"]))
near("perplexity of A", result["a"]["perplexity"], perplexity, 1e-5 * perplexity)
near("perplexity of B", result["b"]["perplexity"], want["perplexity_b"], 1e-3 * want["perplexity_b"])
near("mean KL", result["kl_mean"], want["kl_mean"], want["kl_mean"] / 4)
near("mean KL of the windows", sum(window["kl"] for window in windows) / want["scored_tokens"], result["kl_mean"],
     1e-7 * result["kl_mean"])
near("median KL", result["kl_median"], want["kl_median"], want["kl_median"] / 4)
near("99th percentile", math.log(result["kl_p99"]), math.log(want["kl_p99"]), math.log(1.5))
near("same best token", result["top1_agreement"], want["top1_agreement"], 4 * want["top1_agreement_error"])
near("perplexity ratio", result["perplexity_ratio"], want["perplexity_ratio"], 4 * want["perplexity_ratio_error"])
sys.exit(failed)
