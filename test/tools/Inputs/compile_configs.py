"""Compiles a sparse checkpoint of every published config.json up to the kernels: compile_configs.py COMPILER CONFIGS DIR"""
import pathlib
import shutil
import subprocess
import sys

compiler, configs, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
script = pathlib.Path(__file__).parent / "sparse_checkpoint.py"
count = 0
for config in sorted(path.parent for path in configs.glob("*/config.json")):
    checkpoint = work / config.name
    subprocess.run([sys.executable, script, config, checkpoint], check=True)
    compiled = subprocess.run([compiler, checkpoint, "--variants=avx2", "--compile-to=kernels", "-o", work / "kernels.mlir"],
                              stderr=subprocess.PIPE, text=True)
    assert compiled.returncode == 0, (config.name, compiled.stderr)
    text = (work / "kernels.mlir").read_text()
    layers = text.count("kerf.dispatch @attention_")
    # Eight dispatches for each layer. Around them: embedding, selection, norm and logits, or embedding, norm, pooling and
    # normalization; and the rope table, or the embedding of positions and its sum.
    around = 4 + (1 if "kerf.dispatch @rope_table_" in text else 2)
    assert layers and text.count("kerf.dispatch @") == 8 * layers + around, (config.name, layers)
    shutil.rmtree(checkpoint)
    count += 1
print(count, "published configs compile")
