//===- Source.cpp - evaluates source expressions block by block -----------===//
#include "codegen/package/Source.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

using namespace mlir;
using namespace kerf;

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

TensorSource::~TensorSource() = default;

static std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static bool sameElement(DType dtype, Type type) {
  switch (dtype) {
  case DType::BF16:
    return type.isBF16();
  case DType::F16:
    return type.isF16();
  case DType::F32:
    return type.isF32();
  case DType::Other:
    return false;
  }
  return false;
}

llvm::Error CheckpointSource::check(StringRef name, RankedTensorType type) const {
  const LocatedTensor *tensor = checkpoint.find(name);
  if (!tensor)
    return importError("checkpoint '" + checkpoint.directory() + "' must have a tensor '" + name +
                       "', got none; import the model again from this checkpoint");
  const TensorInfo &info = *tensor->info;
  if (!sameElement(info.dtype, type.getElementType()) || ArrayRef<int64_t>(info.shape) != type.getShape())
    return importError("tensor '" + name + "' of checkpoint '" + checkpoint.directory() + "' must be " + textOf(type) +
                       ", got " + info.dtypeName + " " + formatShape(info.shape) +
                       "; import the model again from this checkpoint");
  return llvm::Error::success();
}

llvm::Error CheckpointSource::read(StringRef name, uint64_t begin, MutableArrayRef<char> destination) const {
  const LocatedTensor *tensor = checkpoint.find(name);
  assert(tensor && "check has found it");
  return checkpoint.read(*tensor, begin, destination);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

class SourceEvaluator::Node {
public:
  explicit Node(SourceAttrInterface expression)
      : shape(expression.getShape()), elementBytes(expression.getElementType().getIntOrFloatBitWidth() / 8) {}
  virtual ~Node() = default;
  virtual llvm::Error evaluate(int64_t begin, int64_t end, char *out) = 0;

  int64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  uint64_t rowBytes() const { return sliceBytes(0); }
  // Bytes of one index of axis `axis`: the product of the axes after it.
  uint64_t sliceBytes(int64_t axis) const {
    uint64_t bytes = elementBytes;
    for (int64_t extent : ArrayRef<int64_t>(shape).drop_front(std::min<size_t>(axis + 1, shape.size())))
      bytes *= extent;
    return bytes;
  }

  SmallVector<int64_t> shape;
  uint64_t elementBytes;
};

namespace {

using Node = SourceEvaluator::Node;

class TakeNode : public Node {
public:
  TakeNode(TakeAttr take, const TensorSource &tensors) : Node(take), name(take.getTensor()), tensors(tensors) {}
  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    return tensors.read(name, begin * rowBytes(), {out, size_t((end - begin) * rowBytes())});
  }

private:
  std::string name;
  const TensorSource &tensors;
};

class LiteralNode : public Node {
public:
  explicit LiteralNode(LiteralAttr literal) : Node(literal), value(literal.getValue()) {}
  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    const ArrayRef<char> raw = value.getRawData();
    const uint64_t bytes = (end - begin) * rowBytes();
    if (!value.isSplat()) {
      std::memcpy(out, raw.data() + begin * rowBytes(), bytes);
      return llvm::Error::success();
    }
    for (uint64_t at = 0; at < bytes; at += elementBytes)
      std::memcpy(out + at, raw.data(), elementBytes);
    return llvm::Error::success();
  }

private:
  DenseElementsAttr value;
};

class ConcatNode : public Node {
public:
  ConcatNode(ConcatAttr concat, std::vector<std::unique_ptr<Node>> parts)
      : Node(concat), axis(concat.getAxis()), parts(std::move(parts)) {}

  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    return axis == 0 ? evaluateRows(begin, end, out) : evaluateColumns(begin, end, out);
  }

private:
  llvm::Error evaluateRows(int64_t begin, int64_t end, char *out) {
    int64_t first = 0;
    for (const std::unique_ptr<Node> &part : parts) {
      const int64_t from = std::max(begin, first), to = std::min(end, first + part->rows());
      if (from < to)
        if (llvm::Error error = part->evaluate(from - first, to - first, out + (from - begin) * rowBytes()))
          return error;
      first += part->rows();
    }
    return llvm::Error::success();
  }

  // A row is a run of slices before the axis; in each, the parts lie side by side.
  llvm::Error evaluateColumns(int64_t begin, int64_t end, char *out) {
    uint64_t slices = end - begin;
    for (int64_t extent : ArrayRef<int64_t>(shape).slice(1, axis - 1))
      slices *= extent;
    const uint64_t stride = sliceBytes(axis - 1);
    uint64_t at = 0;
    for (const std::unique_ptr<Node> &part : parts) {
      scratch.resize((end - begin) * part->rowBytes());
      if (llvm::Error error = part->evaluate(begin, end, scratch.data()))
        return error;
      const uint64_t bytes = part->sliceBytes(axis - 1);
      for (uint64_t slice = 0; slice < slices; ++slice)
        std::memcpy(out + slice * stride + at, scratch.data() + slice * bytes, bytes);
      at += bytes;
    }
    return llvm::Error::success();
  }

  int64_t axis;
  std::vector<std::unique_ptr<Node>> parts;
  std::vector<char> scratch;
};

