//===- Sample.cpp - drawing tokens ----------------------------------------===//
//
// The definition is runtime/schema/Sampling.h. Candidates are told apart by 32-bit keys that rise with the logit. Three
// launches, the first two with a block for each part of a row:
//
// 1. The greatest logit and its lowest id by part. Clears the row's histogram.
// 2. For rows that keep a part of their candidates: how many have each of the upper 11 bits of a key, and their
// weights.
// 3. A block a row. Radix selection over 11, 11 and 10 bits finds the last kept candidate by number, then by weight;
//    each warp weighs a stretch of ids, and the stretch that holds the drawn sum is searched.
//
// Counts and weights are added by atomic operations on integers: in any order the sums are the same. Shared memory has
// none for 64 bits that are not a loop, so a weight is added as two halves with the carry between.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Rows.h"
#include "runtime/schema/Sampling.h"

#include "llvm/Support/MathExtras.h"

#include <cstddef>

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;
using Values = KernelBuilder::Values;
using Integers = arith::CmpIPredicate;
using Floats = arith::CmpFPredicate;

namespace {

constexpr int64_t partLength = 4096; // of a row, for a block of the first two launches
constexpr int64_t bins = 2048;
constexpr unsigned partThreads = 256, drawThreads = 1024, warps = drawThreads / 32;

int64_t partsOf(const SampleSpec &spec) { return llvm::divideCeil(spec.vocabulary, partLength); }

/// Scratch of a row: weights by bin (u64), counts by bin (u32), greatest key and lowest id by part (u64).
constexpr int64_t countsAt = bins * 8, partsAt = countsAt + bins * 4;
int64_t scratchBytes(const SampleSpec &spec) { return partsAt + llvm::alignTo(partsOf(spec) * 8, 16); }

/// The words of the three functions. Operands: logits, samplings, tokens, scratch.
class SampleBuilder : public KernelBuilder {
public:
  SampleBuilder(gpu::GPUModuleOp module, const llvm::Twine &name, const SampleSpec &spec, unsigned threads)
      : KernelBuilder(module, name.str(), {{}, {}, {.written = true}, {.written = true}}, threads), spec(spec),
        i32Type(b.getI32Type()), i64Type(b.getI64Type()), lanes(vectorLanes(spec.vocabulary, {Element::F32})) {}

  /// Makes `row` the one that the functions below are about.
  void enter(Value row) {
    logits = atIndex(operand(0), row, spec.vocabulary * 4);
    sampling = atIndex(operand(1), row, sizeof(kerf_sampling));
    scratch = atIndex(operand(3), row, scratchBytes(spec));
    temperature = load(b.getF32Type(), at(sampling, offsetof(kerf_sampling, temperature)), 4);
    topP = load(b.getF32Type(), at(sampling, offsetof(kerf_sampling, top_p)), 4);
    topK = load(i32Type, at(sampling, offsetof(kerf_sampling, top_k)), 4);
  }
  Value wanted() { return compare(Floats::OGE, temperature, f32(0)); }
  /// Whether not all candidates are kept, as far as the options say.
  Value cuts() {
    Value few = bitAnd(compare(Integers::ne, topK, i32(0)), below(topK, i32(spec.vocabulary)));
    return bitOr(few, nucleus());
  }
  Value nucleus() { return bitAnd(compare(Floats::OGT, topP, f32(0)), compare(Floats::OLT, topP, f32(1))); }

  Value below(Value x, Value y) { return compare(Integers::ult, x, y); }
  Value wide(Value x) { return arith::ExtUIOp::create(b, i64Type, x); }
  Value narrow(Value x) { return arith::TruncIOp::create(b, i32Type, x); }
  Value upper(Value x) { return narrow(shiftRight(x, i64(32))); }
  Value toF64(Value x) { return arith::ExtFOp::create(b, b.getF64Type(), x); }
  Value f64(double value) { return arith::ConstantOp::create(b, b.getF64FloatAttr(value)); }
  Value isFirst() { return compare(Integers::eq, thread(), i32(0)); }

