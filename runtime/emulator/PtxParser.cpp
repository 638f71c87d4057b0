#include "runtime/emulator/Ptx.h"

#include <bit>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace kerf::emulator {
namespace {

/// Bytes of a fundamental type without its dot; 0: a predicate.
std::optional<unsigned> typeBytes(std::string_view type) {
  if (type == "pred")
    return 0;
  if (type == "f16x2" || type == "bf16x2")
    return 4;
  if (type == "bf16")
    return 2;
  size_t digits = type.find_first_of("0123456789");
  if (digits != 1 || std::string_view("bsuf").find(type[0]) == type.npos)
    return std::nullopt;
  std::string_view bits = type.substr(1);
  for (unsigned bytes : {1, 2, 4, 8, 16})
    if (bits == std::to_string(bytes * 8))
      return bytes;
  return std::nullopt;
}

bool isSpecial(std::string_view name) {
  for (std::string_view special : {"%tid.", "%ntid.", "%ctaid.", "%nctaid."})
    if (name.size() == special.size() + 1 && name.starts_with(special))
      return name.back() >= 'x' && name.back() <= 'z';
  for (std::string_view special :
       {"%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid", "%lanemask_eq", "%lanemask_lt", "%lanemask_le",
        "%lanemask_gt", "%lanemask_ge", "%dynamic_smem_size", "%total_smem_size"})
    if (name == special)
      return true;
  return false;
}

class Parser {
public:
  explicit Parser(std::string_view text) : tokens_(splitPtx(text)) {}

  PtxModule run() {
    while (peek().kind != Token::End)
      topLevel();
    if (!module_.major)
      throw PtxError(1, "expected '.version' first");
    return std::move(module_);
  }

private:
  /// Names of registers within braces; `{` of inline assembly opens another.
  struct Range {
    std::string_view prefix;
    unsigned count;
    int first;
  };
  struct Scope {
    std::unordered_map<std::string_view, int> names;
    std::vector<Range> ranges;
  };

  const Token &peek(unsigned ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token &next() { return tokens_[at_ < tokens_.size() - 1 ? at_++ : at_]; }
  bool accept(std::string_view text) {
    if (peek().text != text || peek().kind == Token::End)
      return false;
    next();
    return true;
  }
  [[noreturn]] void wrong(std::string_view expected) const {
    throw PtxError(peek().line, "expected " + std::string(expected) + ", got " +
                                    (peek().kind == Token::End ? "the end" : "'" + std::string(peek().text) + "'"));
  }
  void expect(std::string_view text) {
    if (!accept(text))
      wrong("'" + std::string(text) + "'");
  }
  std::string_view word(std::string_view what) {
    if (peek().kind != Token::Word)
      wrong(what);
    return next().text;
  }
  uint64_t natural(std::string_view what) {
    if (peek().kind != Token::Number)
      wrong(what);
    return static_cast<uint64_t>(integer(next()));
  }
  static int64_t integer(const Token &token) {
    std::string_view text = token.text;
    while (!text.empty() && (text.back() == 'U' || text.back() == 'u'))
      text.remove_suffix(1);
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X"))
      base = 16, text.remove_prefix(2);
    uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size())
      throw PtxError(token.line, "expected an integer, got '" + std::string(token.text) + "'");
    return static_cast<int64_t>(value);
  }

  void topLevel() {
    const Token &token = peek();
    if (accept(".version")) {
      std::string_view version = next().text;
      size_t dot = version.find('.');
      if (dot == version.npos)
        throw PtxError(token.line, "expected a version like 7.0, got '" + std::string(version) + "'");
      module_.major = std::atoi(std::string(version.substr(0, dot)).c_str());
      module_.minor = std::atoi(std::string(version.substr(dot + 1)).c_str());
    } else if (accept(".target")) {
      std::string_view target = word("a target");
      if (!target.starts_with("sm_"))
        throw PtxError(token.line, "expected a target like sm_80, got '" + std::string(target) + "'");
      module_.target = std::atoi(std::string(target.substr(3)).c_str());
      while (accept(","))
        word("a target");
    } else if (accept(".address_size")) {
      if (natural("64") != 64)
        throw PtxError(token.line, "addresses must have 64 bits");
    } else if (accept(".file")) {
      unsigned number = static_cast<unsigned>(natural("a number"));
      if (peek().kind != Token::String)
        wrong("a name of a file");
      std::string_view name = next().text;
      module_.files[number] = name.substr(1, name.size() - 2);
      while (accept(","))
        next();
    } else if (accept(".section")) {
      next();
      expect("{");
      while (!accept("}")) {
        if (peek().kind == Token::End)
          wrong("'}'");
        next();
      }
    } else {
      declaration();
    }
  }

