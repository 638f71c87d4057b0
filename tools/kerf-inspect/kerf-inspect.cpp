// kerf-inspect: shows what is in a package: manifest, memory, certificate, weights, provenance. Needs no library beside
// it but for --kernels, and runs none of its kernels.
#include "runtime/cuda/Gpu.h"
#include "runtime/cuda/Variant.h"
#include "runtime/loader/Certificate.h"
#include "runtime/loader/Package.h"
#include "runtime/support/Error.h"
#include "runtime/support/Sha256.h"
#include "tools/kerf-inspect/Kernels.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Report.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>

using namespace kerf::rt;
using kerf::tools::JsonWriter;
using kerf::tools::printable;
namespace schema = kerf::schema;

namespace {

struct Options {
  std::string path;
  kerf_plan_options ceilings = {};
  uint32_t threads = 0;
  std::string driver;
  std::optional<uint32_t> device;
  bool weights = false, slots = false, plan = false, kernels = false, verify = false, json = false;
};

// Weights of one numeric format and stored layout.
struct FormatSum {
  uint64_t count = 0, parameters = 0, bytes = 0;
  double bits() const { return parameters ? 8.0 * double(bytes) / double(parameters) : 0; }
};
using FormatKey = std::pair<std::string, std::string>;

kerf_linear_form sum(const std::vector<kerf_linear_form> &forms) {
  kerf_linear_form total = {};
  for (const kerf_linear_form &form : forms)
    for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
      __builtin_add_overflow(total.coefficient[e], form.coefficient[e], &total.coefficient[e]);
  return total;
}

struct Report {
  explicit Report(const Options &options) : package(options.path), terms(certificateTerms(package)) {
    report = evaluateCertificate(terms, resolveCeilings(terms, options.threads, options.ceilings));
    if (options.kernels)
      kernels.emplace(package);
    if (options.device || !options.driver.empty())
      gpu.emplace(kerf::cuda::Driver::open(options.driver.c_str()), options.device.value_or(0));
    for (const schema::Weight *weight : *manifest().weights()) {
      FormatSum &sum = formats[{weight->format()->str(), weight->layout()->str()}];
      ++sum.count;
      sum.bytes += weight->size();
      sum.parameters += parameters(*weight);
    }
  }
  const schema::Manifest &manifest() const { return package.manifest(); }
  static uint64_t parameters(const schema::Weight &weight) {
    uint64_t count = 1;
    if (weight.shape())
      for (const int64_t extent : *weight.shape())
        if (__builtin_mul_overflow(count, uint64_t(extent), &count))
          return 0;
    return count;
  }
  // The arena of a program as one form: slots lie one after another, each rounded up to 64 bytes.
  kerf_linear_form arenaForm(size_t program) const { return sum(terms.programs[program].slots); }