  /// Rises with the logit; -0 as 0, and 0 for NaN.
  Value keyOf(Value logit) {
    Value bits = bitcast(i32Type, logit), top = i32(INT32_MIN);
    bits = select(compare(Integers::eq, bits, top), i32(0), bits);
    Value key = select(less(bits, i32(0)), sub(i32(-1), bits), bitOr(bits, top));
    return select(compare(Floats::UNO, logit, logit), i32(0), key);
  }
  Value logitOf(Value key) {
    Value bits = select(less(key, i32(0)), bitAnd(key, i32(INT32_MAX)), sub(i32(-1), key));
    return bitcast(b.getF32Type(), bits);
  }

  /// Fixes what weights are relative to.
  void weighAgainst(Value greatestKey) {
    most = toF64(logitOf(greatestKey));
    scale = div(f64(schema::kSampleScale), toF64(temperature));
  }
  /// The weight of a logit, i64.
  Value weightOf(Value logit);

  /// loop(id, logit, carried) over `first`, `first + lanes`, … `end`, `stride` pieces of `lanes` ids apart.
  Values overLogits(Value first, Value end, int64_t stride, ValueRange start,
                    llvm::function_ref<Values(Value, Value, ValueRange)> body) {
    return loop(first, end, stride * lanes, start, [&](Value id, ValueRange carried) {
      Values state(carried), piece = loadPiece(id);
      for (auto [lane, logit] : llvm::enumerate(piece))
        state = body(add(id, lane), logit, state);
      return state;
    });
  }
  Values loadPiece(Value id) {
    Value address = atIndex(logits, id, 4);
    if (lanes == 1)
      return {load(b.getF32Type(), address, 4)};
    Value vector = load(vectorType(Element::F32, lanes), address, lanes * 4);
    Values logits;
    for (unsigned lane = 0; lane < lanes; ++lane)
      logits.push_back(extract(vector, lane));
    return logits;
  }

  /// The greater of two pairs of key and inverted id, unsigned.
  Value greater(Value x, Value y) { return select(below(x, y), y, x); }
  /// The same over the warp.
  Value greatestOfWarp(Value pair) {
    for (unsigned mask = 16; mask; mask /= 2)
      pair = greater(pair, join(shuffleXor(narrow(pair), mask), shuffleXor(upper(pair), mask)));
    return pair;
  }
  /// An i64 of two halves.
  Value join(Value low, Value high) { return bitOr(wide(low), shiftLeft(wide(high), i64(32))); }
  /// The row's greatest, in each thread.
  Value greatest() {
    Value parts = i32(partsOf(spec));
    Values found = loop(lane(), parts, 32, {i64(0)}, [&](Value part, ValueRange carried) {
      return Values{greater(carried[0], load(i64Type, atIndex(at(scratch, partsAt), part, 8), 8))};
    });
    return greatestOfWarp(found[0]);
  }
  /// Whether a token is to be drawn, once the greatest is known: neither greedy nor infinite.
  Value draws(Value greatestKey) {
    Value finite = bitAnd(compare(Integers::ne, greatestKey, i32(0)),
                          less(bitAnd(bitcast(i32Type, logitOf(greatestKey)), i32(INT32_MAX)), i32(0x7f800000)));
    Value random = bitAnd(compare(Floats::OGT, temperature, f32(0)), compare(Integers::ne, topK, i32(1)));
    return bitAnd(finite, random);
  }

  /// *address += value; the old value.
  Value atomicAdd(Value address, Value value, llvm::StringRef scope) {
    return LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::add, address, value, LLVM::AtomicOrdering::monotonic, scope,
                                     value.getType().getIntOrFloatBitWidth() / 8);
  }

