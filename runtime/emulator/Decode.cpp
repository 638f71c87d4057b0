#include "runtime/emulator/Decode.h"

#include "runtime/emulator/Counts.h"
#include "runtime/emulator/Flow.h"
#include "runtime/emulator/Instructions.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

namespace kerf::emulator {
namespace {

class Decoder {
public:
  Decoder(const PtxModule &module, const PtxKernel &source, const Addresses &addresses)
      : module_(module), source_(source), addresses_(addresses) {}

  Kernel run() {
    kernel_.name = source_.name;
    kernel_.parameters = source_.parameters;
    for (PtxParameter &p : kernel_.parameters)
      p.name = {};
    if (!source_.parameters.empty())
      kernel_.parameterBytes = source_.parameters.back().offset + source_.parameters.back().bytes;
    kernel_.requiredThreads = source_.requiredThreads;
    kernel_.maximumThreads = source_.maximumThreads;
    for (auto &[number, name] : module_.files)
      kernel_.files.emplace(number, name);
    placeVariables();
    units_.assign(source_.registers.size(), -1);
    for (const PtxInstruction &instruction : source_.body)
      kernel_.code.push_back(decode(instruction));
    if (kernel_.code.empty())
      throw PtxError(source_.line, "kernel '" + kernel_.name + "' has no instruction");
    finishBlocks();
    return std::move(kernel_);
  }

private:
  void placeVariables() {
    auto place = [&](const PtxVariable &v) {
      if (v.space == PtxVariable::Shared && !v.external) {
        kernel_.staticShared = (kernel_.staticShared + v.align - 1) & ~(v.align - 1);
        symbols_[v.name] = kernel_.staticShared;
        kernel_.staticShared += v.bytes;
      } else if (v.space == PtxVariable::Local) {
        kernel_.localBytes = (kernel_.localBytes + v.align - 1) & ~(v.align - 1);
        symbols_[v.name] = kernel_.localBytes;
        kernel_.localBytes += v.bytes;
      }
    };
    // Of the module's variables those that this kernel names, as in a linker.
    for (const PtxVariable &v : module_.variables)
      if (uses(v.name))
        place(v);
    for (const PtxVariable &v : source_.variables)
      place(v);
    // Dynamic shared memory follows the static one.
    for (const std::vector<PtxVariable> *variables : {&module_.variables, &source_.variables})
      for (const PtxVariable &v : *variables)
        if (v.space == PtxVariable::Shared && v.external && uses(v.name))
          kernel_.staticShared = (kernel_.staticShared + v.align - 1) & ~(v.align - 1);
    for (const std::vector<PtxVariable> *variables : {&module_.variables, &source_.variables})
      for (const PtxVariable &v : *variables)
        if (v.space == PtxVariable::Shared && v.external)
          symbols_[v.name] = kernel_.staticShared;
    for (auto &[name, address] : addresses_)
      symbols_.emplace(name, address);
    for (const PtxParameter &p : source_.parameters)
      symbols_.emplace(p.name, p.offset);
  }

  bool uses(std::string_view name) const {
    if (used_.empty())
      for (const PtxInstruction &i : source_.body)
        for (const PtxOperand &o : i.operands)
          if (!o.name.empty())
            used_[o.name] = true;
    return used_.count(name);
  }

  uint64_t symbol(std::string_view name, unsigned line) const {
    auto found = symbols_.find(name);
    if (found == symbols_.end())
      throw PtxError(line, "'" + std::string(name) + "' is not declared");
    return found->second;
  }

  /// Units of a register of that many bytes.
  int32_t newUnits(unsigned bytes) {
    int32_t unit = static_cast<int32_t>(sizes_.size());
    sizes_.push_back(static_cast<uint8_t>(bytes));
    sizes_.resize(sizes_.size() + (bytes == 8));
    return unit;
  }

  int32_t unitOf(int reg) {
    if (units_[reg] < 0)
      units_[reg] =
          source_.registers[reg] == 0 ? static_cast<int32_t>(kernel_.predicates++) : newUnits(source_.registers[reg]);
    return units_[reg];
  }

  int32_t constant(unsigned bytes, uint64_t bits) {
    auto [at, isNew] = constants_.try_emplace({bytes, bits}, 0);
    if (isNew) {
      size_t from = kernel_.constants.size();
      unsigned units = bytes == 8 ? 2 : 1;
      kernel_.constants.resize(from + units * kUnit);
      for (unsigned lane = 0; lane < kLanes; ++lane)
        std::memcpy(&kernel_.constants[from + lane * bytes], &bits, bytes);
      kernel_.constantsUndefined.resize(kernel_.constants.size() / kUnit);
      at->second = static_cast<int32_t>(0x80000000u | static_cast<uint32_t>(from / kUnit));
    }
    return at->second;
  }