class SliceNode : public Node {
public:
  SliceNode(SliceAttr slice, std::unique_ptr<Node> value)
      : Node(slice), axis(slice.getAxis()), first(slice.getBegin()), value(std::move(value)) {}

  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    if (axis == 0)
      return value->evaluate(first + begin, first + end, out);
    // As in ConcatNode: a row is a run of slices before the axis, of which a part of each is wanted.
    scratch.resize((end - begin) * value->rowBytes());
    if (llvm::Error error = value->evaluate(begin, end, scratch.data()))
      return error;
    uint64_t slices = end - begin;
    for (int64_t extent : ArrayRef<int64_t>(shape).slice(1, axis - 1))
      slices *= extent;
    const uint64_t from = value->sliceBytes(axis - 1), bytes = sliceBytes(axis - 1);
    for (uint64_t slice = 0; slice < slices; ++slice)
      std::memcpy(out + slice * bytes, scratch.data() + slice * from + first * sliceBytes(axis), bytes);
    return llvm::Error::success();
  }

private:
  int64_t axis, first;
  std::unique_ptr<Node> value;
  std::vector<char> scratch;
};

/// Widens numbers of a float type to f32.
using WidenFn = void (*)(const char *from, uint64_t count, float *to);

template <typename T> void widenTo(const char *from, uint64_t count, float *to) {
  for (uint64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    to[i] = value;
  }
}

void widenBf16(const char *from, uint64_t count, float *to) {
  for (uint64_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, from + i * sizeof half, sizeof half);
    const uint32_t bits = uint32_t(half) << 16;
    std::memcpy(to + i, &bits, sizeof bits);
  }
}

/// Null for a type that no checkpoint has.
WidenFn widenOf(Type type) {
  return type.isF32() ? widenTo<float> : type.isF16() ? widenTo<_Float16> : type.isBF16() ? widenBf16 : nullptr;
}

class SumNode : public Node {
public:
  SumNode(SumAttr sum, std::unique_ptr<Node> value, std::unique_ptr<Node> row, WidenFn widenValue, WidenFn widenRow)
      : Node(sum), value(std::move(value)), row(std::move(row)), widenValue(widenValue), widenRow(widenRow) {}

  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    const uint64_t columns = shape[1];
    if (addend.empty()) {
      std::vector<char> narrow(row->rowBytes());
      if (llvm::Error error = row->evaluate(0, 1, narrow.data()))
        return error;
      addend.resize(columns);
      widenRow(narrow.data(), columns, addend.data());
    }
    scratch.resize((end - begin) * value->rowBytes());
    if (llvm::Error error = value->evaluate(begin, end, scratch.data()))
      return error;
    std::vector<float> sums(columns);
    for (int64_t r = 0; r < end - begin; ++r) {
      widenValue(scratch.data() + r * value->rowBytes(), columns, sums.data());
      for (uint64_t column = 0; column < columns; ++column)
        sums[column] += addend[column];
      std::memcpy(out + r * rowBytes(), sums.data(), rowBytes());
    }
    return llvm::Error::success();
  }

private:
  std::unique_ptr<Node> value, row;
  WidenFn widenValue, widenRow;
  std::vector<float> addend;
  std::vector<char> scratch;
};

class TransposeNode : public Node {
public:
  TransposeNode(TransposeAttr transpose, std::unique_ptr<Node> value) : Node(transpose), value(std::move(value)) {}

  llvm::Error evaluate(int64_t begin, int64_t end, char *out) override {
    if (matrix.empty()) {
      matrix.resize(value->rows() * value->rowBytes());
      if (llvm::Error error = value->evaluate(0, value->rows(), matrix.data())) {
        matrix.clear();
        return error;
      }
    }
    switch (elementBytes) {
    case 1:
      return turn<uint8_t>(begin, end, out);
    case 2:
      return turn<uint16_t>(begin, end, out);
    case 4:
      return turn<uint32_t>(begin, end, out);
    default:
      return turn<uint64_t>(begin, end, out);
    }
  }

private:
  // In squares, so that both sides stay in cache.
  template <typename T> llvm::Error turn(int64_t begin, int64_t end, char *out) const {
    constexpr int64_t square = 32;
    const int64_t columns = shape[1], stride = shape[0];
    for (int64_t row = begin; row < end; row += square)
      for (int64_t column = 0; column < columns; column += square)
        for (int64_t r = row; r < std::min(row + square, end); ++r)
          for (int64_t c = column; c < std::min(column + square, columns); ++c)
            std::memcpy(out + ((r - begin) * columns + c) * sizeof(T), matrix.data() + (c * stride + r) * sizeof(T),
                        sizeof(T));
    return llvm::Error::success();
  }

