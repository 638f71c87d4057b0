//===- Json.cpp - strict reading of JSON files from outside ---------------===//

#include "dialects/import/Json.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <charconv>

using namespace kerf;
using namespace llvm;
using simdjson::dom::element;
using simdjson::dom::element_type;

Error kerf::importError(const Twine &message) {
  constexpr size_t longest = 1 << 14;
  std::string text;
  // Names out of files may hold anything; a terminal must not take them for commands.
  for (char c : message.str()) {
    if (text.size() > longest) {
      text += "…";
      break;
    }
    if ((c >= 0 && c < ' ' && c != '\n') || c == 0x7f)
      text += "\\x" + toHex(StringRef(&c, 1), /*LowerCase=*/true);
    else
      text += c;
  }
  return createStringError(inconvertibleErrorCode(), text);
}

bool kerf::isGitLfsPointer(StringRef head) { return head.starts_with("version https://git-lfs"); }

Error kerf::gitLfsPointerError(const Twine &path) {
  return importError(path + ": is a Git LFS pointer, not the file itself; run 'git lfs install' and 'git lfs pull' in "
                            "the repository it was cloned from");
}

Expected<std::string> kerf::readSmallFile(StringRef path, uint64_t maxBytes) {
  sys::fs::file_status status;
  if (std::error_code code = sys::fs::status(path, status))
    return importError(path + ": " + code.message());
  if (status.type() != sys::fs::file_type::regular_file)
    return importError(path + ": must be a regular file");
  if (status.getSize() > maxBytes)
    return importError(path + ": must have at most " + Twine(maxBytes) + " bytes, got " + Twine(status.getSize()));
  Expected<sys::fs::file_t> file = sys::fs::openNativeFileForRead(path);
  if (!file)
    return importError(path + ": " + toString(file.takeError()));
  SmallString<0> text;
  std::string failure;
  // Read to its end in pieces: the file may have grown since, and must not take more memory than allowed.
  while (text.size() <= maxBytes) {
    constexpr size_t kPiece = 64u << 10;
    size_t old = text.size();
    text.resize_for_overwrite(old + kPiece);
    Expected<size_t> got = sys::fs::readNativeFile(*file, MutableArrayRef<char>(text.data() + old, kPiece));
    text.truncate(old + (got ? *got : 0));
    if (!got)
      failure = toString(got.takeError());
    if (text.size() == old)
      break;
  }
  sys::fs::closeFile(*file);
  if (!failure.empty())
    return importError(path + ": " + failure);
  if (text.size() > maxBytes)
    return importError(path + ": must have at most " + Twine(maxBytes) + " bytes, got more");
  if (isGitLfsPointer(text))
    return gitLfsPointerError(path);
  return text.str().str();
}

//===----------------------------------------------------------------------===//
// JsonDocument
//===----------------------------------------------------------------------===//

/// Refuses the first key that occurs twice in one object. The recursion is as deep as the parser allowed.
static Error refuseDuplicates(StringRef name, element value) {
  if (value.is_array()) {
    for (element item : simdjson::dom::array(value.get_array().value_unsafe()))
      if (Error error = refuseDuplicates(name, item))
        return error;
    return Error::success();
  }
  if (!value.is_object())
    return Error::success();
  StringSet<> seen;
  for (auto [key, item] : simdjson::dom::object(value.get_object().value_unsafe())) {
    if (!seen.insert(StringRef(key)).second)
      return importError(name + ": key '" + StringRef(key) + "' must be given once, got it twice in one object");
    if (Error error = refuseDuplicates(name, item))
      return error;
  }
  return Error::success();
}

Expected<JsonDocument> JsonDocument::parse(StringRef name, StringRef text, const JsonLimits &limits) {
  if (text.size() > limits.maxBytes)
    return importError(name + ": must have at most " + Twine(limits.maxBytes) + " bytes, got " + Twine(text.size()));
  JsonDocument result;
  result.name_ = name.str();
  result.document_ = std::make_unique<simdjson::dom::document>();
  simdjson::dom::parser parser(std::max<uint64_t>(limits.maxBytes, simdjson::SIMDJSON_PADDING));
  // simdjson counts the scalar at the bottom as one level.
  if (parser.allocate(text.size() + 1, limits.maxDepth + 1))
    return importError(name + ": not enough memory to parse " + Twine(text.size()) + " bytes");
  element root;
  simdjson::error_code code = parser.parse_into_document(*result.document_, text.data(), text.size()).get(root);
  if (code == simdjson::DEPTH_ERROR)
    return importError(name + ": must be nested at most " + Twine(limits.maxDepth) + " deep, got more");
  if (code)
    return importError(name + ": must be valid JSON: " + simdjson::error_message(code));
  if (Error error = refuseDuplicates(name, root))
    return std::move(error);
  return std::move(result);
}

