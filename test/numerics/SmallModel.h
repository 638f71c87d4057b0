// A model of two layers as text, its weights, and what plain scalar code makes of it.
#ifndef KERF_TEST_NUMERICS_SMALLMODEL_H
#define KERF_TEST_NUMERICS_SMALLMODEL_H

#include "codegen/reference/Model.h"
#include "test/numerics/Harness.h"

#include <map>

namespace kerf::test {

/// Tensors in memory.
class MemorySource : public TensorSource {
public:
  /// By name.
  std::map<std::string, Array> tensors;

  llvm::Error check(llvm::StringRef name, mlir::RankedTensorType type) const override {
    auto found = tensors.find(name.str());
    if (found == tensors.end() || llvm::ArrayRef<int64_t>(found->second.shape) != type.getShape() ||
        found->second.element != elementOf(type.getElementType()))
      return llvm::createStringError("no tensor '%s' of this type", name.str().c_str());
    return llvm::Error::success();
  }
  llvm::Error read(llvm::StringRef name, uint64_t begin, llvm::MutableArrayRef<char> destination) const override {
    std::vector<char> data = tensors.find(name.str())->second.encode();
    std::memcpy(destination.data(), data.data() + begin, destination.size());
    return llvm::Error::success();
  }
};

/// Two layers; 11 tokens, hidden 8, 4 query heads and 2 key heads of 4, 13 wide in between. Weights and cache have the
/// element type `stored`, activations are f32, so that scalar code in f64 follows closely.
struct SmallModel {
  static constexpr int64_t vocabulary = 11, hidden = 8, queryHeads = 4, keyHeads = 2, size = 4, inner = 13, layers = 2;

  Element stored;
  MemorySource source;

  explicit SmallModel(Element stored, unsigned seed = 21) : stored(stored) {
    std::mt19937 random(seed);
    auto add = [&](const std::string &name, std::vector<int64_t> shape, double spread) {
      source.tensors[name] = randomArray(random, stored, std::move(shape), spread);
    };
    add("embed", {vocabulary, hidden}, 1);
    for (int64_t layer = 0; layer < layers; ++layer) {
      std::string prefix = std::to_string(layer) + ".";
      add(prefix + "norm", {hidden}, 1);
      // Stored transposed, as Conv1D checkpoints do.
      add(prefix + "q", {hidden, queryHeads * size}, 0.5);
      add(prefix + "q_bias", {queryHeads * size}, 0.5);
      add(prefix + "k", {keyHeads * size, hidden}, 0.5);
      add(prefix + "v", {keyHeads * size, hidden}, 0.5);
      add(prefix + "o", {hidden, queryHeads * size}, 0.5);
      add(prefix + "mlp_norm", {hidden}, 1);
      add(prefix + "gate", {inner, hidden}, 0.5);
      // In two parts, which the program joins.
      add(prefix + "up_a", {6, hidden}, 0.5);
      add(prefix + "up_b", {inner - 6, hidden}, 0.5);
      add(prefix + "down", {hidden, inner}, 0.5);
    }
    add("norm", {hidden}, 1);
    add("head", {vocabulary, hidden}, 0.5);
  }