  /// A histogram in shared memory: counts, lower and upper halves of weights.
  void reserveHistogram() { histogram = reserveShared(bins * 12); }
  void clearHistogram() {
    forEach(thread(), i32(bins * 3), threads(), [&](Value word) { store(i32(0), at(histogram, mul(word, 4)), 4); });
  }
  Value countAt(Value bin) { return at(histogram, mul(bin, 4)); }
  Value lowAt(Value bin) { return at(histogram, mul(add(bin, bins), 4)); }
  Value highAt(Value bin) { return at(histogram, mul(add(bin, 2 * bins), 4)); }
  void count(Value bin, Value weight) {
    atomicAdd(countAt(bin), i32(1), "block");
    Value low = narrow(weight), before = atomicAdd(lowAt(bin), low, "block");
    Value carry = select(below(add(before, low), low), i32(1), i32(0)), high = add(upper(weight), carry);
    ifThen(compare(Integers::ne, high, i32(0)), [&] { atomicAdd(highAt(bin), high, "block"); });
  }
  Value weightIn(Value bin) { return join(load(i32Type, lowAt(bin), 4), load(i32Type, highAt(bin), 4)); }

  const SampleSpec &spec;
  const Type i32Type, i64Type;
  /// Logits that a thread loads at once.
  const unsigned lanes;
  Value logits, sampling, scratch, temperature, topP, topK;
  Value most, scale, histogram;
};

Value SampleBuilder::weightOf(Value logit) {
  Value u = mul(sub(most, toF64(logit)), scale), near = compare(Floats::OLT, u, f64(schema::kSampleFar));
  Value q = arith::FPToUIOp::create(b, i64Type, select(near, u, f64(0)));
  Value f = narrow(q), h;
  for (uint32_t factor : llvm::reverse(schema::kSampleSeries))
    h = intrinsic("llvm.nvvm.mulhi.ui", i32Type, {f, h ? sub(i32(factor), h) : i32(factor)});
  Value shift = min(add(upper(q), schema::sampleShift(spec.vocabulary)), i32(63));
  Value weight = shiftRight(shiftLeft(sub(i64(int64_t(1) << 32), wide(h)), i64(30)), wide(shift));
  return select(near, weight, i64(0));
}

/// The first launch.
LaunchAttr emitParts(gpu::GPUModuleOp module, llvm::StringRef name, const SampleSpec &spec) {
  SampleBuilder kernel(module, name + "_parts", spec, partThreads);
  const int64_t parts = partsOf(spec);
  Value shared = kernel.reserveShared(partThreads / 32 * 8);
  Value row = kernel.div(kernel.block(), parts), part = kernel.rem(kernel.block(), parts);
  kernel.ifThen(kernel.less(row, kernel.rows()), [&] {
    kernel.enter(row);
    kernel.ifThen(kernel.wanted(), [&] {
      kernel.ifThen(kernel.compare(Integers::eq, part, kernel.i32(0)), [&] {
        kernel.forEach(kernel.thread(), kernel.i32(partsAt / 16), partThreads, [&](Value piece) {
          kernel.store16(Values(4, kernel.i32(0)), kernel.atIndex(kernel.scratch, piece, 16));
        });
      });
      Value begin = kernel.mul(part, partLength);
      Value end = kernel.min(kernel.add(begin, partLength), kernel.i32(spec.vocabulary));
      Value first = kernel.add(begin, kernel.mul(kernel.thread(), kernel.lanes));
      Value best = kernel.greatestOfWarp(
          kernel.overLogits(first, end, partThreads, {kernel.i64(0)}, [&](Value id, Value logit, ValueRange carried) {
            return Values{kernel.greater(carried[0], kernel.join(kernel.sub(kernel.i32(-1), id), kernel.keyOf(logit)))};
          })[0]);
      kernel.ifThen(kernel.compare(Integers::eq, kernel.lane(), kernel.i32(0)),
                    [&] { kernel.store(best, kernel.at(shared, kernel.mul(kernel.warp(), 8)), 8); });
      kernel.barrier();
      kernel.ifThen(kernel.isFirst(), [&] {
        Value all = best;
        for (unsigned warp = 1; warp < partThreads / 32; ++warp)
          all = kernel.greater(all, kernel.load(kernel.i64Type, kernel.at(shared, kernel.i32(8 * warp)), 8));
        kernel.store(all, kernel.atIndex(kernel.at(kernel.scratch, partsAt), part, 8), 8);
      });
    });
  });
  return kernel.finish({.columns = parts});
}

