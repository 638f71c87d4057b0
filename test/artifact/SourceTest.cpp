//===- SourceTest.cpp - source expressions against their definition -------===//
#include "test/artifact/TestModel.h"

#include "mlir/AsmParser/AsmParser.h"

#include <bit>

using namespace mlir;
using namespace kerf;
using namespace kerf::test;

namespace {

struct SourceTest : testing::Test {
  /// Value of `expression`, asked for in blocks of `step` rows.
  std::string evaluate(const std::string &expression, int64_t step) {
    const PackageInput input = model.input();
    const CheckpointSource tensors(*input.checkpoint);
    auto source = cast<SourceAttrInterface>(parseAttribute(expression, model.module->getContext()));
    llvm::Expected<SourceEvaluator> evaluator = SourceEvaluator::create(source, tensors);
    if (!evaluator)
      return "error: " + llvm::toString(evaluator.takeError());
    std::string value(evaluator->rows() * evaluator->rowBytes(), '\0');
    for (int64_t row = 0; row < evaluator->rows(); row += step) {
      const int64_t end = std::min(row + step, evaluator->rows());
      MutableArrayRef<char> out(value.data() + row * evaluator->rowBytes(), (end - row) * evaluator->rowBytes());
      EXPECT_EQ(message(evaluator->evaluate(row, end, out)), "");
    }
    return value;
  }

  TestModel model;
};

TEST_F(SourceTest, JoinsRows) {
  const std::string expected = model.tensors().at("a").bytes + model.tensors().at("b").bytes;
  for (int64_t step : {1, 7, 37, 60})
    EXPECT_EQ(
        evaluate("#kerf.concat<0, #kerf.take<\"a\" : tensor<37x24xbf16>>, #kerf.take<\"b\" : tensor<23x24xbf16>>>",
                 step),
        expected);
}

TEST_F(SourceTest, JoinsColumns) {
  std::string expected;
  for (int64_t row = 0; row < 37; ++row)
    expected += model.row("a", row) + model.row("c", row);
  for (int64_t step : {1, 16, 37})
    EXPECT_EQ(
        evaluate("#kerf.concat<1, #kerf.take<\"a\" : tensor<37x24xbf16>>, #kerf.take<\"c\" : tensor<37x21xbf16>>>",
                 step),
        expected);
}

TEST_F(SourceTest, SlicesRowsAndColumns) {
  std::string rows, columns;
  for (int64_t row = 5; row < 31; ++row)
    rows += model.row("a", row);
  for (int64_t row = 0; row < 37; ++row)
    columns += model.row("a", row).substr(3 * 2, 8 * 2);
  for (int64_t step : {1, 7, 37}) {
    EXPECT_EQ(evaluate("#kerf.slice<0, 5, 31, #kerf.take<\"a\" : tensor<37x24xbf16>>>", step), rows);
    EXPECT_EQ(evaluate("#kerf.slice<1, 3, 11, #kerf.take<\"a\" : tensor<37x24xbf16>>>", step), columns);
  }
}

// The projections of a checkpoint that keeps them side by side, transposed.
TEST_F(SourceTest, TransposesASlice) {
  std::string expected;
  for (int64_t column = 20; column < 45; ++column)
    for (int64_t row = 0; row < 70; ++row)
      expected += model.row("d", row).substr(column * 4, 4);
  for (int64_t step : {1, 7, 25}) {
    EXPECT_EQ(evaluate("#kerf.transpose<#kerf.slice<1, 20, 45, #kerf.take<\"d\" : tensor<70x45xf32>>>>", step),
              expected);
    EXPECT_EQ(evaluate("#kerf.slice<0, 20, 45, #kerf.transpose<#kerf.take<\"d\" : tensor<70x45xf32>>>>", step),
              expected);
  }
}

TEST_F(SourceTest, AddsARowInF32) {
  // Row 3 of `d` (f32) to each row of `d`.
  std::string expected;
  std::vector<float> addend(45), values(45);
  std::memcpy(addend.data(), model.row("d", 3).data(), 45 * 4);
  for (int64_t row = 0; row < 70; ++row) {
    std::memcpy(values.data(), model.row("d", row).data(), 45 * 4);
    for (int64_t column = 0; column < 45; ++column)
      values[column] += addend[column];
    expected.append(reinterpret_cast<const char *>(values.data()), 45 * 4);
  }
  for (int64_t step : {1, 33, 70})
    EXPECT_EQ(evaluate("#kerf.sum<#kerf.take<\"d\" : tensor<70x45xf32>>, #kerf.slice<0, 3, 4, #kerf.take<\"d\" : "
                       "tensor<70x45xf32>>>>",
                       step),
              expected);
  // Of bf16 the sum is f32 too.
  expected.clear();
  auto wide = [](const std::string &bytes, int64_t column) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * column, 2);
    return std::bit_cast<float>(uint32_t(half) << 16);
  };
  for (int64_t row = 0; row < 37; ++row)
    for (int64_t column = 0; column < 24; ++column) {
      const float sum = wide(model.row("a", row), column) + wide(model.row("b", 2), column);
      expected.append(reinterpret_cast<const char *>(&sum), 4);
    }
  EXPECT_EQ(evaluate("#kerf.sum<#kerf.take<\"a\" : tensor<37x24xbf16>>, #kerf.slice<0, 2, 3, #kerf.take<\"b\" : "
                     "tensor<23x24xbf16>>>>",
                     5),
            expected);
}

