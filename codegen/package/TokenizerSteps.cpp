//===- TokenizerSteps.cpp - normalizers and pre-tokenizers of tokenizer.json ===//
#include "codegen/package/RegexDialect.h"
#include "codegen/package/TokenizerReader.h"

#include "llvm/ADT/StringSwitch.h"

using namespace kerf;
using namespace llvm;
using schema::NormalForm;
using schema::NormalizerKind;
using Reader = TokenizerReader;

// Longest text that a normalizer puts in; the runtime refuses more.
static constexpr size_t kMaxContent = 4096;

// The pattern of GPT-2, which ByteLevel applies unless told otherwise.
static constexpr StringRef kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// BertPreTokenizer cuts at white space, then around each punctuation mark: ASCII's symbols among them, and as Unicode 8
// has them (PCRE2 10.42 has 14; found by giving each code point to `tokenizers` 0.23.3).
static constexpr StringRef kWhiteSpace = R"(\s)";
static constexpr StringRef kBertPunctuation =
    R"([!-\/:-@\[-`{-~\x{166d}\x{111c9}]|(?![\x{61d}\x{9fd}\x{a76}\x{c77}\x{c84}\x{1b7d}\x{1b7e}\x{2e43}-\x{2e4f})"
    R"(\x{2e52}-\x{2e5d}\x{10ead}\x{10f55}-\x{10f59}\x{10f86}-\x{10f89}\x{1144b}-\x{1144f}\x{1145a}\x{1145b}\x{1145d})"
    R"(\x{11660}-\x{1166c}\x{116b9}\x{1183b}\x{11944}-\x{11946}\x{119e2}\x{11a3f}-\x{11a46}\x{11a9a}-\x{11a9c})"
    R"(\x{11a9e}-\x{11aa2}\x{11c41}-\x{11c45}\x{11c70}\x{11c71}\x{11ef7}\x{11ef8}\x{11fff}\x{12ff1}\x{12ff2})"
    R"(\x{16e97}-\x{16e9a}\x{16fe2}\x{1e95e}\x{1e95f}])\p{P})";

//===----------------------------------------------------------------------===//
// Normalizers
//===----------------------------------------------------------------------===//

void Reader::addNormalizer(NormalizerKind kind, NormalForm form, StringRef pattern, StringRef content) {
  // An absent string takes no room.
  auto text = [&](StringRef text) { return text.empty() ? 0 : builder.CreateString(text.data(), text.size()); };
  auto patternOffset = text(pattern), contentOffset = text(content);
  normalizers.push_back(schema::CreateNormalizerStep(builder, form, kind, patternOffset, contentOffset));
}

void Reader::readBertNormalizer(ObjectReader &step) {
  bool lowercase = step.booleanOr("lowercase", true);
  if (step.booleanOr("clean_text", true))
    addNormalizer(NormalizerKind::Clean);
  if (step.booleanOr("handle_chinese_chars", true))
    addNormalizer(NormalizerKind::SpaceIdeographs);
  if (step.booleanOr("strip_accents", lowercase)) {
    addNormalizer(NormalizerKind::Form, NormalForm::NFD);
    addNormalizer(NormalizerKind::DropMarks);
  }
  if (lowercase)
    addNormalizer(NormalizerKind::Lowercase);
  dropsText = true;
}