/// The second launch.
LaunchAttr emitHistogram(gpu::GPUModuleOp module, llvm::StringRef name, const SampleSpec &spec) {
  SampleBuilder kernel(module, name + "_histogram", spec, partThreads);
  const int64_t parts = partsOf(spec);
  kernel.reserveHistogram();
  Value row = kernel.div(kernel.block(), parts), part = kernel.rem(kernel.block(), parts);
  kernel.ifThen(kernel.less(row, kernel.rows()), [&] {
    kernel.enter(row);
    kernel.ifThen(kernel.bitAnd(kernel.wanted(), kernel.cuts()), [&] {
      Value key = kernel.upper(kernel.greatest());
      kernel.ifThen(kernel.draws(key), [&] {
        kernel.weighAgainst(key);
        kernel.clearHistogram();
        kernel.barrier();
        Value begin = kernel.mul(part, partLength);
        Value end = kernel.min(kernel.add(begin, partLength), kernel.i32(spec.vocabulary));
        Value first = kernel.add(begin, kernel.mul(kernel.thread(), kernel.lanes));
        kernel.overLogits(first, end, partThreads, {}, [&](Value, Value logit, ValueRange) {
          Value key = kernel.keyOf(logit);
          kernel.ifThen(kernel.compare(Integers::ne, key, kernel.i32(0)),
                        [&] { kernel.count(kernel.shiftRight(key, kernel.i32(21)), kernel.weightOf(logit)); });
          return Values();
        });
        kernel.barrier();
        kernel.forEach(kernel.thread(), kernel.i32(bins), partThreads, [&](Value bin) {
          Value count = kernel.load(kernel.i32Type, kernel.countAt(bin), 4);
          kernel.ifThen(kernel.compare(Integers::ne, count, kernel.i32(0)), [&] {
            kernel.atomicAdd(kernel.atIndex(kernel.at(kernel.scratch, countsAt), bin, 4), count, "device");
            kernel.atomicAdd(kernel.atIndex(kernel.scratch, bin, 8), kernel.weightIn(bin), "device");
          });
        });
      });
    });
  });
  return kernel.finish({.columns = parts});
}

/// The third launch.
class DrawEmitter : public SampleBuilder {
public:
  DrawEmitter(gpu::GPUModuleOp module, llvm::StringRef name, const SampleSpec &spec)
      : SampleBuilder(module, name + "_draw", spec, drawThreads) {
    reserveHistogram();
    sums = reserveShared(warps * 16);
    place = reserveShared(16);
  }

  LaunchAttr emit() {
    Value row = block();
    ifThen(less(row, rows()), [&] {
      enter(row);
      token = atIndex(operand(2), row, 4);
      ifElse(
          wanted(), {},
          [&] {
            Value found = greatest(), key = upper(found);
            ifElse(
                draws(key), {},
                [&] {
                  weighAgainst(key);
                  draw();
                  return Values();
                },
                [&] {
                  Value id = select(compare(Integers::eq, key, i32(0)), i32(-1), sub(i32(-1), narrow(found)));
                  ifThen(isFirst(), [&] { store(id, token, 4); });
                  return Values();
                });
            return Values();
          },
          [&] {
            ifThen(isFirst(), [&] { store(i32(-1), token, 4); });
            return Values();
          });
    });
    return finish({});
  }

private:
  /// Sums over the threads before one, over all threads, and in lane l over warps 0 to l.
  struct Scan {
    Value countBefore, weightBefore, count, weight, warpCount, warpWeight;
  };
  Scan scan(Value count, Value weight);

