//===- Source.h - evaluates source expressions block by block ---*- C++ -*-===//
//
// A weight's bytes are an expression over checkpoint tensors (SourceAttrInterface). It is evaluated a block of rows at
// a time, so that a weight never has to be in memory whole. Only a transpose keeps the matrix under it.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_PACKAGE_SOURCE_H
#define KERF_CODEGEN_PACKAGE_SOURCE_H

#include "dialects/import/Checkpoint.h"
#include "dialects/kerf/KerfDialect.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace kerf {

/// Where the tensors that source expressions name come from.
class TensorSource {
public:
  virtual ~TensorSource();
  /// Fails, with the reason, unless there is a tensor `name` of exactly this type.
  virtual llvm::Error check(llvm::StringRef name, mlir::RankedTensorType type) const = 0;
  /// Reads `destination.size()` bytes that begin `begin` bytes into the row-major data of tensor `name`, which `check`
  /// has accepted. Called from several threads at once.
  virtual llvm::Error read(llvm::StringRef name, uint64_t begin, llvm::MutableArrayRef<char> destination) const = 0;
};

/// The tensors of a checkpoint directory, which must outlive it.
class CheckpointSource : public TensorSource {
public:
  /// Reads `checkpoint`.
  explicit CheckpointSource(const Checkpoint &checkpoint) : checkpoint(checkpoint) {}
  llvm::Error check(llvm::StringRef name, mlir::RankedTensorType type) const override;
  llvm::Error read(llvm::StringRef name, uint64_t begin, llvm::MutableArrayRef<char> destination) const override;

private:
  const Checkpoint &checkpoint;
};

/// Evaluates one source expression. Used by one thread at a time. Move-only.
class SourceEvaluator {
public:
  /// Prepares `expression` over `tensors`, which must outlive the evaluator. Fails where a tensor is missing or of
  /// another type, and on an expression or element type that nothing evaluates. Reads no data.
  static llvm::Expected<SourceEvaluator> create(SourceAttrInterface expression, const TensorSource &tensors);

  SourceEvaluator(SourceEvaluator &&) noexcept;
  SourceEvaluator &operator=(SourceEvaluator &&) noexcept;
  ~SourceEvaluator();

  /// Extent of axis 0; 1 for a scalar.
  int64_t rows() const;
  /// Bytes of one row: the product of the other axes times the element size.
  uint64_t rowBytes() const;
  /// Writes rows [begin, end), row-major without gaps, to `out`, which has `(end - begin) * rowBytes()` bytes. Rows
  /// that are asked for in ascending order are read once.
  llvm::Error evaluate(int64_t begin, int64_t end, llvm::MutableArrayRef<char> out);

  /// One node of the expression.
  class Node;

private:
  explicit SourceEvaluator(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root;
};

/// Whether evaluating `expression` keeps a whole matrix in memory.
bool keepsMatrix(SourceAttrInterface expression);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_SOURCE_H