  void declaration() {
    bool external = false;
    for (;; next()) {
      std::string_view text = peek().text;
      external |= text == ".extern";
      if (text != ".visible" && text != ".extern" && text != ".weak" && text != ".common")
        break;
    }
    if (accept(".entry"))
      return entry();
    if (peek().text == ".func")
      throw PtxError(peek().line, "functions other than kernels are not known; let the compiler inline them");
    std::optional<PtxVariable> variable = variableIn(external);
    if (!variable)
      wrong("a directive of a module that the emulator knows");
    module_.variables.push_back(std::move(*variable));
  }

  std::optional<PtxVariable> variableIn(bool external) {
    PtxVariable v;
    v.external = external;
    if (accept(".global"))
      v.space = PtxVariable::Global;
    else if (accept(".const"))
      v.space = PtxVariable::Constant;
    else if (accept(".shared"))
      v.space = PtxVariable::Shared;
    else if (accept(".local"))
      v.space = PtxVariable::Local;
    else
      return std::nullopt;
    unsigned element = 0, count = 1;
    bool aligned = false;
    for (;;) {
      std::string_view text = peek().text;
      if (accept(".align")) {
        v.align = natural("an alignment");
        aligned = true;
      } else if (text == ".v2" || text == ".v4") {
        count = text[2] - '0';
        next();
      } else if (text.starts_with('.') && typeBytes(text.substr(1))) {
        element = *typeBytes(text.substr(1));
        next();
      } else if (accept(".attribute")) {
        expect("(");
        while (!accept(")"))
          next();
      } else {
        break;
      }
    }
    if (!element)
      wrong("a type");
    v.name = word("a name of a variable");
    uint64_t elements = count;
    bool open = false;
    while (accept("[")) {
      if (accept("]")) {
        open = true;
        continue;
      }
      elements *= natural("a number of elements");
      expect("]");
    }
    if (open)
      elements = 0;
    v.bytes = elements * element;
    if (!aligned)
      v.align = element * count;
    if (!v.align || v.align & (v.align - 1))
      throw PtxError(peek().line, "an alignment must be a power of two");
    if (accept("="))
      initializer(v, element);
    expect(";");
    return v;
  }

  void initializer(PtxVariable &v, unsigned element) {
    if (accept("{")) {
      if (accept("}"))
        return;
      do
        initializer(v, element);
      while (accept(","));
      expect("}");
      if (v.initial.size() > v.bytes)
        throw PtxError(peek().line, "more values than '" + std::string(v.name) + "' has elements");
      return;
    }
    uint64_t bits = 0;
    if (peek().kind == Token::Word) {
      std::string_view name = next().text;
      if (name == "generic") {
        expect("(");
        name = word("a name of a variable");
        expect(")");
      }
      if (element != 8)
        throw PtxError(peek().line, "an address needs 64 bits");
      v.references.push_back({v.initial.size(), name});
      if (accept("+"))
        bits = natural("an offset");
    } else {
      PtxOperand value = number();
      bits = static_cast<uint64_t>(value.bits);
    }
    for (unsigned i = 0; i < element; ++i)
      v.initial.push_back(static_cast<uint8_t>(bits >> (8 * i)));
  }

  /// A number with its sign. Floats keep their bits.
  PtxOperand number() {
    PtxOperand result;
    bool negative = accept("-");
    if (peek().kind != Token::Number)
      wrong("a number");
    const Token &token = next();
    std::string text(token.text);
    auto hexadecimal = [&] {
      char *end = nullptr;
      uint64_t bits = std::strtoull(text.c_str() + 2, &end, 16);
      if (*end || text.size() != (text[1] == 'f' || text[1] == 'F' ? 10u : 18u))
        throw PtxError(token.line, "expected a float, got '" + text + "'");
      return bits;
    };
    if (text.size() > 2 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F')) {
      result.kind = PtxOperand::Float32;
      result.bits = static_cast<int64_t>(hexadecimal() ^ (negative ? 0x80000000u : 0));
    } else if (text.size() > 2 && text[0] == '0' && (text[1] == 'd' || text[1] == 'D')) {
      result.kind = PtxOperand::Float64;
      result.bits = static_cast<int64_t>(hexadecimal() ^ (negative ? uint64_t(1) << 63 : 0));
    } else if (text.find_first_of(".eE") != text.npos && !text.starts_with("0x")) {
      result.kind = PtxOperand::Float64;
      double value = std::strtod(text.c_str(), nullptr);
      result.bits = std::bit_cast<int64_t>(negative ? -value : value);
    } else {
      result.kind = PtxOperand::Integer;
      int64_t value = integer(token);
      result.bits = negative ? static_cast<int64_t>(0 - static_cast<uint64_t>(value)) : value;
    }
    return result;
  }