  /// A thread's two bins, the greater first, and what lies above them.
  struct Bins {
    std::array<Value, 2> number, count, weight;
    Scan scan;
  };
  Bins binsOf(llvm::function_ref<std::pair<Value, Value>(Value)> read);

  /// A bin, and what lies above it.
  struct Place {
    Value bin, count, weight;
  };
  Place find(const Bins &bins, bool byCount, Value needed, Value count, Value weight);

  /// The key at which the needed number, or weight, of the greatest keys is reached; what lies above it.
  struct Last {
    Value key, count, weight;
  };
  Last selectLast(const Bins &first, bool byCount, Value needed);
  Values lastKept();
  void draw();

  Value shuffled(Value x, Value lane) { return join(shuffleFrom(narrow(x), lane), shuffleFrom(upper(x), lane)); }
  Value before(Value lane, Value x) { return select(compare(Integers::eq, lane, i32(0)), zero(x.getType()), x); }

  Value sums, place, token;
};

DrawEmitter::Scan DrawEmitter::scan(Value count, Value weight) {
  auto inclusive = [&](Value &count, Value &weight) {
    for (unsigned distance = 1; distance < 32; distance *= 2) {
      Value from = bitAnd(add(lane(), 32 - distance), i32(31)), has = less(i32(distance - 1), lane());
      Value otherCount = shuffleFrom(count, from), otherWeight = shuffled(weight, from);
      count = add(count, select(has, otherCount, i32(0)));
      weight = add(weight, select(has, otherWeight, i64(0)));
    }
  };
  Value countTo = count, weightTo = weight;
  inclusive(countTo, weightTo);
  Value at = this->at(sums, mul(warp(), 16));
  ifThen(compare(Integers::eq, lane(), i32(31)), [&] {
    store(countTo, this->at(at, 8), 4);
    store(weightTo, at, 8);
  });
  barrier();
  Value of = this->at(sums, mul(lane(), 16));
  Value warpCount = load(i32Type, this->at(of, 8), 4), warpWeight = load(i64Type, of, 8);
  inclusive(warpCount, warpWeight);
  Value previous = bitAnd(add(warp(), 31), i32(31)), last = i32(31);
  Value countBefore = add(before(warp(), shuffleFrom(warpCount, previous)), sub(countTo, count));
  Value weightBefore = add(before(warp(), shuffled(warpWeight, previous)), sub(weightTo, weight));
  return {countBefore, weightBefore, shuffleFrom(warpCount, last), shuffled(warpWeight, last), warpCount, warpWeight};
}

DrawEmitter::Bins DrawEmitter::binsOf(llvm::function_ref<std::pair<Value, Value>(Value)> read) {
  Bins own;
  for (int64_t i = 0; i < 2; ++i) {
    own.number[i] = sub(i32(bins - 1 - i), mul(thread(), 2));
    std::tie(own.count[i], own.weight[i]) = read(own.number[i]);
  }
  own.scan = scan(add(own.count[0], own.count[1]), add(own.weight[0], own.weight[1]));
  return own;
}

/// `count` and `weight` lie above all bins.
DrawEmitter::Place DrawEmitter::find(const Bins &own, bool byCount, Value needed, Value count, Value weight) {
  count = add(count, own.scan.countBefore);
  weight = add(weight, own.scan.weightBefore);
  for (int64_t i = 0; i < 2; ++i) {
    Value nextCount = add(count, own.count[i]), nextWeight = add(weight, own.weight[i]);
    Value reached = byCount ? wide(count) : weight, then = byCount ? wide(nextCount) : nextWeight;
    Value here = bitAnd(below(reached, needed), compare(Integers::ule, needed, then));
    ifThen(here, [&] {
      store(weight, place, 8);
      store(count, at(place, 8), 4);
      store(own.number[i], at(place, 12), 4);
    });
    count = nextCount;
    weight = nextWeight;
  }
  barrier();
  return {load(i32Type, at(place, 12), 4), load(i32Type, at(place, 8), 4), load(i64Type, place, 8)};
}

