//===- TokenizerDecoder.cpp - post-processors and decoders of tokenizer.json ===//
#include "codegen/package/TokenizerReader.h"

using namespace kerf;
using namespace llvm;
using schema::DecoderStepKind;
using simdjson::dom::element;
using Reader = TokenizerReader;

// Of a decoder's texts; the runtime refuses more.
static constexpr size_t kMaxDecoderText = 64;
// Tokens around a text; published files have a few. A template can name a list of ids any number of times.
static constexpr size_t kMaxFrame = 256;
static constexpr StringRef kOffsetsOnly = "it changes offsets, which Kerf does not give out";
static constexpr StringRef kByteLevelOptions[] = {"add_prefix_space", "trim_offsets", "use_regex"};

void Reader::readTemplate(ObjectReader &step) {
  step.ignore("pair", "Kerf encodes one text at a time");
  StringMap<std::vector<int64_t>> idsOf;
  ObjectReader tokens = step.object("special_tokens");
  tokens.forEach([&](StringRef name, element value) {
    ObjectReader token(tokens.where() + ": " + name, value, problems, ignored);
    token.string("id");
    token.strings("tokens");
    idsOf[name] = token.integerOrList("ids", {0, kMaxId});
    token.finish(kNotUnderstood);
  });
  std::vector<uint32_t> before, after;
  unsigned texts = 0;
  forEachObject(step, "single", [&](ObjectReader item) {
    if (item.has("Sequence")) {
      ObjectReader text = item.object("Sequence");
      if (text.string("id") != "A")
        text.wrong("id", "be \"A\", the one text");
      ++texts;
    } else {
      std::string name = item.object("SpecialToken").string("id");
      auto ids = idsOf.find(name);
      if (ids == idsOf.end() || ids->second.empty())
        return item.problem("must name one of the template's special tokens, got '" + Twine(name) + "'");
      if (prefix.size() + suffix.size() + before.size() + after.size() + ids->second.size() > kMaxFrame)
        return item.problem("must make at most " + Twine(kMaxFrame) + " tokens around a text, got more");
      for (int64_t id : ids->second) {
        if (id >= static_cast<int64_t>(contents.size()) || !contents[id])
          return item.problem("must have the id of a token, got " + Twine(id));
        (texts ? after : before).push_back(static_cast<uint32_t>(id));
      }
    }
    item.finish(kNotUnderstood);
  });
  if (texts != 1)
    return step.problem("key 'single' must have the text once, got it " + Twine(texts) + " times");
  prefix.insert(prefix.begin(), before.begin(), before.end());
  suffix.insert(suffix.end(), after.begin(), after.end());
}

// The token at `key`, given as its content and its id.
std::optional<uint32_t> Reader::readFrameToken(ObjectReader &step, StringRef key) {
  const element *value = step.take(key);
  simdjson::dom::array pair;
  std::string_view content;
  int64_t id;
  if (!value || value->get_array().get(pair) || pair.size() != 2 || pair.at(0).get_string().get(content) ||
      pair.at(1).get_int64().get(id) || id < 0 || id >= static_cast<int64_t>(contents.size()) || !contents[id]) {
    step.wrong(key, "be the content and the id of a token");
    return std::nullopt;
  }
  return static_cast<uint32_t>(id);
}

// BERT and RoBERTa put one token before a text and one after it.
void Reader::readFrame(ObjectReader &step) {
  std::optional<uint32_t> before = readFrameToken(step, "cls"), after = readFrameToken(step, "sep");
  if (before && after) {
    prefix.insert(prefix.begin(), *before);
    suffix.push_back(*after);
  }
}