  void entry() {
    PtxKernel kernel;
    kernel.line = peek().line;
    kernel.name = word("a name of a kernel");
    if (accept("(") && !accept(")")) {
      do
        kernel.parameters.push_back(parameter(kernel));
      while (accept(","));
      expect(")");
    }
    for (;;) {
      if (peek().text == ".reqntid" || peek().text == ".maxntid") {
        unsigned &threads = next().text == ".reqntid" ? kernel.requiredThreads : kernel.maximumThreads;
        threads = static_cast<unsigned>(natural("a number of threads"));
        while (accept(","))
          threads *= static_cast<unsigned>(natural("a number of threads"));
      } else if (accept(".minnctapersm") || accept(".maxnreg") || accept(".maxclusterrank")) {
        natural("a number");
      } else if (accept(".pragma")) {
        next();
        expect(";");
      } else if (accept(".noreturn") || accept(".blocksareclusters")) {
      } else {
        break;
      }
    }
    expect("{");
    kernel_ = &kernel;
    body();
    kernel_ = nullptr;
    module_.kernels.push_back(std::move(kernel));
  }

  PtxParameter parameter(const PtxKernel &kernel) {
    PtxParameter p;
    expect(".param");
    uint64_t element = 0;
    for (;;) {
      std::string_view text = peek().text;
      if (accept(".align"))
        p.align = natural("an alignment");
      else if (accept(".ptr")) {
        // What the pointer points to: of no consequence here.
        while (peek().text == ".global" || peek().text == ".shared" || peek().text == ".const" ||
               peek().text == ".local")
          next();
        if (accept(".align"))
          natural("an alignment");
      } else if (text.starts_with('.') && typeBytes(text.substr(1))) {
        element = *typeBytes(text.substr(1));
        next();
      } else {
        break;
      }
    }
    if (!element)
      wrong("a type of a parameter");
    p.name = word("a name of a parameter");
    p.bytes = element;
    if (accept("[")) {
      p.bytes = element * natural("a number of bytes");
      expect("]");
    }
    p.align = std::max(p.align, element);
    const PtxParameter *last = kernel.parameters.empty() ? nullptr : &kernel.parameters.back();
    p.offset = ((last ? last->offset + last->bytes : 0) + p.align - 1) / p.align * p.align;
    return p;
  }

  void body() {
    scopes_.assign(1, {});
    unsigned file = 0, sourceLine = 0;
    while (!scopes_.empty()) {
      const Token &token = peek();
      if (accept("{")) {
        scopes_.push_back({});
      } else if (accept("}")) {
        scopes_.pop_back();
      } else if (accept(".reg")) {
        registers();
      } else if (accept(".loc")) {
        file = static_cast<unsigned>(natural("a file"));
        sourceLine = static_cast<unsigned>(natural("a line"));
        // Column, then perhaps where it was inlined.
        while (peek().line == token.line && peek().text != "}")
          next();
      } else if (accept(".pragma")) {
        next();
        expect(";");
      } else if (token.kind == Token::Word && peek(1).text == ":") {
        if (!kernel_->labels.emplace(token.text, static_cast<unsigned>(kernel_->body.size())).second)
          throw PtxError(token.line, "label '" + std::string(token.text) + "' is there twice");
        next();
        next();
      } else if (token.text.starts_with('.')) {
        std::optional<PtxVariable> variable = variableIn(false);
        if (!variable)
          wrong("a directive that the emulator knows");
        kernel_->variables.push_back(std::move(*variable));
      } else {
        instruction(file, sourceLine);
      }
      if (peek().kind == Token::End && !scopes_.empty())
        wrong("'}'");
    }
  }

