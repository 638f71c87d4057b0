//===- Value.cpp - what a chat template computes with ---------------------===//
#include "runtime/chat/Value.h"

#include <algorithm>

using namespace kerf::rt::chat;

Value Value::boolean(bool value) {
  Value made(Kind::Bool);
  made.integer_ = value;
  return made;
}

Value Value::integer(int64_t value) {
  Value made(Kind::Int);
  made.integer_ = value;
  return made;
}

Value Value::string(Text value) {
  Value made(Kind::String);
  made.size_ += value.bytes.size();
  made.text_ = std::make_shared<const Text>(std::move(value));
  return made;
}

void Value::holds(const Value &item, uint64_t extra) {
  if (item.depth_ >= kMaxDepth)
    throw std::length_error("lists and dictionaries must be at most " + std::to_string(kMaxDepth) + " deep");
  depth_ = std::max(depth_, item.depth_ + 1);
  reachesNamespace_ |= item.reachesNamespace_;
  // Far above what may be walked, and far below overflow.
  size_ = std::min(size_ + item.size_ + extra, uint64_t(1) << 62);
}

Value Value::list(List items) {
  Value made(Kind::List);
  for (const Value &item : items)
    made.holds(item, 0);
  made.list_ = std::make_shared<const List>(std::move(items));
  return made;
}

Value Value::dict(Dict items) {
  if (items.size() > kMaxKeys)
    throw std::length_error("a dictionary must have at most " + std::to_string(kMaxKeys) + " keys");
  Value made(Kind::Dict);
  for (const auto &[key, item] : items)
    made.holds(item, key.size());
  made.dict_ = std::make_shared<Dict>(std::move(items));
  return made;
}

Value Value::makeNamespace(Dict items) {
  Value made(Kind::Namespace);
  made.reachesNamespace_ = true;
  made.dict_ = std::make_shared<Dict>();
  for (auto &[key, item] : items)
    made.set(key, std::move(item));
  return made;
}

const Value *Value::find(std::string_view key) const {
  for (const auto &[name, item] : *dict_)
    if (name == key)
      return &item;
  return nullptr;
}

void Value::set(const std::string &key, Value value) const {
  // One that could reach itself would never be freed.
  if (value.reachesNamespace_ || value.depth_ >= kMaxDepth / 2)
    throw std::length_error("a namespace must hold no namespace, nor what holds one, and nothing deeper than " +
                            std::to_string(kMaxDepth / 2));
  for (auto &[name, item] : *dict_)
    if (name == key) {
      item = std::move(value);
      return;
    }
  if (dict_->size() == kMaxKeys)
    throw std::length_error("a namespace must have at most " + std::to_string(kMaxKeys) + " attributes");
  dict_->emplace_back(key, std::move(value));
}

bool Value::truth() const {
  switch (kind_) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return integer_ != 0;
  case Kind::String:
    return !text_->bytes.empty();
  case Kind::List:
    return !list_->empty();
  case Kind::Dict:
    return !dict_->empty();
  case Kind::Namespace:
    return true;
  }
  return false;
}

// Entries in the order of their keys, so that equality takes no search for each.
static std::vector<const std::pair<std::string, Value> *> byKey(const Value::Dict &dict) {
  std::vector<const std::pair<std::string, Value> *> entries;
  for (const auto &entry : dict)
    entries.push_back(&entry);
  std::ranges::sort(entries, {}, [](auto *entry) { return std::string_view(entry->first); });
  return entries;
}

bool Value::operator==(const Value &other) const {
  auto isNumber = [](Kind kind) { return kind == Kind::Bool || kind == Kind::Int; };
  if (isNumber(kind_) && isNumber(other.kind_))
    return integer_ == other.integer_;
  if (kind_ != other.kind_)
    return false;
  switch (kind_) {
  case Kind::String:
    return text_->bytes == other.text_->bytes;
  case Kind::List:
    return *list_ == *other.list_;
  case Kind::Dict:
    return std::ranges::equal(byKey(*dict_), byKey(*other.dict_), [](auto *a, auto *b) { return *a == *b; });
  case Kind::Namespace:
    return dict_ == other.dict_;
  default:
    return true;
  }
}

const char *Value::kindName() const {
  switch (kind_) {
  case Kind::Undefined:
    return "an undefined value";
  case Kind::None:
    return "none";
  case Kind::Bool:
    return "a boolean";
  case Kind::Int:
    return "an integer";
  case Kind::String:
    return "a string";
  case Kind::List:
    return "a list";
  case Kind::Dict:
    return "a dictionary";
  case Kind::Namespace:
    return "a namespace";
  }
  return "a value";
}
