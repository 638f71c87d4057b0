//===- Normalizer.cpp - what changes text before it is cut ----------------===//
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/BertText.h"
#include "runtime/tokenizer/Normalize.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

using namespace kerf::rt;
using kerf::schema::NormalizerKind;

namespace {

constexpr uint32_t kMaxSteps = 32;
constexpr uint32_t kMaxContentBytes = 4096;
// How often all replacing steps together may multiply a text; those in use do it four times.
constexpr size_t kMaxGrowth = 256;
// Bytes that all steps together may put before a text: before each stretch between added tokens, however short. Those
// in use put three.
constexpr size_t kMaxPrepended = 64;

std::string_view contentOf(const kerf::schema::NormalizerStep &step) {
  return step.content() ? step.content()->string_view() : std::string_view();
}

std::string replaced(std::string_view text, const Pattern &pattern, std::string_view content, MatchScratch &scratch) {
  std::string out;
  for (const Pattern::Part &part : pattern.parts(text, scratch))
    out += part.match ? content : text.substr(part.begin, part.end - part.begin);
  return out;
}

} // namespace

Normalizer::Normalizer(const schema::Tokenizer &table) {
  if (!table.normalizers())
    return;
  if (table.normalizers()->size() > kMaxSteps)
    badTable("the tokenizer must have at most " + std::to_string(kMaxSteps) + " normalizers, got " +
             std::to_string(table.normalizers()->size()));
  size_t growth = 1, prepended = 0;
  for (const schema::NormalizerStep *entry : *table.normalizers()) {
    if (!entry)
      badTable("each normalizer of the tokenizer must be present, got a null one");
    if (entry->kind() > NormalizerKind::MAX || entry->form() > schema::NormalForm::MAX)
      badTable("a normalizer must be of a known kind and form, got " + std::to_string(static_cast<int>(entry->kind())) +
               " and " + std::to_string(static_cast<int>(entry->form())));
    std::string_view content = contentOf(*entry);
    if (content.size() > kMaxContentBytes || validUtf8Prefix(content) != content.size())
      badTable("the content of a normalizer must be at most " + std::to_string(kMaxContentBytes) + " bytes of UTF-8");
    Step &step = steps.emplace_back(Step{entry, std::nullopt});
    if (entry->kind() == NormalizerKind::Prepend && (prepended += content.size()) > kMaxPrepended)
      badTable("normalizers must put at most " + std::to_string(kMaxPrepended) + " bytes before a text, got " +
               std::to_string(prepended));
    if (entry->kind() != NormalizerKind::Replace)
      continue;
    if (!entry->pattern())
      badTable("a replacing normalizer must have a pattern, got none");
    step.pattern.emplace(entry->pattern()->string_view());
    // A match may be empty: one stands before each character, and after the last.
    growth *= content.size() + 1;
    if (growth > kMaxGrowth)
      badTable("normalizers that replace must together make at most " + std::to_string(kMaxGrowth) +
               " bytes of one, got " + std::to_string(growth));
  }
}

std::string Normalizer::operator()(std::string_view text, MatchScratch &scratch) const {
  std::string result(text);
  for (const Step &step : steps) {
    switch (step.table->kind()) {
    case NormalizerKind::Form:
      result = normalize(result, step.table->form());
      break;
    case NormalizerKind::Prepend:
      if (!result.empty())
        result.insert(0, contentOf(*step.table));
      break;
    case NormalizerKind::Replace:
      result = replaced(result, *step.pattern, contentOf(*step.table), scratch);
      break;
    case NormalizerKind::Clean:
      result = cleaned(result);
      break;
    case NormalizerKind::SpaceIdeographs:
      result = ideographsSpaced(result);
      break;
    case NormalizerKind::DropMarks:
      result = marksDropped(result);
      break;
    case NormalizerKind::Lowercase:
      result = lowercased(result);
      break;
    }
  }
  return result;
}