  int32_t special(std::string_view name, unsigned bytes) {
    auto [at, isNew] = specials_.try_emplace(std::string(name) + (bytes == 8 ? "/8" : bytes == 2 ? "/2" : ""), 0);
    if (isNew) {
      at->second = newUnits(bytes);
      kernel_.specials.push_back({at->first, at->second});
    }
    return at->second;
  }

  [[noreturn]] void wrong(const PtxInstruction &i, const std::string &what) const {
    throw PtxError(i.line, std::string(i.mnemonic) + ": " + what);
  }

  int32_t predicateOperand(const PtxInstruction &i, const PtxOperand &o) {
    if (o.kind == PtxOperand::Integer)
      return (o.bits != 0) << 1;
    if (o.kind != PtxOperand::Predicate)
      wrong(i, "expected a predicate");
    return unitOf(o.reg) << 1 | o.negated;
  }

  /// `bytes` 0: any.
  int32_t valueOperand(const PtxInstruction &i, const PtxOperand &o, unsigned bytes, bool written, Instruction &out) {
    if (o.kind == PtxOperand::Register) {
      unsigned has = source_.registers[o.reg];
      if (bytes && has != bytes)
        wrong(i, "register " + source_.registerNames[o.reg] + " must have " + std::to_string(bytes * 8) +
                     " bits, got " + std::to_string(has * 8));
      out.registerBytes = static_cast<uint8_t>(has);
      return unitOf(o.reg);
    }
    if (o.kind == PtxOperand::Sink && written) {
      out.registerBytes = static_cast<uint8_t>(bytes ? bytes : 8);
      if (sink_ < 0)
        sink_ = newUnits(8);
      return sink_;
    }
    if (written)
      wrong(i, "expected a register to write");
    unsigned size = bytes ? bytes : 8;
    out.registerBytes = static_cast<uint8_t>(size);
    switch (o.kind) {
    case PtxOperand::Special:
      return special(o.name, size);
    case PtxOperand::Integer:
      return constant(size, static_cast<uint64_t>(o.bits) & (size == 8 ? ~uint64_t(0) : (uint64_t(1) << size * 8) - 1));
    case PtxOperand::Float32:
      if (size != 4)
        wrong(i, "a float of 32 bits does not fit here");
      return constant(4, static_cast<uint32_t>(o.bits));
    case PtxOperand::Float64:
      if (size == 8)
        return constant(8, static_cast<uint64_t>(o.bits));
      if (size == 4)
        return constant(4, std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(o.bits))));
      wrong(i, "a float of 64 bits does not fit here");
    case PtxOperand::Symbol:
      return constant(size, symbol(o.name, i.line) + static_cast<uint64_t>(o.bits));
    default:
      wrong(i, "expected a register or a number");
    }
  }

  Instruction decode(const PtxInstruction &source) {
    Parts parts;
    const Row *row = findRow(source.mnemonic, source.operands, parts);
    if (!row)
      throw PtxError(source.line, "the emulator does not know the instruction '" + std::string(source.mnemonic) + "'");
    Instruction out;
    out.run = row->run;
    out.flags = row->flags;
    out.kind = classify(source.mnemonic);
    out.line = source.line;
    out.index = static_cast<uint32_t>(kernel_.code.size());
    if (source.guard >= 0)
      out.guard = unitOf(source.guard) << 1 | source.guardNegated;
    kernel_.locations.push_back({source.sourceFile, source.sourceLine});
    unsigned slot = 0;
    const char *form = row->form;
    operands(source, source.operands, form, out, slot);
    out.operands = static_cast<uint8_t>(slot);
    if (row->finish) {
      try {
        row->finish(out, parts);
      } catch (const std::string &what) {
        wrong(source, what);
      }
    }
    if (out.bytes) {
      // An undefined element of a store must not spoil its neighbours.
      unsigned grain = out.bytes / (row->form[0] == 'm' ? out.count : 1);
      if (out.space == Space::Shared || out.space == Space::Generic)
        kernel_.sharedGrain = std::min<unsigned>(kernel_.sharedGrain, grain);
      if (out.space == Space::Global || out.space == Space::Generic)
        kernel_.globalGrain = std::min<unsigned>(kernel_.globalGrain, out.bytes);
      if (out.order != Order::Weak && out.space != Space::Shared)
        kernel_.communicates = true;
    }
    return out;
  }

