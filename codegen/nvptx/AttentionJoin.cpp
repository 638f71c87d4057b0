//===- AttentionJoin.cpp - joining the pieces of decoded rows -------------===//
//
// The second launch of decoding, for rows whose keys were cut into several pieces: a warp takes a head and adds the
// pieces up in their order, each weighed by its greatest score ("Flash-Decoding for long-context inference").
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Attention.h"

#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;
using Values = KernelBuilder::Values;

LaunchAttr kerf::nvptx::emitJoin(gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec) {
  const unsigned threads = 128;
  AttentionBuilder kernel(module, (name + "_merge").str(), spec, threads, /*blocks=*/4, /*scratch=*/true);
  const int64_t columns = llvm::divideCeil(spec.queryHeads, threads / 32);
  Type f32Type = kernel.ops().getF32Type();
  kernel.withItem(kernel.div(kernel.block(), columns), LaunchWhen::SingleRows, [&] {
    Value head = kernel.add(kernel.mul(kernel.rem(kernel.block(), columns), threads / 32), kernel.warp());
    auto pieces = kernel.piecesOf();
    Value needed =
        kernel.bitAnd(kernel.less(kernel.i32(1), pieces.count), kernel.less(head, kernel.i32(spec.queryHeads)));
    kernel.ifThen(needed, [&] {
      // A lane weighs a piece.
      Value least = kernel.f32(-std::numeric_limits<float>::infinity());
      Values state = kernel.ifElse(
          kernel.less(kernel.lane(), pieces.count), {f32Type, f32Type},
          [&] {
            Value at = kernel.at(kernel.pieceAt(head, kernel.lane()), 4 * spec.headDim);
            return Values{kernel.load(f32Type, at, 4), kernel.load(f32Type, kernel.at(at, 4), 4)};
          },
          [&] { return Values{least, kernel.f32(0)}; });
      Value best = state[0];
      for (unsigned mask = 16; mask; mask /= 2)
        best = kernel.greater(best, kernel.shuffleXor(best, mask));
      Value weight = kernel.exp2(kernel.sub(state[0], kernel.finiteOr0(best)));
      Value total = kernel.sumLanes(kernel.mul(weight, state[1]));
      const int64_t each = llvm::divideCeil(spec.headDim, 32);
      auto featureOf = [&](int64_t number) { return kernel.add(kernel.lane(), 32 * number); };
      Values sums(each, kernel.f32(0));
      sums = kernel.loop(kernel.i32(0), pieces.count, 1, sums, [&](Value piece, ValueRange carried) {
        Values sums(carried);
        Value at = kernel.pieceAt(head, piece), factor = kernel.shuffleFrom(weight, piece);
        for (int64_t number = 0; number < each; ++number) {
          // The last lanes may be beyond the head: what they read is not used.
          Value feature = kernel.min(featureOf(number), kernel.i32(spec.headDim - 1));
          sums[number] = kernel.fma(kernel.load(f32Type, kernel.atIndex(at, feature, 4), 4), factor, sums[number]);
        }
        return sums;
      });
      Value inverse = kernel.inverse(total), at = kernel.rowHead(kernel.output, kernel.rowBegin, head);
      for (int64_t number = 0; number < each; ++number)
        kernel.ifThen(kernel.less(featureOf(number), kernel.i32(spec.headDim)), [&] {
          kernel.storeF32(spec.output, kernel.mul(sums[number], inverse),
                          kernel.atIndex(at, featureOf(number), bytesOf(spec.output)));
        });
      if (spec.logSumExp)
        kernel.ifThen(kernel.compare(arith::CmpIPredicate::eq, kernel.lane(), kernel.i32(0)),
                      [&] { kernel.storeLogSumExp(kernel.rowBegin, head, best, total); });
    });
  });
  return kernel.finish({.columns = columns, .when = LaunchWhen::SingleRows, .order = 1});
}