  Package package;
  CertificateTerms terms;
  kerf_plan_report report;
  std::optional<kerf::tools::Kernels> kernels;
  std::optional<kerf::cuda::Gpu> gpu;
  std::map<FormatKey, FormatSum> formats;
};

std::string shapeText(const schema::Weight &weight) {
  std::string text;
  if (weight.shape())
    for (const int64_t extent : *weight.shape())
      text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text.empty() ? "scalar" : text;
}

std::string joined(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>> *texts, const char *between) {
  std::string all;
  if (texts)
    for (const flatbuffers::String *text : *texts)
      all += (all.empty() ? "" : between) + text->str();
  return all;
}

// Texts of a manifest, for a terminal.
std::string shown(const flatbuffers::String *text) { return printable(textOr(text, "")); }
std::string shown(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>> *texts) {
  return printable(joined(texts, ", "));
}

std::string idsText(const flatbuffers::Vector<int32_t> *ids) {
  std::string all;
  if (ids)
    for (const int32_t id : *ids)
      all += (all.empty() ? "" : ", ") + std::to_string(id);
  return all.empty() ? "none" : all;
}

struct Term {
  const char *name;
  uint64_t bytes;
};

// The parts of r.total.
std::vector<Term> memoryTerms(const kerf_plan_report &r) {
  std::vector<Term> terms;
  if (!r.device)
    terms = {{"weights (mapped)", r.weights}, {"KV cache", r.cache}, {"activation arena", r.arena}};
  for (const Term &term :
       {Term{"manifest and tokenizer", r.manifest}, Term{"step arrays", r.step}, Term{"results", r.results},
        Term{"sampler", r.sampler}, Term{"page tables and records", r.sequences}, Term{"thread stacks", r.stacks}})
    terms.push_back(term);
  return terms;
}

// The parts of r.device.
std::vector<Term> deviceTerms(const kerf_plan_report &r) {
  return {
      {"KV cache", r.cache}, {"activation arena", r.arena}, {"weights, results, arrays", r.device - r.cache - r.arena}};
}

void printTerms(const std::vector<Term> &terms, uint64_t total) {
  for (const Term &term : terms)
    std::printf("  %-26s %16llu  %5.1f%%\n", term.name, (unsigned long long)term.bytes,
                100.0 * double(term.bytes) / double(total));
  std::printf("  %-26s %16llu  = %s\n", "total", (unsigned long long)total, formatBytes(total).c_str());
}

// Where rows of a work list see keys.
std::string maskText(const schema::WorkList &list) {
  auto bound = [](int32_t positions) {
    return positions == KERF_UNBOUNDED ? std::string("all") : std::to_string(positions);
  };
  if (list.behind() == KERF_UNBOUNDED && list.ahead() == 0)
    return "causal";
  if (list.behind() == KERF_UNBOUNDED && list.ahead() == KERF_UNBOUNDED)
    return "bidirectional";
  if (list.ahead() == 0)
    return "causal within " + bound(list.behind());
  return "within " + bound(list.behind()) + " behind and " + bound(list.ahead()) + " ahead";
}

const char *nameOf(schema::ResultKind kind) {
  return kind == schema::ResultKind::Logits ? "logits" : kind == schema::ResultKind::Tokens ? "tokens" : "vectors";
}

std::string resultText(const schema::Result &result) {
  return nameOf(result.kind()) +
         (result.kind() == schema::ResultKind::Tokens ? std::string() : " of " + std::to_string(result.columns()));
}

// What the bits of a row depend on; nothing where the package is older than this promise.
std::string bitsText(const schema::OrderBands *bands) {
  if (!bands)
    return "";
  const flatbuffers::Vector<uint32_t> &first = *bands->first_rows();
  if (first.size() <= 1 && !bands->by_item())
    return "a row's depend on its own sequence alone";
  std::string text = "a row's depend on";
  for (uint32_t i = 0; first.size() > 1 && i < first.size(); ++i)
    text += (i ? " or " : " whether the step has ") + std::to_string(first.Get(i)) +
            (i + 1 < first.size() ? " to " + std::to_string(uint64_t(first.Get(i + 1)) - 1) : " or more rows");
  if (bands->by_item())
    text += std::string(first.size() > 1 ? ", and" : "") + " whether it is alone in its work item";
  return text;
}

void printManifest(const Report &r) {
  const schema::Manifest &m = r.manifest();
  std::printf("%s: %s, %u layers, hidden %u, vocabulary %u, context %u, computes in %s\n",
              shown(m.model_name()).c_str(), shown(m.architecture()).c_str(), m.layers(), m.hidden(), m.vocabulary(),
              m.context(), schema::EnumNameElementType(m.compute_type()));
  std::printf("  file          %s, schema %u.%u\n", formatBytes(r.package.fileBytes()).c_str(), m.schema_major(),
              m.schema_minor());
  std::printf("  build id      %s\n", hexDigits(m.build_id()->data(), 32).c_str());
  std::printf("  target        %s; variants %s\n", shown(m.target()).c_str(), shown(m.variants()).c_str());
  for (const schema::Program *program : *m.programs()) {
    std::printf("  program       %s: %u dispatches, %u a layer; gives", shown(program->name()).c_str(),
                program->dispatches(), program->dispatches_per_layer());
    for (uint32_t i = 0; i < program->results()->size(); ++i)
      std::printf("%s %s", i ? "," : "", resultText(*program->results()->Get(i)).c_str());
    std::printf("\n");
    if (program->work_lists())
      for (const schema::WorkList *list : *program->work_lists())
        std::printf("  attention     %s over KV '%s'\n", maskText(*list).c_str(),
                    shown(m.groups()->Get(list->group())->name()).c_str());
  }
  if (const std::string bits = bitsText(m.order_bands()); !bits.empty())
    std::printf("  bits          %s\n", bits.c_str());
  const schema::Tokenizer *tokenizer = m.tokenizer();
  if (tokenizer)
    std::printf("  tokenizer     %u tokens\n",
                tokenizer->token_offsets()->size() ? tokenizer->token_offsets()->size() - 1 : 0);
  else
    std::printf("  tokenizer     none\n");
  std::printf("  chat template %s\n", m.chat_template() ? "yes" : "none");
  if (m.generation())
    std::printf("  begin %s; end %s\n", idsText(m.generation()->bos()).c_str(), idsText(m.generation()->eos()).c_str());
}

void printCertificate(const Report &r, const Options &options) {
  const kerf_plan_report &c = r.report;
  std::printf("\nmemory certificate, in bytes (T rows of a step, S sequences, R rows with logits, W work items,\n"
              "C keys cached, A keys attended; slots are rounded up to %u bytes, buffers to pages)\n",
              KERF_ALIGNMENT);
  std::printf("  weights   %llu\n", (unsigned long long)c.weights);
  for (const schema::CacheGroup *group : *r.manifest().groups()) {
    const unsigned page = group->page_size();
    std::printf("  KV '%s'   %llu per page of %u positions (%u planes of %llu); pages: S * ceil(context / %u)",
                shown(group->name()).c_str(), (unsigned long long)(group->page_bytes() * group->planes()), page,
                group->planes(), (unsigned long long)group->page_bytes(), page);
    if (r.terms.wholeTexts)
      std::printf(", at most floor((T + min(S, T) * %u) / %u)", page - 1, page);
    std::printf("\n");
  }
  for (size_t p = 0; p < r.terms.programs.size(); ++p) {
    std::printf("  arena of '%s'   %s\n", shown(r.manifest().programs()->Get(uint32_t(p))->name()).c_str(),
                formatForm(r.arenaForm(p)).c_str());
    if (options.slots)
      for (size_t s = 0; s < r.terms.programs[p].slots.size(); ++s)
        std::printf("    %-32s %s\n",
                    shown(r.manifest().programs()->Get(uint32_t(p))->slots()->Get(uint32_t(s))->name()).c_str(),
                    formatForm(r.terms.programs[p].slots[s]).c_str());
  }
  for (size_t p = 0; p < r.terms.programs.size(); ++p)
    std::printf("  results of '%s'   %s\n", shown(r.manifest().programs()->Get(uint32_t(p))->name()).c_str(),
                formatForm(sum(r.terms.programs[p].results)).c_str());
  std::printf("  stacks    %llu a thread\n", (unsigned long long)(r.terms.kernelStack + kThreadStack));
  std::printf("\nat T = %u, S = %u, context = %u, R = %u, W = %u, %u thread%s\n", c.max_tokens, c.max_sequences,
              c.context, c.max_logit_rows, c.max_work_items, c.threads, c.threads == 1 ? "" : "s");
  printTerms(memoryTerms(c), c.total);
  if (!c.device)
    return;
  std::printf("\nof the GPU's memory, in blocks of %s\n", formatBytes(kDeviceBlock).c_str());
  printTerms(deviceTerms(c), c.device);
}

// The GPU that was asked for, beside what the model needs of one.
void printGpu(const Report &r) {
  const kerf::cuda::Driver &driver = r.gpu->driver();
  std::printf("  on '%s' of compute capability %s, driver %s: %s free\n", printable(r.gpu->name()).c_str(),
              kerf::cuda::architectureText(r.gpu->architecture()).c_str(),
              kerf::cuda::versionText(driver.version()).c_str(), formatBytes(r.gpu->freeMemory()).c_str());
}

void printWeights(const Report &r, const Options &options) {
  std::printf("\nweights by format\n  %-24s %-12s %6s %16s %16s %7s\n", "format", "layout", "count", "parameters",
              "bytes", "bits");
  for (const auto &[key, sum] : r.formats)
    std::printf("  %-24s %-12s %6llu %16llu %16llu %7.3f\n", printable(key.first).c_str(),
                printable(key.second).c_str(), (unsigned long long)sum.count, (unsigned long long)sum.parameters,
                (unsigned long long)sum.bytes, sum.bits());
  if (!options.weights)
    return;
  std::printf("\nweights\n");
  for (const schema::Weight *weight : *r.manifest().weights())
    std::printf("  %-40s %-16s %-12s %-10s %14llu at %-14llu from %s\n", shown(weight->name()).c_str(),
                shapeText(*weight).c_str(), shown(weight->format()).c_str(), shown(weight->layout()).c_str(),
                (unsigned long long)weight->size(), (unsigned long long)weight->offset(),
                shown(weight->sources()).c_str());
}

void printProvenance(const Report &r, const Options &options) {
  const schema::Manifest &m = r.manifest();
  std::printf("\nprovenance\n  compiler %s\n  flags    %s\n", shown(m.compiler_version()).c_str(),
              shown(m.compiler_flags()).c_str());
  if (m.source_hashes())
    for (const schema::KeyValue *source : *m.source_hashes())
      std::printf("  %s  %s\n", shown(source->value()).c_str(), shown(source->key()).c_str());
  if (!options.plan)
    return;
  std::printf("\nplan\n");
  std::istringstream plan(textOr(m.plan(), ""));
  for (std::string line; std::getline(plan, line);)
    std::printf("%s\n", printable(line).c_str());
}

void writeFields(JsonWriter &json, const Report &r, const Options &options) {
  const schema::Manifest &m = r.manifest();
  const kerf_plan_report &c = r.report;
  json.value("model", m.model_name()->c_str());
  json.value("architecture", m.architecture()->c_str());
  json.value("layers", m.layers());
  json.value("hidden", m.hidden());
  json.value("vocabulary", m.vocabulary());
  json.value("context", m.context());
  json.value("compute_type", schema::EnumNameElementType(m.compute_type()));
  json.value("file_bytes", r.package.fileBytes());
  json.value("schema", std::to_string(m.schema_major()) + "." + std::to_string(m.schema_minor()));
  json.value("build_id", hexDigits(m.build_id()->data(), 32));
  json.value("target", m.target()->c_str());
  json.value("compiler_version", m.compiler_version()->c_str());
  json.value("compiler_flags", textOr(m.compiler_flags(), ""));
  if (const schema::OrderBands *bands = m.order_bands()) {
    json.beginArray("order_bands");
    for (const uint32_t rows : *bands->first_rows())
      json.value({}, rows);
    json.endArray();
    json.value("order_by_item", bands->by_item());
  }
  json.beginArray("variants");
  for (const flatbuffers::String *variant : *m.variants())
    json.value({}, variant->c_str());
  json.endArray();
  json.beginArray("programs");
  for (uint32_t p = 0; p < m.programs()->size(); ++p) {
    const schema::Program &program = *m.programs()->Get(p);
    json.beginObject();
    json.value("name", program.name()->c_str());
    json.value("dispatches", program.dispatches());
    json.value("dispatches_per_layer", program.dispatches_per_layer());
    json.value("arena", formatForm(r.arenaForm(p)));
    json.beginArray("slots");
    for (uint32_t s = 0; s < r.terms.programs[p].slots.size(); ++s) {
      json.beginObject();
      json.value("name", textOr(program.slots()->Get(s)->name(), ""));
      json.value("bytes", formatForm(r.terms.programs[p].slots[s]));
      json.endObject();
    }
    json.endArray();
    json.beginArray("work_lists");
    for (uint32_t i = 0; program.work_lists() && i < program.work_lists()->size(); ++i) {
      const schema::WorkList &list = *program.work_lists()->Get(i);
      json.beginObject();
      json.value("kv_group", m.groups()->Get(list.group())->name()->c_str());
      json.value("mask", maskText(list));
      json.endObject();
    }
    json.endArray();
    json.beginArray("results");
    for (const schema::Result *result : *program.results()) {
      json.beginObject();
      json.value("kind", nameOf(result->kind()));
      json.value("columns", result->columns());
      json.endObject();
    }
    json.endArray();
    json.endObject();
  }
  json.endArray();
  json.beginArray("kv_groups");
  for (const schema::CacheGroup *group : *m.groups()) {
    json.beginObject();
    json.value("name", group->name()->c_str());
    json.value("planes", group->planes());
    json.value("heads", group->heads());
    json.value("head_dim", group->head_dim());
    json.value("element", schema::EnumNameElementType(group->element()));
    json.value("page_size", group->page_size());
    json.value("page_bytes", group->page_bytes());
    json.endObject();
  }
  json.endArray();
  json.beginObject("certificate");
  json.value("max_tokens", c.max_tokens);
  json.value("max_sequences", c.max_sequences);
  json.value("context", c.context);
  json.value("max_logit_rows", c.max_logit_rows);
  json.value("threads", c.threads);
  json.beginObject("bytes");
  for (const Term &term : memoryTerms(c))
    json.value(term.name, term.bytes);
  json.value("total", c.total);
  json.endObject();
  if (c.device) {
    json.beginObject("device_bytes");
    for (const Term &term : deviceTerms(c))
      json.value(term.name, term.bytes);
    json.value("total", c.device);
    json.endObject();
  }
  json.endObject();
  json.beginArray("formats");
  for (const auto &[key, sum] : r.formats) {
    json.beginObject();
    json.value("format", key.first);
    json.value("layout", key.second);
    json.value("count", sum.count);
    json.value("parameters", sum.parameters);
    json.value("bytes", sum.bytes);
    json.value("bits_per_parameter", sum.bits());
    json.endObject();
  }
  json.endArray();
  if (options.weights) {
    json.beginArray("weights");
    for (const schema::Weight *weight : *m.weights()) {
      json.beginObject();
      json.value("name", weight->name()->c_str());
      json.value("shape", shapeText(*weight));
      json.value("format", weight->format()->c_str());
      json.value("layout", weight->layout()->c_str());
      json.value("offset", weight->offset());
      json.value("size", weight->size());
      json.value("sources", joined(weight->sources(), ", "));
      json.endObject();
    }
    json.endArray();
  }
  json.beginObject("sources");
  if (m.source_hashes())
    for (const schema::KeyValue *source : *m.source_hashes())
      json.value(source->key()->c_str(), source->value()->c_str());
  json.endObject();
  if (r.gpu) {
    json.beginObject("gpu");
    json.value("name", r.gpu->name());
    json.value("architecture", r.gpu->architecture());
    json.value("driver", kerf::cuda::versionText(r.gpu->driver().version()));
    json.value("free_bytes", r.gpu->freeMemory());
    json.endObject();
  }
  if (r.kernels)
    r.kernels->write(json);
  if (options.plan)
    json.value("plan", textOr(m.plan(), ""));
  if (options.verify)
    json.value("verified", true);
}

void inspect(const Options &options) {
  const Report report(options);
  if (options.verify)
    report.package.verifyWeights();
  kerf::tools::report(
      options.json, [&](JsonWriter &json) { writeFields(json, report, options); },
      [&] {
        printManifest(report);
        printCertificate(report, options);
        if (report.gpu)
          printGpu(report);
        printWeights(report, options);
        if (report.kernels)
          report.kernels->print();
        printProvenance(report, options);
        if (options.verify)
          std::printf("\nverified: manifest and %u weights match their SHA-256\n", report.manifest().weights()->size());
      });
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Shows what is in a package made by kerf-compile", "kerf-inspect");
  Options options;
  options.ceilings.struct_size = sizeof options.ceilings;
  app.add_option("MODEL.kerf", options.path, "Package")->required()->type_name("FILE");
  app.add_option("-T,--max-tokens", options.ceilings.max_tokens, "Ceiling of the certificate; 0: 512 or the context");
  app.add_option("-S,--max-sequences", options.ceilings.max_sequences, "Ceiling of the certificate; 0: 1");
  app.add_option("--context", options.ceilings.context, "Ceiling of the certificate; 0: the model's");
  app.add_option("-R,--max-logit-rows", options.ceilings.max_logit_rows, "Ceiling of the certificate; 0: sequences");
  app.add_option("--kv-pages", options.ceilings.kv_pages, "KV pages of a group; 0: enough for all");
  app.add_option("-j,--threads", options.threads, "Threads of the certificate; 0: all usable");
  app.add_option("--device", options.device, "Show this GPU beside the certificate");
  app.add_option("--driver", options.driver, "CUDA driver to load for it; default: KERF_CUDA_DRIVER, else libcuda.so.1")
      ->type_name("FILE");
  app.add_flag("--weights", options.weights, "List every weight with its sources");
  app.add_flag("--slots", options.slots, "List every slot of the arena");
  app.add_flag("--kernels", options.kernels, "List every kernel of the library beside the package");
  app.add_flag("--plan", options.plan, "Print the plan the model was compiled by");
  app.add_flag("--verify", options.verify, "Compare every weight with its SHA-256");
  app.add_flag("--json", options.json, "Print JSON");
  kerf::tools::addLogOption(app);
  app.final_callback([&] { inspect(options); });
  return kerf::tools::runTool(app, {argv + 1, argv + argc});
}
