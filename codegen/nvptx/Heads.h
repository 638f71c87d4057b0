//===- Heads.h - rows of queries, keys and values and their heads -*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_HEADS_H
#define KERF_CODEGEN_NVPTX_HEADS_H

#include "codegen/nvptx/KernelBuilder.h"

namespace kerf::nvptx {

/// The same features of both halves of a head; scalars, or vectors of as many lanes.
struct Halves {
  mlir::Value low, high;
};

/// (low * cos - high * sin, high * cos + low * sin) of features from `d` (i32) on, with the cosines and sines of `row`
/// in a table f32[T][headDim].
Halves rotate(KernelBuilder &kernel, mlir::Value table, mlir::Value row, int64_t headDim, mlir::Value d, Halves x);

/// The slot of a row, i32: negative where the row is not kept.
mlir::Value loadSlot(KernelBuilder &kernel, mlir::Value slots, mlir::Value row);

/// Address of feature 0 of a slot's key in the head; `head` and `slot` are i32 of at least 0.
mlir::Value keyAddress(KernelBuilder &kernel, const CacheLayout &layout, mlir::Value cache, mlir::Value slot,
                       mlir::Value head);

/// Rows [queries | keys | values] as kernels split them into heads, and the memory that the heads go to.
struct HeadSplit {
  /// Heads of the queries.
  int64_t queryHeads;
  /// Of the cache; says how many heads keys and values have.
  CacheLayout layout;
  /// Element type of the queries.
  Element output;
  /// Addresses of the plane's page 0, of the queries, and of the table of angles (null: nothing is rotated).
  mlir::Value cache, queries, table;

  int64_t half() const { return layout.headDim / 2; }
  /// Whether head number `head` (i32, of a row's) is a key's or a value's; a value's.
  mlir::Value isKept(KernelBuilder &kernel, mlir::Value head) const;
  mlir::Value isValue(KernelBuilder &kernel, mlir::Value head) const;
  /// Features from `d` (i32) on, of a query or a key, rotated by the angles of `row`, if there are any.
  Halves rotated(KernelBuilder &kernel, mlir::Value row, mlir::Value d, Halves x) const;
  /// Rounds features from `d` on of a head of `row` and stores them: with the queries, or in `slot` of the cache.
  void store(KernelBuilder &kernel, mlir::Value row, mlir::Value slot, mlir::Value head, mlir::Value d, Halves x) const;
};

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_HEADS_H