  std::string program() const {
    std::string e = text(stored), weights, body;
    auto take = [&](const std::string &name) {
      const Array &array = source.tensors.at(name);
      std::string type =
          array.shape.size() == 1 ? vectorOf(array.shape[0], stored) : matrixOf(array.shape[0], array.shape[1], stored);
      return "#kerf.take<\"" + name + "\" : " + type + ">";
    };
    auto weight = [&](const std::string &name, const std::string &type, const std::string &expression) {
      weights +=
          "kerf.weight @\"" + name + "\" : " + type + " format <#kerf.dense<" + e + ">> source " + expression + "\n";
      return "    %w = kerf.get_weight @\"" + name + "\" : " + type + "\n";
    };
    std::string x = rowsOf(hidden, Element::F32), q = rowsOf(queryHeads * size, Element::F32),
                k = rowsOf(keyHeads * size, Element::F32), m = rowsOf(inner, Element::F32),
                table = rowsOf(size, Element::F32), vector = vectorOf(hidden, stored);
    auto named = [](const std::string &line, const std::string &name) { return line + " loc(\"" + name + "\")\n"; };
    // Gives each weight a name of its own in the text.
    auto get = [&](const std::string &value, const std::string &name, const std::string &type,
                   const std::string &expression) {
      std::string line = weight(name, type, expression);
      return line.replace(line.find("%w"), 2, value);
    };
    auto linear = [&](const std::string &value, const std::string &input, const std::string &inputType,
                      const std::string &w, const std::string &wType, const std::string &out,
                      const std::string &outType, const std::string &name, const std::string &bias = "") {
      return named("    " + value + " = kerf.linear " + input + ", " + w + " " + bias + "outs(" + out + " : " +
                       outType + ") : " + inputType + ", " + wType,
                   name);
    };
    std::string cache = "%cache", stream = "%x0";
    for (int64_t layer = 0; layer < layers; ++layer) {
      std::string p = std::to_string(layer) + ".", n = std::to_string(layer), name = "layers." + n + ".";
      std::string wq = matrixOf(queryHeads * size, hidden, stored), wk = matrixOf(keyHeads * size, hidden, stored),
                  wo = matrixOf(hidden, queryHeads * size, stored), wm = matrixOf(inner, hidden, stored),
                  wd = matrixOf(hidden, inner, stored), bq = vectorOf(queryHeads * size, stored);
      body += "  %x" + std::to_string(layer + 1) + ", %cache" + std::to_string(layer + 1) + " = kerf.layer " + n +
              " (%h = " + stream + " : " + x + ", %c = " + cache + " : !kerf.cache) -> " + x + ", !kerf.cache {\n";
      body += get("%g", p + "norm", vector, take(p + "norm")) +
              get("%wq", p + "q", wq, "#kerf.transpose<" + take(p + "q") + ">") +
              get("%bq", p + "q_bias", bq, take(p + "q_bias")) + get("%wk", p + "k", wk, take(p + "k")) +
              get("%wv", p + "v", wk, take(p + "v")) + get("%wo", p + "o", wo, take(p + "o")) +
              get("%mg", p + "mlp_norm", vector, take(p + "mlp_norm")) + get("%wg", p + "gate", wm, take(p + "gate")) +
              get("%wu", p + "up", wm, "#kerf.concat<0, " + take(p + "up_a") + ", " + take(p + "up_b") + ">") +
              get("%wd", p + "down", wd, take(p + "down"));
      body += "    %ex = tensor.empty(%t) : " + x + "\n    %eq = tensor.empty(%t) : " + q +
              "\n    %ek = tensor.empty(%t) : " + k + "\n    %em = tensor.empty(%t) : " + m + "\n";
      body += named("    %n = kerf.rms_norm %h, %g eps 1.0e-5 outs(%ex : " + x + ") : " + x + ", " + vector,
                    name + "attn.norm");
      body += linear("%q", "%n", x, "%wq", wq, "%eq", q, name + "attn.q", "bias(%bq : " + bq + ") ");
      body += linear("%k", "%n", x, "%wk", wk, "%ek", k, name + "attn.k");
      body += linear("%v", "%n", x, "%wv", wk, "%ek", k, name + "attn.v");
      body += named("    %qr = kerf.rope %q, %table outs(%eq : " + q + ") : " + q + ", " + table, name + "attn.q.rope");
      body += named("    %kr = kerf.rope %k, %table outs(%ek : " + k + ") : " + k + ", " + table, name + "attn.k.rope");
      body += named("    %d = kerf.kv_append %kr, %v, %batch to %c group @kv plane " + n + " : " + k + ", " + k,
                    name + "attn.append");
      body += named("    %a = kerf.attention %qr, %work, %d group @kv plane " + n + " scale 0.5 outs(%eq : " + q +
                        ") : " + q,
                    name + "attn.attention");
      body += linear("%o", "%a", q, "%wo", wo, "%ex", x, name + "attn.o");
      body += named("    %s = kerf.add %h, %o outs(%ex : " + x + ") : " + x + ", " + x, name + "attn.add");
      body += named("    %mn = kerf.rms_norm %s, %mg eps 1.0e-5 outs(%ex : " + x + ") : " + x + ", " + vector,
                    name + "mlp.norm");
      body += linear("%gate", "%mn", x, "%wg", wm, "%em", m, name + "mlp.gate");
      body += linear("%up", "%mn", x, "%wu", wm, "%em", m, name + "mlp.up");
      body += named("    %act = kerf.gate silu %gate, %up outs(%em : " + m + ") : " + m + ", " + m, name + "mlp.act");
      body += linear("%down", "%act", m, "%wd", wd, "%ex", x, name + "mlp.down");
      body += named("    %y = kerf.add %s, %down outs(%ex : " + x + ") : " + x + ", " + x, name + "mlp.add");
      body += "    kerf.yield %y, %d : " + x + ", !kerf.cache\n  }\n";
      stream = "%x" + std::to_string(layer + 1), cache = "%cache" + std::to_string(layer + 1);
    }
    std::string rows = rowsOf(vocabulary, Element::F32), wv = matrixOf(vocabulary, hidden, stored);
    std::string head = get("%we", "embed", wv, take("embed")) + get("%gf", "norm", vector, take("norm")) +
                       get("%wh", "head", wv, take("head"));
    return "kerf.model \"small\" architecture \"LlamaForCausalLM\" checkpoint \"\" context 64 vocabulary 11 hidden 8 "
           "layers 2\nkerf.kv_group @kv planes 2 heads 2 head_dim 4 page_size 16 element " +
           e +
           "\nkerf.weight @frequencies : tensor<2xf32> format <#kerf.dense<f32>> source "
           "#kerf.literal<dense<[1.0, 0.125]> : tensor<2xf32>>\n" +
           weights + "func.func @step(%batch: !kerf.batch, %cache: !kerf.cache) -> (" + rows + ", !kerf.cache) {\n" +
           "  %t = kerf.extent tokens of %batch\n  %r = kerf.extent logit_rows of %batch\n"
           "  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>\n"
           "  %positions = kerf.batch_field positions of %batch : tensor<?xi32>\n"
           "  %chosen = kerf.batch_field logit_rows of %batch : tensor<?xi32>\n"
           "  %work = kerf.work_list of %batch group @kv mask #kerf.causal\n"
           "  %f = kerf.get_weight @frequencies : tensor<2xf32>\n" +
           head + "  %e0 = tensor.empty(%t) : " + x + "\n  %et = tensor.empty(%t) : " + table + "\n" +
           named("  %table = kerf.rope_table %positions, %f factor 1.0 outs(%et : " + table +
                     ") : tensor<?xi32>, tensor<2xf32>",
                 "rope") +
           named("  %x0 = kerf.embed %ids, %we outs(%e0 : " + x + ") : tensor<?xi32>, " + wv, "embed") + body +
           "  %er = tensor.empty(%r) : " + x + "\n  %el = tensor.empty(%r) : " + rows + "\n" +
           named("  %last = kerf.select " + stream + ", %chosen outs(%er : " + x + ") : " + x + ", tensor<?xi32>",
                 "select") +
           named("  %normed = kerf.rms_norm %last, %gf eps 1.0e-5 outs(%er : " + x + ") : " + x + ", " + vector,
                 "norm") +
           linear("%logits", "%normed", x, "%wh", wv, "%el", rows, "head") + "  return %logits, " + cache + " : " +
           rows + ", !kerf.cache\n}\n";
  }