  void registers() {
    std::string_view type = word("a type of a register");
    std::optional<unsigned> bytes = type.starts_with('.') ? typeBytes(type.substr(1)) : std::nullopt;
    if (!bytes || *bytes > 8)
      throw PtxError(peek().line, "expected a type of a register, got '" + std::string(type) + "'");
    do {
      std::string_view name = word("a name of a register");
      int first = static_cast<int>(kernel_->registers.size());
      unsigned count = 1;
      if (accept("<")) {
        count = static_cast<unsigned>(natural("a number of registers"));
        if (count > 1u << 20)
          throw PtxError(peek().line, "more than 1048576 registers");
        expect(">");
        scopes_.back().ranges.push_back({name, count, first});
      } else {
        scopes_.back().names[name] = first;
      }
      bool range = !scopes_.back().ranges.empty() && scopes_.back().ranges.back().first == first;
      for (unsigned i = 0; i < count; ++i) {
        kernel_->registers.push_back(static_cast<uint8_t>(*bytes == 1 ? 2 : *bytes));
        kernel_->registerNames.push_back(std::string(name) + (range ? std::to_string(i) : ""));
      }
    } while (accept(","));
    expect(";");
  }

  int findRegister(std::string_view name) const {
    for (size_t s = scopes_.size(); s-- > 0;) {
      auto found = scopes_[s].names.find(name);
      if (found != scopes_[s].names.end())
        return found->second;
      for (const Range &range : scopes_[s].ranges) {
        if (!name.starts_with(range.prefix) || name.size() == range.prefix.size())
          continue;
        std::string_view digits = name.substr(range.prefix.size());
        unsigned index = 0;
        auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
        if (error == std::errc() && end == digits.data() + digits.size() && index < range.count)
          return range.first + static_cast<int>(index);
      }
    }
    return -1;
  }

  int predicate() {
    std::string_view name = word("a predicate");
    int reg = findRegister(name);
    if (reg < 0 || kernel_->registers[reg] != 0)
      throw PtxError(peek().line, "expected a predicate, got '" + std::string(name) + "'");
    return reg;
  }

  void instruction(unsigned file, unsigned sourceLine) {
    PtxInstruction result;
    result.sourceFile = file;
    result.sourceLine = sourceLine;
    if (accept("@")) {
      result.guardNegated = accept("!");
      result.guard = predicate();
    }
    result.line = peek().line;
    result.mnemonic = word("an instruction");
    if (!accept(";")) {
      do
        result.operands.push_back(operand());
      while (accept(","));
      expect(";");
    }
    kernel_->body.push_back(std::move(result));
  }

  PtxOperand operand() {
    PtxOperand result;
    if (accept("{")) {
      result.kind = PtxOperand::Group;
      do
        result.parts.push_back(operand());
      while (accept(","));
      expect("}");
      return result;
    }
    if (accept("[")) {
      result.kind = PtxOperand::Address;
      if (peek().kind == Token::Number) {
        result.bits = number().bits;
      } else {
        std::string_view name = word("an address");
        result.reg = findRegister(name);
        if (result.reg < 0)
          result.name = name;
      }
      bool plus = accept("+");
      if (plus || peek().text == "-")
        result.bits = number().bits;
      expect("]");
      return result;
    }
    result.negated = accept("!");
    if (peek().kind == Token::Number || peek().text == "-")
      return number();
    std::string_view name = word("an operand");
    if (name == "_")
      return result;
    result.reg = findRegister(name);
    if (result.reg >= 0) {
      result.kind = kernel_->registers[result.reg] ? PtxOperand::Register : PtxOperand::Predicate;
    } else if (isSpecial(name)) {
      result.kind = PtxOperand::Special;
      result.name = name;
    } else if (name.starts_with('%')) {
      throw PtxError(peek().line, "register '" + std::string(name) + "' is not declared or not known");
    } else {
      result.kind = PtxOperand::Symbol;
      result.name = name;
      bool plus = accept("+");
      if (plus || peek().text == "-")
        result.bits = number().bits;
    }
    if (accept("|"))
      result.pair = peek().text == "_" ? (next(), -1) : predicate();
    return result;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  PtxModule module_;
  PtxKernel *kernel_ = nullptr;
  std::vector<Scope> scopes_;
};

} // namespace

PtxModule parsePtx(std::string_view text) { return Parser(text).run(); }

} // namespace kerf::emulator