Expected<JsonDocument> JsonDocument::readFile(StringRef path, const JsonLimits &limits) {
  Expected<std::string> text = readSmallFile(path, limits.maxBytes);
  if (!text)
    return text.takeError();
  return parse(sys::path::filename(path), *text, limits);
}

std::string kerf::formatNumber(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, std::end(text), value).ptr);
}

std::string kerf::describe(element value) {
  switch (value.type()) {
  case element_type::NULL_VALUE:
    return "null";
  case element_type::OBJECT:
    return "an object";
  case element_type::ARRAY:
    return "an array";
  case element_type::BOOL:
    return value.get_bool().value_unsafe() ? "true" : "false";
  case element_type::INT64:
    return std::to_string(value.get_int64().value_unsafe());
  case element_type::UINT64:
    return std::to_string(value.get_uint64().value_unsafe());
  case element_type::DOUBLE:
    return formatNumber(value.get_double().value_unsafe());
  case element_type::STRING: {
    StringRef text(value.get_string().value_unsafe());
    return ("\"" + text.take_front(60) + (text.size() > 60 ? "…\"" : "\"")).str();
  }
  }
  llvm_unreachable("simdjson has no other type");
}

//===----------------------------------------------------------------------===//
// Problems and ObjectReader
//===----------------------------------------------------------------------===//

Error Problems::take() {
  if (messages.empty())
    return Error::success();
  std::string text = join(ArrayRef(messages).take_front(kShown), "\n");
  if (messages.size() > kShown)
    text += formatv("\nand {0} more", messages.size() - kShown);
  messages.clear();
  return importError(text);
}

ObjectReader::ObjectReader(const Twine &where, element value, Problems &problems, std::vector<IgnoredKey> &ignored)
    : where_(where.str()), problems(&problems), ignored(&ignored) {
  simdjson::dom::object object;
  if (value.get_object().get(object)) {
    if (!value.is_null())
      problem("must be an object, got " + describe(value));
    return;
  }
  for (auto [key, item] : object) {
    index[StringRef(key)] = members.size();
    members.push_back({std::string(key), item});
  }
}

bool ObjectReader::has(StringRef key) const {
  auto it = index.find(key);
  return it != index.end() && !members[it->second].value.is_null();
}

const element *ObjectReader::take(StringRef key) {
  auto it = index.find(key);
  if (it == index.end())
    return nullptr;
  Member &member = members[it->second];
  member.read = true;
  return member.value.is_null() ? nullptr : &member.value;
}

void ObjectReader::problem(const Twine &message) { problems->add(where_ + ": " + message); }

void ObjectReader::missing(StringRef key, StringRef expected) {
  problem("key '" + key + "' must be " + expected + ", got " + (index.contains(key) ? "null" : "none"));
}

void ObjectReader::wrong(StringRef key, const Twine &expected) {
  auto it = index.find(key);
  std::string got = it == index.end() ? "none" : describe(members[it->second].value);
  problem("key '" + key + "' must " + expected + ", got " + got);
}

bool ObjectReader::toInteger(StringRef key, element value, IntRange range, int64_t &out) {
  int64_t number;
  if (value.get_int64().get(number) || number < range.min || number > range.max) {
    problem(
        formatv("key '{0}' must be an integer from {1} to {2}, got {3}", key, range.min, range.max, describe(value)));
    return false;
  }
  out = number;
  return true;
}

int64_t ObjectReader::integerOr(StringRef key, int64_t fallback, IntRange range) {
  if (const element *value = take(key))
    toInteger(key, *value, range, fallback);
  return fallback;
}

int64_t ObjectReader::integer(StringRef key, IntRange range) {
  if (!has(key))
    missing(key, "an integer");
  return integerOr(key, range.min, range);
}