void Reader::readPostProcessor(ObjectReader step) {
  std::string type = step.string("type");
  if (type == "Sequence") {
    forEachObject(step, "processors", [&](ObjectReader inner) { readPostProcessor(std::move(inner)); });
  } else if (type == "TemplateProcessing") {
    readTemplate(step);
  } else if (type == "ByteLevel") {
    for (StringRef key : kByteLevelOptions)
      step.ignore(key, kOffsetsOnly);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    readFrame(step);
    if (type == "RobertaProcessing")
      for (StringRef key : {"add_prefix_space", "trim_offsets"})
        step.ignore(key, kOffsetsOnly);
  } else {
    return step.problem("post-processor must be one of TemplateProcessing, ByteLevel, BertProcessing, "
                        "RobertaProcessing, Sequence, got \"" +
                        Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}

void Reader::addDecoderStep(DecoderStepKind kind, StringRef pattern, StringRef content, bool flag, uint32_t count) {
  auto patternOffset = builder.CreateString(pattern.data(), pattern.size());
  auto contentOffset = builder.CreateString(content.data(), content.size());
  decoderSteps.push_back(schema::CreateDecoderStep(builder, kind, patternOffset, contentOffset, flag, count));
}

void Reader::readDecoder(ObjectReader step) {
  std::string type = step.string("type");
  if (type == "Sequence") {
    forEachObject(step, "decoders", [&](ObjectReader inner) { readDecoder(std::move(inner)); });
    return step.finish(kNotUnderstood);
  }
  // ByteLevel stands alone. Replace, Metaspace and WordPiece change each token by itself; ByteFallback joins some of
  // them, Fuse all; Strip is of use only then.
  if (byteLevelDecoder || stripped || (fused ? type != "Strip" : decodesBytes && type != "Fuse"))
    return step.problem("decoders must be ByteLevel alone, or any of Replace, Metaspace and WordPiece, then "
                        "ByteFallback, then Fuse, then Strip, got \"" +
                        Twine(type) + "\" too late");
  if (type == "ByteLevel") {
    byteLevelDecoder = true;
    if (!decoderSteps.empty())
      step.problem("decoder ByteLevel must be alone, got others before it");
    for (StringRef key : kByteLevelOptions)
      step.ignore(key, "decoding joins the bytes of tokens whatever it says");
  } else if (type == "Replace") {
    ObjectReader pattern = step.object("pattern");
    std::string from = pattern.string("String"), to = step.string("content");
    if (from.empty() || from.size() > kMaxDecoderText)
      pattern.wrong("String", "have 1 to " + Twine(kMaxDecoderText) + " bytes");
    if (to.size() > kMaxDecoderText)
      step.wrong("content", "have at most " + Twine(kMaxDecoderText) + " bytes");
    if (to.size() > from.size())
      decoderGrowth = std::min(decoderGrowth * to.size(), kMaxGrowth + 1);
    if (decoderGrowth > kMaxGrowth)
      step.wrong("content",
                 "be shorter: decoders that replace must together make at most " + Twine(kMaxGrowth) + " bytes of one");
    pattern.finish(kNotUnderstood);
    addDecoderStep(DecoderStepKind::Replace, from, to);
  } else if (type == "Metaspace") {
    std::string replacement = character(step, "replacement");
    bool dropsFirst = readPrefix(step) != schema::Prefix::None;
    step.ignore("split", "decoding cuts nothing");
    addDecoderStep(DecoderStepKind::Metaspace, replacement, {}, dropsFirst);
  } else if (type == "WordPiece") {
    std::string continues = step.string("prefix");
    if (continues.size() > kMaxDecoderText)
      step.wrong("prefix", "have at most " + Twine(kMaxDecoderText) + " bytes");
    addDecoderStep(DecoderStepKind::WordPiece, continues, {}, step.booleanOr("cleanup", true));
  } else if (type == "ByteFallback") {
    decodesBytes = true;
    addDecoderStep(DecoderStepKind::ByteFallback);
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Strip") {
    std::string content = character(step, "content");
    int64_t count = step.integer("start", {0, UINT32_MAX});
    step.integer("stop", {0, 0});
    stripped = true;
    if (!fused)
      step.problem("decoder Strip must come after Fuse: Kerf strips the text, not each token");
    addDecoderStep(DecoderStepKind::Strip, content, {}, false, static_cast<uint32_t>(count));
  } else {
    return step.problem("decoder must be one of ByteLevel, Replace, Metaspace, WordPiece, ByteFallback, Fuse, Strip, "
                        "Sequence, got \"" +
                        Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}