  void operands(const PtxInstruction &source, const std::vector<PtxOperand> &list, const char *&form, Instruction &out,
                unsigned &slot) {
    size_t n = 0;
    bool optional = false;
    auto put = [&](int32_t o) {
      if (slot >= std::size(out.o))
        wrong(source, "more operands than the emulator knows");
      out.o[slot++] = o;
    };
    auto putValue = [&](const PtxOperand &o, unsigned bytes, bool written) {
      put(valueOperand(source, o, bytes, written, out));
      if (out.o[slot - 1] >= 0)
        uses_.push_back({out.index, static_cast<uint8_t>(slot - 1), written});
    };
    for (; *form && *form != '}'; ++form) {
      char c = *form;
      if (c == '?') {
        optional = true;
        continue;
      }
      if (c == '&') {
        put(list[n - 1].pair < 0 ? -1 : unitOf(list[n - 1].pair) << 1);
        continue;
      }
      if (n == list.size()) {
        if (!optional)
          wrong(source, "expected more operands than " + std::to_string(list.size()));
        if (c == '{')
          form = std::strchr(form, '}');
        else if (c != 'i' && c != 'b')
          put(-1);
        continue;
      }
      const PtxOperand &o = list[n++];
      if (o.pair >= 0 && form[1] != '&')
        wrong(source, "a second predicate is not known here");
      if (o.negated && o.kind != PtxOperand::Predicate)
        wrong(source, "only a predicate can be negated");
      switch (c) {
      case '{': {
        if (o.kind != PtxOperand::Group)
          wrong(source, "expected a group in braces");
        ++form;
        operands(source, o.parts, form, out, slot);
        break;
      }
      case 'P':
      case 'p':
        put(predicateOperand(source, o));
        break;
      case 'H':
      case 'h':
        putValue(o, 2, c == 'H');
        break;
      case 'W':
      case 'w':
        putValue(o, 4, c == 'W');
        break;
      case 'L':
      case 'l':
        putValue(o, 8, c == 'L');
        break;
      case 'X':
      case 'x':
        putValue(o, 0, c == 'X');
        if (c == 'X')
          out.bytes = out.registerBytes;
        break;
      case 'v':
      case 'V': // one register or a group of up to four, of any size
        if (o.kind == PtxOperand::Group) {
          for (const PtxOperand &part : o.parts)
            putValue(part, 0, c == 'V');
          out.count = static_cast<uint8_t>(o.parts.size());
        } else {
          putValue(o, 0, c == 'V');
        }
        break;
      case 'm': {
        if (o.kind != PtxOperand::Address)
          wrong(source, "expected an address in brackets");
        // Its register, whether that has 32 bits, and the offset.
        unsigned has = o.reg >= 0 ? source_.registers[o.reg] : 8;
        if (has != 4 && has != 8)
          wrong(source, "an address must have 32 or 64 bits");
        if (o.bits != static_cast<int32_t>(o.bits))
          wrong(source, "an offset must fit in 32 bits");
        put(o.reg >= 0 ? unitOf(o.reg) : constant(8, o.name.empty() ? 0 : symbol(o.name, source.line)));
        if (o.reg >= 0)
          uses_.push_back({out.index, static_cast<uint8_t>(slot - 1), false});
        put(has == 4);
        put(static_cast<int32_t>(o.bits));
        break;
      }
      case 'i':
        if (o.kind != PtxOperand::Integer)
          wrong(source, "expected an integer");
        out.immediate = o.bits;
        break;
      case 'b': {
        auto label = source_.labels.find(o.name);
        if (o.kind != PtxOperand::Symbol || label == source_.labels.end())
          wrong(source, "expected a label");
        out.target = label->second;
        targets_.push_back(label->second);
        break;
      }
      default:
        wrong(source, std::string("the table has a form with '") + c + "'");
      }
    }
    if (n != list.size())
      wrong(source, "expected " + std::to_string(n) + " operands, got " + std::to_string(list.size()));
  }

  /// A kernel that runs off its end returns.
  void finishBlocks() {
    Instruction end;
    Parts parts;
    end.run = findRow("ret", {}, parts)->run;
    end.flags = Instruction::EndsBlock | Instruction::Control | Instruction::Leaves;
    end.kind = Class::Control;
    end.line = kernel_.code.back().line;
    end.index = static_cast<uint32_t>(kernel_.code.size());
    kernel_.code.push_back(end);
    kernel_.locations.push_back(kernel_.locations.back());
    std::vector<Block> blocks = findJoins(kernel_.code, targets_);
    shareUnits(kernel_, blocks, uses_, sizes_, sink_ >= 0 ? std::vector<int32_t>{sink_} : std::vector<int32_t>());
  }

  const PtxModule &module_;
  const PtxKernel &source_;
  const Addresses &addresses_;
  Kernel kernel_;
  std::unordered_map<std::string_view, uint64_t> symbols_;
  mutable std::unordered_map<std::string_view, bool> used_;
  std::vector<int32_t> units_;
  std::map<std::pair<unsigned, uint64_t>, int32_t> constants_;
  std::map<std::string, int32_t> specials_;
  std::vector<uint32_t> targets_;
  /// Bytes of each register by its first unit, 0 between; and where registers are used, in the order of instructions.
  std::vector<uint8_t> sizes_;
  std::vector<RegisterUse> uses_;
  int32_t sink_ = -1;
};

} // namespace

Kernel decode(const PtxModule &module, const PtxKernel &kernel, const Addresses &addresses) {
  return Decoder(module, kernel, addresses).run();
}

} // namespace kerf::emulator