void Reader::readNormalizer(ObjectReader step) {
  std::string type = step.string("type");
  auto form = StringSwitch<std::optional<NormalForm>>(type)
                  .Case("NFC", NormalForm::NFC)
                  .Case("NFD", NormalForm::NFD)
                  .Case("NFKC", NormalForm::NFKC)
                  .Case("NFKD", NormalForm::NFKD)
                  .Default(std::nullopt);
  if (type == "Sequence") {
    forEachObject(step, "normalizers", [&](ObjectReader inner) { readNormalizer(std::move(inner)); });
  } else if (form) {
    addNormalizer(NormalizerKind::Form, *form);
  } else if (type == "Prepend") {
    std::string content = step.string("prepend");
    if (content.size() > kMaxContent)
      step.wrong("prepend", "have at most " + Twine(kMaxContent) + " bytes");
    addNormalizer(NormalizerKind::Prepend, {}, {}, content);
  } else if (type == "Replace") {
    std::string pattern = readPattern(step), content = step.string("content");
    // A match may be empty: one stands before each character.
    normalizerGrowth = std::min(normalizerGrowth * (content.size() + 1), kMaxGrowth + 1);
    if (normalizerGrowth > kMaxGrowth)
      step.wrong("content", "be shorter: normalizers that replace must together make at most " + Twine(kMaxGrowth) +
                                " bytes of one");
    dropsText |= content.empty();
    addNormalizer(NormalizerKind::Replace, {}, pattern, content);
  } else if (type == "Lowercase") {
    addNormalizer(NormalizerKind::Lowercase);
  } else if (type == "BertNormalizer") {
    readBertNormalizer(step);
  } else {
    return step.problem("normalizer must be one of NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, BertNormalizer, "
                        "Sequence, got \"" +
                        Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}

//===----------------------------------------------------------------------===//
// Pre-tokenizers
//===----------------------------------------------------------------------===//

void Reader::addSplit(StringRef pattern, schema::SplitBehavior behavior, bool invert) {
  preTokenizers.push_back(schema::CreatePreTokenizerStep(builder, schema::PreTokenizerKind::Split,
                                                         builder.CreateString(pattern.data(), pattern.size()), behavior,
                                                         invert));
}

// The pattern at "pattern", a string or a regular expression, in PCRE2's syntax.
std::string Reader::readPattern(ObjectReader &step) {
  ObjectReader pattern = step.object("pattern");
  std::string result;
  if (pattern.has("String")) {
    std::string text = pattern.string("String");
    if (text.empty())
      pattern.wrong("String", "have at least one character");
    result = escapePattern(text);
  } else if (Expected<std::string> translated = translateOnigurumaPattern(pattern.string("Regex"))) {
    result = *translated;
  } else {
    pattern.problem(toString(translated.takeError()));
  }
  pattern.finish(kNotUnderstood);
  return result;
}

void Reader::readSplit(ObjectReader &step) {
  std::string name = step.string("behavior");
  auto behavior = StringSwitch<std::optional<schema::SplitBehavior>>(name)
                      .Case("Isolated", schema::SplitBehavior::Isolated)
                      .Case("Removed", schema::SplitBehavior::Removed)
                      .Case("MergedWithPrevious", schema::SplitBehavior::MergedWithPrevious)
                      .Case("MergedWithNext", schema::SplitBehavior::MergedWithNext)
                      .Case("Contiguous", schema::SplitBehavior::Contiguous)
                      .Default(std::nullopt);
  if (!behavior)
    return step.wrong("behavior", "be one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
  bool invert = step.booleanOr("invert", false);
  addSplit(readPattern(step), *behavior, invert);
}

void Reader::readByteLevel(ObjectReader &step) {
  byteLevel = true;
  if (step.booleanOr("add_prefix_space", true))
    preTokenizers.push_back(schema::CreatePreTokenizerStep(builder, schema::PreTokenizerKind::PrefixSpace));
  if (step.booleanOr("use_regex", true))
    addSplit(cantFail(translateOnigurumaPattern(kByteLevelPattern)), schema::SplitBehavior::Isolated, false);
  step.ignore("trim_offsets", "Kerf gives out ids, not offsets");
}

void Reader::readMetaspace(ObjectReader &step) {
  std::string replacement = character(step, "replacement");
  schema::Prefix prefix = readPrefix(step);
  prefixesFirst |= prefix == schema::Prefix::First;
  preTokenizers.push_back(schema::CreatePreTokenizerStep(builder, schema::PreTokenizerKind::Metaspace, 0, {}, false,
                                                         builder.CreateString(replacement), prefix));
  if (step.booleanOr("split", true))
    addSplit(escapePattern(replacement), schema::SplitBehavior::MergedWithNext, false);
}

void Reader::readPreTokenizer(ObjectReader step) {
  std::string type = step.string("type");
  if (byteLevel)
    return step.problem("ByteLevel must be the last pre-tokenizer, got \"" + Twine(type) + "\" after it");
  if (type == "Sequence") {
    forEachObject(step, "pretokenizers", [&](ObjectReader inner) { readPreTokenizer(std::move(inner)); });
  } else if (type == "Split") {
    readSplit(step);
  } else if (type == "ByteLevel") {
    readByteLevel(step);
  } else if (type == "Digits") {
    bool individual = step.booleanOr("individual_digits", false);
    addSplit("\\p{N}", individual ? schema::SplitBehavior::Isolated : schema::SplitBehavior::Contiguous, false);
  } else if (type == "Metaspace") {
    readMetaspace(step);
  } else if (type == "BertPreTokenizer") {
    addSplit(cantFail(translateOnigurumaPattern(kWhiteSpace)), schema::SplitBehavior::Removed, false);
    addSplit(kBertPunctuation, schema::SplitBehavior::Isolated, false);
  } else {
    return step.problem("pre-tokenizer must be one of Split, Digits, ByteLevel, Metaspace, BertPreTokenizer, Sequence, "
                        "got \"" +
                        Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}
