//===- TestModel.h - a small checkpoint and the module over it ------------===//
#ifndef KERF_TEST_ARTIFACT_TESTMODEL_H
#define KERF_TEST_ARTIFACT_TESTMODEL_H

#include "codegen/package/Package.h"
#include "kerf/kerf.h"
#include "test/import/TestFiles.h"

#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kerf::test {

/// A tensor of the checkpoint: its element type as safetensors spells it, shape and bytes.
struct TestTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

/// A directory with a checkpoint of random weights, and a module that packs them in every way that there is: fused
/// rows, fused columns, transposed, widened, literal, more rows than a block.
class TestModel {
public:
  /// Writes the checkpoint; `name` is the model's.
  explicit TestModel(const std::string &name = "tiny-1.0");

  /// The tensors as written.
  const std::map<std::string, TestTensor> &tensors() const { return tensors_; }
  /// The bytes of row `row` of tensor `name`.
  std::string row(const std::string &name, int64_t row) const;
  /// What goes into a package of it.
  PackageInput input();
  /// A library whose tables match the package of `input()`.
  kerf_library library();

private:
  mlir::MLIRContext context; // outlives the module

public:
  /// Where the checkpoint is.
  TempDir directory;
  /// The module.
  mlir::OwningOpRef<mlir::ModuleOp> module;

private:
  void add(const std::string &name, const std::string &dtype, std::vector<int64_t> shape);
  std::map<std::string, TestTensor> tensors_;
  std::string name;
  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<uint64_t> weightBytes;
  std::vector<kerf_cache_group> groups;
};

/// The module of `TestModel` over a checkpoint at `path`, as text.
std::string moduleText(const std::string &name, const std::string &path);

/// All bytes of a file.
std::string readAll(const std::string &path);

} // namespace kerf::test

#endif // KERF_TEST_ARTIFACT_TESTMODEL_H