DrawEmitter::Last DrawEmitter::selectLast(const Bins &first, bool byCount, Value needed) {
  Place found = find(first, byCount, needed, i32(0), i64(0));
  Value prefix = found.bin;
  // The bits of the prefix begin at `from`, the next digit at `digit`.
  for (auto [from, digit] : {std::pair(21, 10), {10, 0}}) {
    clearHistogram();
    barrier();
    overLogits(mul(thread(), lanes), i32(spec.vocabulary), drawThreads, {}, [&](Value, Value logit, ValueRange) {
      Value key = keyOf(logit);
      ifThen(compare(Integers::eq, shiftRight(key, i32(from)), prefix),
             [&] { count(bitAnd(shiftRight(key, i32(digit)), i32((1 << (from - digit)) - 1)), weightOf(logit)); });
      return Values();
    });
    barrier();
    Bins own = binsOf([&](Value bin) { return std::pair(load(i32Type, countAt(bin), 4), weightIn(bin)); });
    found = find(own, byCount, needed, found.count, found.weight);
    prefix = bitOr(shiftLeft(prefix, i32(from - digit)), found.bin);
  }
  return {prefix, found.count, found.weight};
}

/// The key of the last kept candidate, and how many of that key are kept; 0 and 0 where all are.
Values DrawEmitter::lastKept() {
  Bins first = binsOf([&](Value bin) {
    return std::pair(load(i32Type, atIndex(at(scratch, countsAt), bin, 4), 4),
                     load(i64Type, atIndex(scratch, bin, 8), 8));
  });
  Value few = bitAnd(compare(Integers::ne, topK, i32(0)), below(topK, first.scan.count));
  Values kept = ifElse(
      few, {i32Type, i32Type, i64Type},
      [&] {
        Last last = selectLast(first, /*byCount=*/true, wide(topK));
        Value ties = sub(topK, last.count);
        return Values{last.key, ties, add(last.weight, mul(wide(ties), weightOf(logitOf(last.key))))};
      },
      [&] { return Values{i32(0), i32(0), first.scan.weight}; });
  return ifElse(
      nucleus(), {i32Type, i32Type},
      [&] {
        Value share = mul(toF64(topP), arith::UIToFPOp::create(b, b.getF64Type(), kept[2]));
        Value cut = arith::FPToUIOp::create(b, i64Type, share);
        Value whole = compare(Floats::OEQ, arith::UIToFPOp::create(b, b.getF64Type(), cut), share);
        Value needed = select(whole, cut, add(cut, 1));
        needed = select(compare(Integers::eq, needed, i64(0)), i64(1), needed);
        barrier(); // the place was read
        Last last = selectLast(first, /*byCount=*/false, needed);
        Value each = weightOf(logitOf(last.key)), rest = sub(needed, last.weight);
        return Values{last.key, narrow(div(add(rest, sub(each, i64(1))), each))};
      },
      [&] { return Values{kept[0], kept[1]}; });
}

