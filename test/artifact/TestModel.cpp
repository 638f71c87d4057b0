//===- TestModel.cpp - a small checkpoint and the module over it ----------===//
#include "test/artifact/TestModel.h"

#include "mlir/Parser/Parser.h"

#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

using namespace mlir;
using namespace kerf;
using namespace kerf::test;

std::string kerf::test::readAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string kerf::test::moduleText(const std::string &name, const std::string &path) {
  return "kerf.model \"" + name + "\" architecture \"LlamaForCausalLM\" checkpoint \"" + path +
         "\" context 100 vocabulary 99 hidden 24 layers 1\n" + R"mlir(
kerf.kv_group @kv planes 2 heads 2 head_dim 4 page_size 16 element bf16
kerf.weight @fused : tensor<60x24xbf16> format <#kerf.dense<bf16>>
  source #kerf.concat<0, #kerf.take<"a" : tensor<37x24xbf16>>, #kerf.take<"b" : tensor<23x24xbf16>>>
kerf.weight @again : tensor<37x24xbf16> format <#kerf.dense<bf16>> source #kerf.take<"a" : tensor<37x24xbf16>>
kerf.weight @wide : tensor<37x45xbf16> format <#kerf.dense<bf16>>
  source #kerf.concat<1, #kerf.take<"a" : tensor<37x24xbf16>>, #kerf.take<"c" : tensor<37x21xbf16>>>
kerf.weight @turned : tensor<45x70xf32> format <#kerf.dense<f32>>
  source #kerf.transpose<#kerf.take<"d" : tensor<70x45xf32>>>
kerf.weight @tall : tensor<3001x700xf16> format <#kerf.dense<f16>> source #kerf.take<"tall" : tensor<3001x700xf16>>
kerf.weight @norm : tensor<24xbf16> format <#kerf.dense<bf16>> source #kerf.take<"norm" : tensor<24xbf16>>
kerf.weight @halves : tensor<5xf16> format <#kerf.dense<f16>> source #kerf.take<"halves" : tensor<5xf16>>
kerf.weight @rope : tensor<2xf32> format <#kerf.dense<f32>> source #kerf.literal<dense<[1.0, 0.25]> : tensor<2xf32>>
kerf.program @step slots [#kerf.size<100, 1000>, #kerf.size<0, 64, 8, 4, 16>]
    work_lists [#kerf.work<@kv, #kerf.causal>] results [#kerf.result<logits, 99>] {
  kerf.dispatch @run [#kerf.weight_ref<@fused>, #kerf.slot_ref<0>] rows tokens origin "embed" bytes <0, 8> operations <>
  kerf.dispatch @run [#kerf.slot_ref<0>, #kerf.slot_ref<1>] rows work_items origin "layers.0.attention" bytes <0, 8> operations <>
  kerf.dispatch @run [#kerf.slot_ref<1>, #kerf.slot_ref<0>] rows tokens origin "layers.0.mlp" bytes <0, 8> operations <>
  kerf.dispatch @run [#kerf.slot_ref<0>, #kerf.result_ref<0>] rows logit_rows origin "logits" bytes <0, 8> operations <>
}
kerf.variant @narrow attention_tile 4 {
  kerf.kernel @run tile 1 columns 1 stack 320
}
kerf.variant @broad attention_tile 9 {
  kerf.kernel @run tile 1 columns 1 stack 128
}
)mlir";
}

void TestModel::add(const std::string &tensor, const std::string &dtype, std::vector<int64_t> shape) {
  std::mt19937 random(static_cast<unsigned>(tensors_.size()));
  size_t elements = 1;
  for (int64_t extent : shape)
    elements *= extent;
  std::string bytes(elements * (dtype == "F32" ? 4 : 2), '\0');
  for (char &byte : bytes)
    byte = char(random());
  tensors_[tensor] = {dtype, std::move(shape), std::move(bytes)};
}

TestModel::TestModel(const std::string &name) : name(name) {
  add("a", "BF16", {37, 24});
  add("b", "BF16", {23, 24});
  add("c", "BF16", {37, 21});
  add("d", "F32", {70, 45});
  add("tall", "F16", {3001, 700});
  add("norm", "BF16", {24});
  add("halves", "F16", {5});
  tensors_["halves"].bytes = std::string("\x00\x3c\x00\xc0\x01\x00\x00\x7c\xff\x7b", 10); // 1 -2 2^-24 inf 65504

  std::string header = "{", data;
  for (const auto &[key, tensor] : tensors_) {
    header += (data.empty() ? "\"" : ",\"") + key + "\":{\"dtype\":\"" + tensor.dtype +
              "\",\"shape\":" + formatShape(tensor.shape) + ",\"data_offsets\":[" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + tensor.bytes.size()) + "]}";
    data += tensor.bytes;
  }
  directory.write("model.safetensors", safetensorsHead(header + "}") + data);
  directory.write("config.json", llamaConfig({{"eos_token_id", "7"}, {"num_hidden_layers", "1"}}));
  directory.write("generation_config.json", "{\"eos_token_id\":[3,5],\"bos_token_id\":1,\"do_sample\":true,"
                                            "\"temperature\":0.5,\"top_k\":40,\"top_p\":0.75,\"min_p\":0.1}");
  directory.write("chat_template.jinja", "{{ messages }}");
  context.loadDialect<KerfDialect>();
  module = parseSourceString<ModuleOp>(moduleText(name, directory.path()), &context);
  EXPECT_TRUE(module);
}

std::string TestModel::row(const std::string &tensor, int64_t row) const {
  const TestTensor &found = tensors_.at(tensor);
  const size_t bytes = found.bytes.size() / found.shape[0];
  return found.bytes.substr(row * bytes, bytes);
}

PackageInput TestModel::input() {
  llvm::Expected<Checkpoint> opened = Checkpoint::open(directory.path());
  EXPECT_TRUE(bool(opened));
  checkpoint = std::make_unique<Checkpoint>(std::move(*opened));
  PackageInput input;
  input.module = *module;
  input.checkpoint = checkpoint.get();
  input.compilerVersion = "0.1.0-test";
  input.compilerFlags = "--flag";
  input.target = "x86-64";
  input.pageBytes = [](KvGroupOp group) {
    return uint64_t(group.getHeads() * group.getHeadDim() * group.getPageSize() * 4);
  };
  input.buildId = computeBuildId(*module, {}, *checkpoint, input.compilerVersion, input.compilerFlags);
  input.threads = 1;
  return input;
}

kerf_library TestModel::library() {
  static const kerf_operand slot = {KERF_OPERAND_SLOT, 0, 0, 0};
  static const kerf_dispatch dispatch = {0, KERF_EXTENT_TOKENS, 1, sizeof slot, &slot, "test", {}, {}};
  static const kerf_dispatch dispatches[] = {dispatch, dispatch, dispatch, dispatch};
  static const kerf_slot slots[] = {{{{100, 1000}}}, {{{0, 64, 8, 4, 16}}}};
  static const kerf_work_list lists[] = {{0, KERF_UNBOUNDED, 0, 0}};
  static const kerf_result results[] = {{KERF_RESULT_LOGITS, KERF_EXTENT_LOGIT_ROWS, 99, KERF_ELEMENT_F32}};
  static const kerf_program programs[] = {{"step", 4, sizeof dispatch, 2, sizeof(kerf_slot), 1, sizeof(kerf_work_list),
                                           1, sizeof(kerf_result), dispatches, slots, lists, results}};
  static const auto run = [](void *const *, int64_t, int64_t) {};
  static const kerf_kernel narrow[] = {{"run", run, 1, 1, 320}};
  static const kerf_kernel broad[] = {{"run", run, 1, 1, 128}};
  static const kerf_variant variants[] = {{"narrow", 0, 1, sizeof(kerf_kernel), 4, 0, narrow},
                                          {"broad", 0, 1, sizeof(kerf_kernel), 9, 0, broad}};
  const PackageInput from = input();
  weightBytes.clear();
  for (WeightOp weight : module->getOps<WeightOp>())
    weightBytes.push_back(packedBytes(weight));
  groups = {{2, 16, 2 * 4 * 16 * 4}};
  kerf_library library = {KERF_ABI_VERSION,
                          sizeof(kerf_library),
                          {},
                          name.c_str(),
                          2,
                          sizeof(kerf_variant),
                          1,
                          sizeof(kerf_program),
                          uint32_t(weightBytes.size()),
                          1,
                          sizeof(kerf_cache_group),
                          0,
                          variants,
                          programs,
                          weightBytes.data(),
                          groups.data(),
                          99,
                          100,
                          0,
                          0,
                          nullptr};
  std::copy(from.buildId.begin(), from.buildId.end(), library.build_id);
  return library;
}
