// Runs programs given as text on the reference path, and numbers as plain scalar code sees them.
#ifndef KERF_TEST_NUMERICS_HARNESS_H
#define KERF_TEST_NUMERICS_HARNESS_H

#include "codegen/reference/Emitter.h"
#include "codegen/reference/Program.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace kerf::test {

/// An element type, as the scalar reference knows it.
enum class Element { F32, BF16, F16 };

/// All of them.
inline constexpr Element allElements[] = {Element::F32, Element::BF16, Element::F16};

/// Its name in MLIR.
inline std::string text(Element element) {
  return element == Element::F32 ? "f32" : element == Element::BF16 ? "bf16" : "f16";
}

/// Bytes of one.
inline size_t bytes(Element element) { return element == Element::F32 ? 4 : 2; }

/// Half the distance of 1 to the next number: the greatest relative error of one rounding.
inline double unit(Element element) {
  return element == Element::F32    ? std::ldexp(1, -24)
         : element == Element::BF16 ? std::ldexp(1, -8)
                                    : std::ldexp(1, -11);
}

/// `value` rounded to nearest even, by arithmetic on doubles: scale so that the last kept bit is 1, round, scale back.
inline float round(double value, Element element) {
  if (element == Element::F32 || !std::isfinite(value) || value == 0)
    return static_cast<float>(value);
  int digits = element == Element::BF16 ? 8 : 11, least = element == Element::BF16 ? -133 : -24;
  int last = std::max(std::ilogb(value) - (digits - 1), least);
  double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -last)), last);
  double greatest = element == Element::BF16 ? std::ldexp(255.0, 120) : 65504.0;
  return std::abs(rounded) > greatest ? std::copysign(INFINITY, rounded) : rounded;
}

/// A dense array with the element type that the program sees; `values` are exactly representable in it.
struct Array {
  Element element = Element::F32;
  std::vector<int64_t> shape;
  std::vector<float> values;

  int64_t size() const {
    int64_t count = 1;
    for (int64_t extent : shape)
      count *= extent;
    return count;
  }
  float &at(int64_t row, int64_t column) { return values[row * shape[1] + column]; }
  float at(int64_t row, int64_t column) const { return values[row * shape[1] + column]; }

  /// The bytes that the program reads.
  std::vector<char> encode() const {
    std::vector<char> data(values.size() * bytes(element));
    for (size_t i = 0; i < values.size(); ++i) {
      uint32_t bits = std::bit_cast<uint32_t>(values[i]);
      if (element == Element::BF16)
        bits >>= 16;
      if (element == Element::F16)
        bits = encodeF16(values[i]);
      std::memcpy(&data[i * bytes(element)], &bits, bytes(element));
    }
    return data;
  }

  /// The array that these bytes are.
  static Array decode(Element element, std::vector<int64_t> shape, const void *data) {
    Array array{element, std::move(shape), {}};
    array.values.resize(array.size());
    for (size_t i = 0; i < array.values.size(); ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, static_cast<const char *>(data) + i * bytes(element), bytes(element));
      array.values[i] = element == Element::F32    ? std::bit_cast<float>(bits)
                        : element == Element::BF16 ? std::bit_cast<float>(bits << 16)
                                                   : decodeF16(bits);
    }
    return array;
  }

  static uint32_t encodeF16(float value) {
    uint32_t sign = std::signbit(value) ? 0x8000 : 0;
    double magnitude = std::abs(static_cast<double>(value));
    if (std::isnan(value))
      return sign | 0x7e00;
    if (std::isinf(value))
      return sign | 0x7c00;
    if (magnitude < std::ldexp(1, -14))
      return sign | static_cast<uint32_t>(std::ldexp(magnitude, 24));
    int exponent = std::ilogb(magnitude);
    return sign | static_cast<uint32_t>((exponent + 15) << 10) |
           (static_cast<uint32_t>(std::ldexp(magnitude, 10 - exponent)) & 0x3ff);
  }
  static float decodeF16(uint32_t bits) {
    int exponent = (bits >> 10) & 0x1f;
    double fraction = bits & 0x3ff;
    double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                       : exponent == 31 ? (fraction ? NAN : INFINITY)
                                        : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
  }
};

/// Normal numbers of the given spread, rounded to the element type.
inline Array randomArray(std::mt19937 &random, Element element, std::vector<int64_t> shape, double spread = 1) {
  Array array{element, std::move(shape), {}};
  std::normal_distribution<double> normal(0, spread);
  for (int64_t i = 0; i < array.size(); ++i)
    array.values.push_back(test::round(normal(random), element));
  return array;
}

