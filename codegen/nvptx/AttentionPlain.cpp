//===- AttentionPlain.cpp - attention without tensor cores ----------------===//
//
// For caches of f32 and head sizes that are no whole operands of tensor cores: a block takes a query head of an item, a
// warp every fourth of its rows, 32 keys at a time with an online softmax. A lane forms the score of a key (one chain
// of FMAs over the features), then sums some features over the keys in ascending order.
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

LaunchAttr kerf::nvptx::emitPlain(gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec) {
  constexpr unsigned warps = 4;
  AttentionBuilder kernel(module, (name + "_plain").str(), spec, 32 * warps, /*blocks=*/2, /*scratch=*/false);
  const float infinity = std::numeric_limits<float>::infinity();
  const int64_t bytes = bytesOf(spec.cache), each = llvm::divideCeil(spec.headDim, 32);
  // Elements of a piece of a key, at most 16 bytes, to whose size every key is aligned.
  const int64_t lanes = std::min<int64_t>(spec.headDim & -spec.headDim, 16 / bytes);
  Type f32Type = kernel.ops().getF32Type();
  Value shared = kernel.reserveShared(4 * warps * spec.headDim);
  Value scale = kernel.f32(kernel.exponent);

  auto takeRow = [&](Value row, Value head, Value query) {
    Value position = kernel.add(kernel.position, row), keyHead = kernel.div(head, kernel.group);
    row = kernel.add(kernel.rowBegin, row);
    Value rowAt = kernel.rowHead(kernel.queries, row, head);
    kernel.forEach(kernel.lane(), kernel.i32(spec.headDim), 32, [&](Value feature) {
      Value number = kernel.loadF32(spec.queries, kernel.atIndex(rowAt, feature, bytesOf(spec.queries)), 1);
      kernel.store(number, kernel.at(query, kernel.mul(feature, 4)), 4);
    });
    kernel.warpBarrier();

    auto featureOf = [&](int64_t number) { return kernel.add(kernel.lane(), 32 * number); };
    Value first = kernel.firstKey(position), end = kernel.endKey(position);
    Values state = {kernel.f32(-infinity), kernel.f32(0)};
    state.append(each, kernel.f32(0));
    state = kernel.loop(first, end, 32, state, [&](Value begin, ValueRange carried) {
      // Lanes beyond the last key repeat it.
      Value own = kernel.add(begin, kernel.lane());
      Value key = kernel.min(own, kernel.sub(end, kernel.i32(1)));
      Value keyAt = kernel.keyIn(kernel.pageOf(key), keyHead, key);
      Value score = kernel.loop(
          kernel.i32(0), kernel.i32(spec.headDim), lanes, kernel.f32(0), [&](Value feature, ValueRange sums) {
            Value sum = sums[0];
            Value piece = kernel.loadF32(spec.cache, kernel.atIndex(keyAt, feature, bytes), lanes);
            for (int64_t lane = 0; lane < lanes; ++lane) {
              Value at = kernel.at(query, kernel.mul(kernel.add(feature, lane), 4));
              Value number = lanes == 1 ? piece : kernel.extract(piece, lane);
              sum = kernel.fma(kernel.load(f32Type, at, 4), number, sum);
            }
            return Values{sum};
          })[0];
      score = kernel.select(kernel.less(own, end), score, kernel.f32(-infinity));
      Value best = kernel.greater(carried[0], score);
      for (unsigned mask = 16; mask; mask /= 2)
        best = kernel.greater(best, kernel.shuffleXor(best, mask));
      Value from = kernel.finiteOr0(best);
      Value shrink = kernel.exp2(kernel.mul(kernel.sub(carried[0], from), scale));
      Value weight = kernel.exp2(kernel.mul(kernel.sub(score, from), scale));
      Value total = kernel.fma(carried[1], shrink, kernel.sumLanes(weight));
      Values sums;
      for (Value sum : carried.drop_front(2))
        sums.push_back(kernel.mul(sum, shrink));
      Value count = kernel.min(kernel.sub(end, begin), kernel.i32(32));
      sums = kernel.loop(kernel.i32(0), count, 1, sums, [&](Value number, ValueRange carried) {
        Values sums(carried);
        Value factor = kernel.shuffleFrom(weight, number), key = kernel.add(begin, number);
        Value valueAt = kernel.at(kernel.keyIn(kernel.pageOf(key), keyHead, key), kernel.layout.partBytes());
        for (int64_t number = 0; number < each; ++number) {
          // The last lanes may be beyond the head: what they read is not used.
          Value feature = kernel.min(featureOf(number), kernel.i32(spec.headDim - 1));
          Value value = kernel.loadF32(spec.cache, kernel.atIndex(valueAt, feature, bytes), 1);
          sums[number] = kernel.fma(value, factor, sums[number]);
        }
        return sums;
      });
      Values result = {best, total};
      result.append(sums);
      return result;
    });
    Value inverse = kernel.inverse(state[1]), to = kernel.rowHead(kernel.output, row, head);
    for (int64_t number = 0; number < each; ++number)
      kernel.ifThen(kernel.less(featureOf(number), kernel.i32(spec.headDim)), [&] {
        kernel.storeF32(spec.output, kernel.mul(state[2 + number], inverse),
                        kernel.atIndex(to, featureOf(number), bytesOf(spec.output)));
      });
    if (spec.logSumExp)
      kernel.ifThen(kernel.compare(arith::CmpIPredicate::eq, kernel.lane(), kernel.i32(0)),
                    [&] { kernel.storeLogSumExp(row, head, kernel.mul(state[0], scale), state[1]); });
    // The next row's query takes this one's place.
    kernel.warpBarrier();
  };

  kernel.withItem(kernel.div(kernel.block(), spec.queryHeads), LaunchWhen::Always, [&] {
    Value head = kernel.rem(kernel.block(), spec.queryHeads);
    Value query = kernel.at(shared, kernel.mul(kernel.warp(), 4 * spec.headDim));
    kernel.forEach(kernel.warp(), kernel.rowCount, warps, [&](Value row) { takeRow(row, head, query); });
  });
  return kernel.finish({.columns = spec.queryHeads});
}