std::optional<double> ObjectReader::optionalNumber(StringRef key, NumberRange range) {
  const element *value = take(key);
  if (!value)
    return std::nullopt;
  double number;
  // An integer that f64 cannot hold exactly is no size, rate or factor of a model: its nearest f64 will do.
  if (!value->get_double().get(number) && number <= range.max &&
      (range.minExclusive ? number > range.min : number >= range.min))
    return number;
  std::string bounds;
  if (range.min != -std::numeric_limits<double>::infinity())
    bounds += formatv(" {0} {1}", range.minExclusive ? "above" : "not below", formatNumber(range.min));
  if (range.max != std::numeric_limits<double>::infinity())
    bounds += formatv("{0} not above {1}", bounds.empty() ? "" : " and", formatNumber(range.max));
  problem("key '" + key + "' must be a number" + bounds + ", got " + describe(*value));
  return std::nullopt;
}

double ObjectReader::numberOr(StringRef key, double fallback, NumberRange range) {
  return optionalNumber(key, range).value_or(fallback);
}

double ObjectReader::number(StringRef key, NumberRange range) {
  if (!has(key))
    missing(key, "a number");
  return numberOr(key, 1.0, range);
}

bool ObjectReader::booleanOr(StringRef key, bool fallback) {
  if (const element *value = take(key))
    if (value->get_bool().get(fallback))
      wrong(key, "be true or false");
  return fallback;
}

std::string ObjectReader::stringOr(StringRef key, StringRef fallback) {
  std::string_view text = fallback;
  if (const element *value = take(key))
    if (value->get_string().get(text))
      wrong(key, "be a string");
  return std::string(text);
}

std::string ObjectReader::string(StringRef key) {
  if (!has(key))
    missing(key, "a string");
  return stringOr(key, "");
}

std::vector<std::string> ObjectReader::strings(StringRef key) {
  std::vector<std::string> result;
  const element *value = take(key);
  simdjson::dom::array items;
  if (!value)
    return result;
  if (value->get_array().get(items)) {
    wrong(key, "be an array of strings");
    return result;
  }
  for (element item : items) {
    std::string_view text;
    if (item.get_string().get(text)) {
      problem("key '" + key + "' must hold strings only, got " + describe(item));
      return result;
    }
    result.emplace_back(text);
  }
  return result;
}

std::vector<int64_t> ObjectReader::integerOrList(StringRef key, IntRange range) {
  std::vector<int64_t> result;
  const element *value = take(key);
  if (!value)
    return result;
  int64_t number = 0;
  simdjson::dom::array items;
  if (value->get_array().get(items)) {
    if (toInteger(key, *value, range, number))
      result.push_back(number);
    return result;
  }
  for (element item : items) {
    if (!toInteger(key, item, range, number))
      return result;
    result.push_back(number);
  }
  return result;
}

ObjectReader ObjectReader::object(StringRef key) {
  const element *value = take(key);
  // A value-initialised element must not be touched, so an absent object is read from an explicit null.
  static const JsonDocument *null = new JsonDocument(cantFail(JsonDocument::parse("null", "null")));
  return ObjectReader(where_ + ": " + key, value ? *value : null->root(), *problems, *ignored);
}

void ObjectReader::ignore(StringRef key, StringRef reason) {
  if (take(key))
    ignored->push_back({where_ + ": " + key.str(), reason.str()});
}

void ObjectReader::allowOnly(StringRef key, bool allowed, StringRef reason, StringRef advice) {
  if (!has(key))
    return ignore(key, reason);
  if (booleanOr(key, allowed) != allowed)
    return wrong(key, Twine("be ") + (allowed ? "true" : "false") + " (" + advice + ")");
  ignore(key, reason);
}

void ObjectReader::allowOnly(StringRef key, double allowed, StringRef reason, StringRef advice) {
  if (!has(key))
    return ignore(key, reason);
  if (numberOr(key, allowed, {}) != allowed)
    return wrong(key, "be " + formatNumber(allowed) + " (" + advice + ")");
  ignore(key, reason);
}

void ObjectReader::refuse(StringRef key, StringRef advice) {
  if (take(key))
    problem("key '" + key + "' must be absent, got " + describe(members[index[key]].value) + "; " + advice);
}

void ObjectReader::forEach(function_ref<void(StringRef, element)> visit) {
  for (Member &member : members) {
    member.read = true;
    visit(member.key, member.value);
  }
}

void ObjectReader::finish(StringRef advice) {
  for (const Member &member : members)
    if (!member.read)
      problem("key '" + member.key + "' is not understood; " + advice);
}