/// A parsed module in a context of its own.
class Module {
public:
  explicit Module(const std::string &source) {
    context.loadDialect<KerfDialect, mlir::func::FuncDialect, mlir::tensor::TensorDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
    if (!module)
      ADD_FAILURE() << "the program does not parse:\n" << source;
  }
  mlir::ModuleOp get() { return *module; }
  mlir::func::FuncOp function(llvm::StringRef name) { return module->lookupSymbol<mlir::func::FuncOp>(name); }

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// An argument: an array of numbers or of indices.
struct Input {
  std::vector<char> data;
  std::vector<int64_t> shape;
  Input(const Array &array) : data(array.encode()), shape(array.shape) {}
  Input(const std::vector<int32_t> &indices)
      : data(reinterpret_cast<const char *>(indices.data()),
             reinterpret_cast<const char *>(indices.data() + indices.size())),
        shape{static_cast<int64_t>(indices.size())} {}
};

inline Element elementOf(mlir::Type type) {
  return type.isF32() ? Element::F32 : type.isBF16() ? Element::BF16 : Element::F16;
}

/// Runs a compiled program; gives its results. Inputs are changed in place where the program does so (caches).
inline std::vector<Array> run(const reference::Program &program, std::vector<Input> &inputs) {
  std::vector<reference::Buffer> buffers;
  for (Input &input : inputs)
    buffers.push_back({input.data.data(), {input.shape.begin(), input.shape.end()}});
  std::vector<Array> results;
  llvm::Error error =
      program.run(buffers, [&](const reference::Output &output, const void *data, llvm::ArrayRef<int64_t> shape) {
        if (!output.op)
          results.push_back(Array::decode(elementOf(output.type.getElementType()), shape.vec(), data));
      });
  if (error)
    ADD_FAILURE() << llvm::toString(std::move(error));
  return results;
}

/// The function `f` of a module given as text, compiled.
class Compiled {
public:
  explicit Compiled(const std::string &source) : module(source) {
    if (!module.get())
      return;
    auto compiled = reference::Program::compile(module.function("f"));
    if (compiled)
      program = std::move(*compiled);
    else
      ADD_FAILURE() << llvm::toString(compiled.takeError()) << "\n" << source;
  }
  /// Runs it; caches among the inputs are changed in place.
  std::vector<Array> run(std::vector<Input> &inputs) const {
    return program ? test::run(*program, inputs) : std::vector<Array>();
  }
  /// Runs it on inputs that it does not change.
  std::vector<Array> run(std::vector<Input> &&inputs) const { return run(inputs); }

private:
  Module module;
  std::unique_ptr<reference::Program> program;
};

/// `tensor<?xNxE>`
inline std::string rowsOf(int64_t columns, Element element) {
  return "tensor<?x" + std::to_string(columns) + "x" + text(element) + ">";
}
/// `tensor<MxNxE>`
inline std::string matrixOf(int64_t rows, int64_t columns, Element element) {
  return "tensor<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + text(element) + ">";
}
/// `tensor<NxE>`
inline std::string vectorOf(int64_t size, Element element) {
  return "tensor<" + std::to_string(size) + "x" + text(element) + ">";
}
/// Statements that define `%init` with the rows of `%x`.
inline std::string initLike(const std::string &typeOfX, int64_t columns, Element element,
                            const std::string &name = "init") {
  return "  %c0" + name + " = arith.constant 0 : index\n  %t" + name + " = tensor.dim %x, %c0" + name + " : " +
         typeOfX + "\n  %" + name + " = tensor.empty(%t" + name + ") : " + rowsOf(columns, element) + "\n";
}

/// Expects the same bits; any NaN equals any other.
inline void expectSame(const Array &found, const Array &expected) {
  ASSERT_EQ(found.shape, expected.shape);
  for (size_t i = 0; i < expected.values.size(); ++i)
    if (std::isnan(expected.values[i]))
      ASSERT_TRUE(std::isnan(found.values[i])) << "element " << i;
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(found.values[i]), std::bit_cast<uint32_t>(expected.values[i]))
          << "element " << i << ": " << found.values[i] << " instead of " << expected.values[i];
}

/// Expects `|found - expected| <= bound(i) + |expected| * rounding` for every element, where `expected` is in f64 and
/// `bound` is what the f32 computation may be off by. The rounding is to the element type of `found`; below its normal
/// numbers it is absolute.
template <typename Bound>
void expectNear(const Array &found, const std::vector<int64_t> &shape, const std::vector<double> &expected,
                Bound bound) {
  ASSERT_EQ(found.shape, shape);
  ASSERT_EQ(found.values.size(), expected.size());
  double least = found.element == Element::F16 ? std::ldexp(1, -25) : std::ldexp(1, -126);
  for (size_t i = 0; i < expected.size(); ++i) {
    double allowed = bound(i);
    allowed += (std::abs(expected[i]) + allowed) * unit(found.element) + least;
    ASSERT_LE(std::abs(found.values[i] - expected[i]), allowed)
        << "element " << i << ": " << found.values[i] << " instead of " << expected[i];
  }
}

} // namespace kerf::test
#endif // KERF_TEST_NUMERICS_HARNESS_H