TEST_F(SourceTest, Transposes) {
  std::string expected;
  for (int64_t column = 0; column < 45; ++column)
    for (int64_t row = 0; row < 70; ++row)
      expected += model.row("d", row).substr(column * 4, 4);
  for (int64_t step : {1, 33, 45})
    EXPECT_EQ(evaluate("#kerf.transpose<#kerf.take<\"d\" : tensor<70x45xf32>>>", step), expected);
}

TEST_F(SourceTest, TransposesWhatWasJoined) {
  std::string expected;
  for (int64_t column = 0; column < 24; ++column)
    for (const char *name : {"a", "b"})
      for (int64_t row = 0; row < model.tensors().at(name).shape[0]; ++row)
        expected += model.row(name, row).substr(column * 2, 2);
  EXPECT_EQ(evaluate("#kerf.transpose<#kerf.concat<0, #kerf.take<\"a\" : tensor<37x24xbf16>>, "
                     "#kerf.take<\"b\" : tensor<23x24xbf16>>>>",
                     5),
            expected);
}

TEST_F(SourceTest, WritesLiterals) {
  const float values[] = {1, 0.25}, ones[] = {1, 1, 1};
  EXPECT_EQ(evaluate("#kerf.literal<dense<[1.0, 0.25]> : tensor<2xf32>>", 1),
            std::string(reinterpret_cast<const char *>(values), sizeof values));
  EXPECT_EQ(evaluate("#kerf.literal<dense<1.0> : tensor<3xf32>>", 2),
            std::string(reinterpret_cast<const char *>(ones), sizeof ones));
}

TEST_F(SourceTest, SaysWhichTensorIsMissing) {
  EXPECT_NE(evaluate("#kerf.take<\"absent\" : tensor<2xf32>>", 1).find("must have a tensor 'absent', got none"),
            std::string::npos);
}

TEST_F(SourceTest, SaysWhatATensorIsInstead) {
  EXPECT_NE(evaluate("#kerf.take<\"a\" : tensor<37x25xbf16>>", 1).find("must be tensor<37x25xbf16>, got BF16 [37, 24]"),
            std::string::npos);
  EXPECT_NE(evaluate("#kerf.take<\"a\" : tensor<37x24xf16>>", 1).find("must be tensor<37x24xf16>, got BF16 [37, 24]"),
            std::string::npos);
}

} // namespace