void DrawEmitter::draw() {
  Values kept = ifElse(cuts(), {i32Type, i32Type}, [&] { return lastKept(); }, [&] { return Values{i32(0), i32(0)}; });
  Value last = kept[0], mostTies = kept[1], tieWeight = weightOf(logitOf(last));
  // The sum of the weights of the kept among ids of which so many have the last key, and of the weights above it.
  auto sumOf = [&](Value ties, Value weight) {
    return add(weight, mul(wide(select(below(ties, mostTies), ties, mostTies)), tieWeight));
  };
  // One more candidate in both.
  auto include = [&](Value logit, Value ties, Value weight) {
    Value key = keyOf(logit);
    Value more =
        ifElse(below(last, key), i64Type, [&] { return Values{weightOf(logit)}; }, [&] { return Values{i64(0)}; })[0];
    Value tie = select(compare(Integers::eq, key, last), i32(1), i32(0));
    return Values{add(ties, tie), add(weight, more)};
  };

  // By warp a stretch of ids.
  const int64_t stretch = llvm::alignTo(llvm::divideCeil(spec.vocabulary, int64_t(warps)), 32 * lanes);
  auto endOf = [&](Value number) { return min(mul(add(number, 1), stretch), i32(spec.vocabulary)); };
  Value first = add(mul(warp(), stretch), mul(lane(), lanes));
  Values own = overLogits(first, endOf(warp()), 32, {i32(0), i64(0)}, [&](Value, Value logit, ValueRange carried) {
    return include(logit, carried[0], carried[1]);
  });
  barrier(); // the sums were read, where no search came after them
  Scan total = scan(own[0], own[1]);
  Value random = load(i64Type, at(sampling, offsetof(kerf_sampling, random)), 8);
  Value upTo = sumOf(total.warpCount, total.warpWeight);
  Value target = intrinsic("llvm.nvvm.mulhi.ull", i64Type, {random, shuffled(upTo, i32(31))});
  Value number = sumLanes(select(compare(Integers::ule, upTo, target), i32(1), i32(0)));
  Value previous = bitAnd(add(number, 31), i32(31));
  Value ties = before(number, shuffleFrom(total.warpCount, previous));
  Value weight = before(number, shuffled(total.warpWeight, previous));

  // The stretch, a piece for each thread at a time.
  loop(mul(number, stretch), endOf(number), int64_t(drawThreads) * lanes, {ties, weight},
       [&](Value begin, ValueRange carried) {
         Value id = add(begin, mul(thread(), lanes)), inside = less(id, endOf(number));
         // Of ids up to each of the piece.
         llvm::SmallVector<Type> types;
         for (unsigned lane = 0; lane < lanes; ++lane)
           types.append({i32Type, i64Type});
         Values sums = ifElse(
             inside, types,
             [&] {
               Values state = {i32(0), i64(0)}, sums;
               for (Value logit : loadPiece(id)) {
                 state = include(logit, state[0], state[1]);
                 sums.append(state);
               }
               return sums;
             },
             [&] {
               Values sums;
               for (unsigned lane = 0; lane < lanes; ++lane)
                 sums.append({i32(0), i64(0)});
               return sums;
             });
         barrier(); // the sums were read
         Scan all = scan(sums[2 * lanes - 2], sums[2 * lanes - 1]);
         Value ties = add(carried[0], all.countBefore), weight = add(carried[1], all.weightBefore);
         Value reached = sumOf(ties, weight);
         for (unsigned lane = 0; lane < lanes; ++lane) {
           Value then = sumOf(add(ties, sums[2 * lane]), add(weight, sums[2 * lane + 1]));
           Value here = bitAnd(compare(Integers::ule, reached, target), below(target, then));
           ifThen(here, [&] { store(add(id, lane), token, 4); });
           reached = then;
         }
         return Values{add(carried[0], all.count), add(carried[1], all.weight)};
       });
}

} // namespace

Launches kerf::nvptx::emitKernel(gpu::GPUModuleOp module, const Variant &, llvm::StringRef name,
                                 const SampleSpec &spec) {
  LaunchAttr parts = emitParts(module, name, spec), histogram = emitHistogram(module, name, spec);
  return {parts, histogram, DrawEmitter(module, name, spec).emit()};
}

LinearForm kerf::nvptx::scratchOf(const SampleSpec &spec) {
  return LinearForm::of(scratchBytes(spec), KERF_EXTENT_LOGIT_ROWS);
}