  std::unique_ptr<Node> value;
  std::vector<char> matrix;
};

llvm::Expected<std::unique_ptr<Node>> build(Attribute expression, const TensorSource &tensors) {
  auto source = dyn_cast<SourceAttrInterface>(expression);
  const unsigned bits =
      source && source.getElementType().isIntOrFloat() ? source.getElementType().getIntOrFloatBitWidth() : 0;
  if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
    return importError("source must be an expression with elements of 8, 16, 32 or 64 bits, got " +
                       llvm::formatv("{0}", expression).str());
  if (auto take = dyn_cast<TakeAttr>(expression)) {
    if (llvm::Error error = tensors.check(take.getTensor(), take.getType()))
      return std::move(error);
    return std::make_unique<TakeNode>(take, tensors);
  }
  if (auto literal = dyn_cast<LiteralAttr>(expression))
    return std::make_unique<LiteralNode>(literal);
  if (auto concat = dyn_cast<ConcatAttr>(expression)) {
    std::vector<std::unique_ptr<Node>> parts;
    for (Attribute part : concat.getParts()) {
      llvm::Expected<std::unique_ptr<Node>> built = build(part, tensors);
      if (!built)
        return built.takeError();
      parts.push_back(std::move(*built));
    }
    return std::make_unique<ConcatNode>(concat, std::move(parts));
  }
  if (auto slice = dyn_cast<SliceAttr>(expression)) {
    llvm::Expected<std::unique_ptr<Node>> value = build(slice.getValue(), tensors);
    if (!value)
      return value.takeError();
    return std::make_unique<SliceNode>(slice, std::move(*value));
  }
  if (auto sum = dyn_cast<SumAttr>(expression)) {
    llvm::Expected<std::unique_ptr<Node>> value = build(sum.getValue(), tensors);
    if (!value)
      return value.takeError();
    llvm::Expected<std::unique_ptr<Node>> row = build(sum.getRow(), tensors);
    if (!row)
      return row.takeError();
    WidenFn widenValue = widenOf(cast<SourceAttrInterface>(sum.getValue()).getElementType());
    WidenFn widenRow = widenOf(cast<SourceAttrInterface>(sum.getRow()).getElementType());
    if (!widenValue || !widenRow)
      return importError("sum must be of f32, f16 or bf16, got " + llvm::formatv("{0}", expression).str());
    return std::make_unique<SumNode>(sum, std::move(*value), std::move(*row), widenValue, widenRow);
  }
  if (auto transpose = dyn_cast<TransposeAttr>(expression)) {
    llvm::Expected<std::unique_ptr<Node>> value = build(transpose.getValue(), tensors);
    if (!value)
      return value.takeError();
    return std::make_unique<TransposeNode>(transpose, std::move(*value));
  }
  return importError("source must be made of take, concat, slice, transpose, sum and literal, got " +
                     llvm::formatv("{0}", expression).str());
}

} // namespace

//===----------------------------------------------------------------------===//
// Evaluator
//===----------------------------------------------------------------------===//

SourceEvaluator::SourceEvaluator(std::unique_ptr<Node> root) : root(std::move(root)) {}
SourceEvaluator::SourceEvaluator(SourceEvaluator &&) noexcept = default;
SourceEvaluator &SourceEvaluator::operator=(SourceEvaluator &&) noexcept = default;
SourceEvaluator::~SourceEvaluator() = default;

llvm::Expected<SourceEvaluator> SourceEvaluator::create(SourceAttrInterface expression, const TensorSource &tensors) {
  llvm::Expected<std::unique_ptr<Node>> root = build(expression, tensors);
  if (!root)
    return root.takeError();
  return SourceEvaluator(std::move(*root));
}

int64_t SourceEvaluator::rows() const { return root->rows(); }
uint64_t SourceEvaluator::rowBytes() const { return root->rowBytes(); }

llvm::Error SourceEvaluator::evaluate(int64_t begin, int64_t end, MutableArrayRef<char> out) {
  assert(0 <= begin && begin <= end && end <= rows() && "rows must be inside the value");
  assert(out.size() == (end - begin) * rowBytes() && "the buffer must fit the rows");
  return begin == end ? llvm::Error::success() : root->evaluate(begin, end, out.data());
}

bool kerf::keepsMatrix(SourceAttrInterface expression) {
  if (isa<TransposeAttr>(expression))
    return true;
  if (auto slice = dyn_cast<SliceAttr>(expression))
    return keepsMatrix(cast<SourceAttrInterface>(slice.getValue()));
  if (auto sum = dyn_cast<SumAttr>(expression))
    return keepsMatrix(cast<SourceAttrInterface>(sum.getValue()));
  auto concat = dyn_cast<ConcatAttr>(expression);
  return concat &&
         llvm::any_of(concat.getParts(), [](Attribute part) { return keepsMatrix(cast<SourceAttrInterface>(part)); });
}
