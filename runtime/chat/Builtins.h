//===- Builtins.h - what templates can call ----------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_BUILTINS_H
#define KERF_RUNTIME_CHAT_BUILTINS_H

#include "runtime/chat/Value.h"

#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt::chat {

/// Arguments after the value that a filter, test or method belongs to.
struct Arguments {
  std::vector<Value> values;
  /// Names of the last ones.
  std::vector<std::string> names;
  /// Pays for what grows beyond the value and these, which the caller pays for.
  Budget *budget;

  size_t positional() const { return values.size() - names.size(); }
};

/// True if there is such a filter, test or method.
bool isFilter(std::string_view name);
bool isTest(std::string_view name);
bool isMethod(std::string_view name);

/// Their results. Throw std::invalid_argument with what was expected.
Value callFilter(std::string_view name, const Value &value, const Arguments &arguments);
bool callTest(std::string_view name, const Value &value, const Arguments &arguments);
Value callMethod(std::string_view name, const Value &value, const Arguments &arguments);

/// True if `item` is in `container`: a part of a string, an item of a list, a key.
bool contains(const Value &container, const Value &item);

/// What printing `value` gives. Lists and dictionaries are refused.
Text printed(const Value &value);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_BUILTINS_H
