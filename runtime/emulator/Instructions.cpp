#include "runtime/emulator/Instructions.h"

#include <unordered_map>

namespace kerf::emulator {

static bool isAlternative(std::string_view part, std::string_view alternatives) {
  while (!alternatives.empty()) {
    size_t bar = alternatives.find('|');
    if (alternatives.substr(0, bar) == part)
      return true;
    alternatives = bar == alternatives.npos ? "" : alternatives.substr(bar + 1);
  }
  return false;
}

/// Takes what is before the next `.` off `rest`.
static std::string_view takePart(std::string_view &rest) {
  size_t dot = rest.find('.');
  std::string_view part = rest.substr(0, dot);
  rest = dot == rest.npos ? std::string_view() : rest.substr(dot + 1);
  return part;
}

static bool matches(std::string_view pattern, std::string_view mnemonic, Parts &parts) {
  parts.clear();
  std::string_view part = takePart(mnemonic);
  while (!pattern.empty()) {
    std::string_view group = takePart(pattern);
    bool optional = group.ends_with('?');
    if (optional)
      group.remove_suffix(1);
    if (!part.empty() && isAlternative(part, group)) {
      parts.push_back(part);
      part = takePart(mnemonic);
    } else if (optional) {
      parts.push_back({});
    } else {
      return false;
    }
  }
  return part.empty();
}

/// Rows by the first part of their mnemonics.
static const std::unordered_multimap<std::string_view, const Row *> &table() {
  static const auto *rows = [] {
    auto *result = new std::unordered_multimap<std::string_view, const Row *>;
    for (auto family : {integerRows, floatRows, convertRows, memoryRows, warpRows, controlRows, tensorRows})
      for (const Row &row : family()) {
        std::string_view pattern = row.pattern, heads = takePart(pattern);
        while (!heads.empty()) {
          size_t bar = heads.find('|');
          result->emplace(heads.substr(0, bar), &row);
          heads = bar == heads.npos ? "" : heads.substr(bar + 1);
        }
      }
    return result;
  }();
  return *rows;
}

/// Whether groups are where the form has them, and as long.
static bool fits(const char *form, const std::vector<PtxOperand> &operands) {
  size_t n = 0;
  for (; *form; ++form) {
    if (*form == '&' || *form == '?')
      continue;
    if (n == operands.size())
      return true;
    const PtxOperand &o = operands[n++];
    size_t length = 0;
    bool isGroup = *form == '{';
    if (isGroup)
      while (*++form != '}')
        ++length;
    if (*form != 'v' && *form != 'V' && (isGroup != (o.kind == PtxOperand::Group) || length != o.parts.size()))
      return false;
  }
  return true;
}

const Row *findRow(std::string_view mnemonic, const std::vector<PtxOperand> &operands, Parts &parts) {
  const Row *named = nullptr;
  auto [from, to] = table().equal_range(mnemonic.substr(0, mnemonic.find('.')));
  Parts found;
  for (; from != to; ++from) {
    if (!matches(from->second->pattern, mnemonic, found))
      continue;
    if (named && !fits(from->second->form, operands))
      continue;
    named = from->second;
    parts = found;
    if (fits(named->form, operands))
      break;
  }
  return named;
}

} // namespace kerf::emulator