  /// Logits of every token of a text, in f64 but for what the cache rounds.
  std::vector<std::vector<double>> logits(const std::vector<int32_t> &tokens) const {
    using Row = std::vector<double>;
    auto weight = [&](const std::string &name) -> const Array & { return source.tensors.at(name); };
    auto norm = [&](const Row &row, const Array &scale) {
      double squares = 0;
      for (double value : row)
        squares += value * value;
      Row result;
      for (size_t i = 0; i < row.size(); ++i)
        result.push_back(row[i] / std::sqrt(squares / row.size() + 1e-5) * scale.values[i]);
      return result;
    };
    auto product = [](const Row &row, const Array &matrix) {
      Row result(matrix.shape[0]);
      for (int64_t n = 0; n < matrix.shape[0]; ++n)
        for (size_t i = 0; i < row.size(); ++i)
          result[n] += row[i] * matrix.at(n, i);
      return result;
    };
    auto rope = [&](Row &row, int64_t position) {
      const double frequencies[] = {1, 0.125};
      for (size_t head = 0; head < row.size(); head += size)
        for (int i = 0; i < 2; ++i) {
          double cos = std::cos(position * frequencies[i]), sin = std::sin(position * frequencies[i]);
          double low = row[head + i], high = row[head + 2 + i];
          row[head + i] = low * cos - high * sin;
          row[head + 2 + i] = high * cos + low * sin;
        }
    };
    std::vector<Row> stream, keys[layers], values[layers], result;
    for (size_t position = 0; position < tokens.size(); ++position) {
      Row x;
      for (int64_t i = 0; i < hidden; ++i)
        x.push_back(weight("embed").at(tokens[position], i));
      for (int64_t layer = 0; layer < layers; ++layer) {
        std::string p = std::to_string(layer) + ".";
        Row n = norm(x, weight(p + "norm")), q(queryHeads * size), k = product(n, weight(p + "k")),
            v = product(n, weight(p + "v"));
        for (int64_t column = 0; column < queryHeads * size; ++column) {
          q[column] = weight(p + "q_bias").values[column];
          for (int64_t i = 0; i < hidden; ++i)
            q[column] += n[i] * weight(p + "q").at(i, column);
        }
        rope(q, position);
        rope(k, position);
        for (double &value : k)
          value = round(value, stored);
        for (double &value : v)
          value = round(value, stored);
        keys[layer].push_back(k);
        values[layer].push_back(v);
        Row a(queryHeads * size);
        for (int64_t head = 0; head < queryHeads; ++head) {
          int64_t keyHead = head / (queryHeads / keyHeads);
          double total = 0;
          for (size_t j = 0; j <= position; ++j) {
            double score = 0;
            for (int64_t i = 0; i < size; ++i)
              score += q[head * size + i] * keys[layer][j][keyHead * size + i];
            double p = std::exp(0.5 * score);
            total += p;
            for (int64_t i = 0; i < size; ++i)
              a[head * size + i] += p * values[layer][j][keyHead * size + i];
          }
          for (int64_t i = 0; i < size; ++i)
            a[head * size + i] /= total;
        }
        Row o = product(a, weight(p + "o"));
        for (int64_t i = 0; i < hidden; ++i)
          x[i] += o[i];
        Row m = norm(x, weight(p + "mlp_norm")), gate = product(m, weight(p + "gate")),
            up = product(m, weight(p + "up_a"));
        for (double value : product(m, weight(p + "up_b")))
          up.push_back(value);
        for (int64_t i = 0; i < inner; ++i)
          gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        Row down = product(gate, weight(p + "down"));
        for (int64_t i = 0; i < hidden; ++i)
          x[i] += down[i];
      }
      result.push_back(product(norm(x, weight("norm")), weight("head")));
    }
    return result;
  }
};

} // namespace kerf::test
#endif // KERF_TEST_NUMERICS_SMALLMODEL_H
