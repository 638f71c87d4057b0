// Builds the arrays of a step, and runs it.
#include "codegen/reference/Model.h"
#include "dialects/kerf/KerfPrograms.h"

#include "codegen/reference/Emitter.h"

#include <bit>
#include <cstring>
#include <numeric>

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

func::FuncOp reference::findStep(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (isProgram(function) && function.getNumResults() > 0 && isa<RankedTensorType>(function.getResultTypes().front()))
      return function;
  return nullptr;
}

static llvm::Expected<std::vector<char>> readWeight(WeightOp weight, const TensorSource &tensors) {
  auto evaluator = SourceEvaluator::create(weight.getSource(), tensors);
  if (!evaluator)
    return evaluator.takeError();
  std::vector<char> data(evaluator->rows() * evaluator->rowBytes());
  if (llvm::Error error = evaluator->evaluate(0, evaluator->rows(), data))
    return error;
  return data;
}

llvm::Expected<std::unique_ptr<Model>> Model::create(func::FuncOp function, const TensorSource &tensors, bool record) {
  auto module = function->getParentOfType<ModuleOp>();
  if (function.getNumResults() == 0 || !isa<RankedTensorType>(function.getResultTypes().front()) ||
      llvm::count_if(function.getArgumentTypes(), llvm::IsaPred<BatchType>) != 1)
    return llvm::createStringError("program '%s' must take a batch and give logits first",
                                   function.getName().str().c_str());
  auto program = Program::compile(function, record);
  if (!program)
    return program.takeError();
  std::unique_ptr<Model> model(new Model);
  model->program = std::move(*program);
  if (ModelOp identity = getModel(module))
    model->vocabulary = identity.getVocabulary();
  for (const Argument &argument : model->program->arguments()) {
    if (argument.kind == Argument::Tensor)
      return llvm::createStringError("program '%s' must take a batch and caches only, got a tensor as argument %u",
                                     function.getName().str().c_str(), argument.index);
    if (argument.kind != Argument::Weight)
      continue;
    auto data = readWeight(module.lookupSymbol<WeightOp>(argument.symbol), tensors);
    if (!data)
      return data.takeError();
    model->weights.push_back(std::move(*data));
  }
  return model;
}

static SmallVector<int64_t, 5> cacheShape(const Argument &argument, const Cache &cache) {
  SmallVector<int64_t, 5> shape(argument.type.getShape());
  shape[1] = cache.sequences;
  shape[2] = cache.context;
  return shape;
}

static bool isCache(const Argument &argument) {
  return argument.kind == Argument::Keys || argument.kind == Argument::Values;
}

Cache Model::createCache(int64_t sequences, int64_t context) const {
  Cache cache;
  cache.sequences = sequences;
  cache.context = context;
  cache.lengths.assign(sequences, 0);
  for (const Argument &argument : program->arguments())
    if (isCache(argument)) {
      int64_t bytes = argument.type.getElementTypeBitWidth() / 8;
      for (int64_t size : cacheShape(argument, cache))
        bytes *= size;
      // All bits set is a NaN in every element type.
      cache.memory.emplace_back(bytes, '\xff');
    }
  return cache;
}

llvm::Error Model::check(const Cache &cache, ArrayRef<Piece> pieces, ArrayRef<int32_t> logitRows) const {
  int64_t rows = 0;
  llvm::SmallDenseSet<int32_t> seen;
  for (const Piece &piece : pieces) {
    if (piece.sequence < 0 || piece.sequence >= cache.sequences || !seen.insert(piece.sequence).second)
      return llvm::createStringError("sequence must be in [0, %lld) and occur once in a step, got %d",
                                     static_cast<long long>(cache.sequences), piece.sequence);
    int64_t after = cache.lengths[piece.sequence] + static_cast<int64_t>(piece.tokens.size());
    if (after > cache.context)
      return llvm::createStringError("sequence %d must have at most %lld tokens, got %lld", piece.sequence,
                                     static_cast<long long>(cache.context), static_cast<long long>(after));
    for (int32_t token : piece.tokens)
      if (token < 0 || (vocabulary > 0 && token >= vocabulary))
        return llvm::createStringError("token must be in [0, %lld), got %d", static_cast<long long>(vocabulary), token);
    rows += piece.tokens.size();
  }
  for (int32_t row : logitRows)
    if (row < 0 || row >= rows)
      return llvm::createStringError("logit row must be in [0, %lld), got %d", static_cast<long long>(rows), row);
  return llvm::Error::success();
}

static float widen(Type type, const char *element) {
  if (type.isF32()) {
    float value;
    std::memcpy(&value, element, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, element, sizeof(bits));
  if (type.isBF16())
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}

std::vector<float> reference::readFloats(Type element, const void *data, size_t count) {
  std::vector<float> numbers(count);
  const int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  for (size_t i = 0; i < count; ++i)
    numbers[i] = widen(element, static_cast<const char *>(data) + i * bytes);
  return numbers;
}

void reference::writeFloats(Type element, ArrayRef<float> numbers, void *data) {
  if (element.isF32())
    return void(std::memcpy(data, numbers.data(), numbers.size() * sizeof(float)));
  auto *bits = static_cast<uint16_t *>(data);
  for (auto [i, number] : llvm::enumerate(numbers))
    bits[i] = element.isBF16() ? uint16_t(std::bit_cast<uint32_t>(number) >> 16)
                               : std::bit_cast<uint16_t>(static_cast<_Float16>(number));
}

static FloatMatrix widen(RankedTensorType type, const void *data, ArrayRef<int64_t> shape) {
  FloatMatrix matrix{shape.front(), 1, {}};
  for (int64_t size : shape.drop_front())
    matrix.columns *= size;
  matrix.values = readFloats(type.getElementType(), data, matrix.rows * matrix.columns);
  return matrix;
}

llvm::Expected<FloatMatrix> Model::step(Cache &cache, ArrayRef<Piece> pieces, ArrayRef<int32_t> logitRows,
                                        RecordFn record) const {
  if (llvm::Error error = check(cache, pieces, logitRows))
    return error;
  std::vector<int32_t> arrays[BatchArrayCount];
  arrays[LogitRows].assign(logitRows.begin(), logitRows.end());
  arrays[Lengths] = cache.lengths;
  for (const Piece &piece : pieces) {
    if (!piece.tokens.empty()) {
      arrays[FirstRows].push_back(arrays[TokenIds].size());
      arrays[RowCounts].push_back(piece.tokens.size());
    }
    for (int32_t token : piece.tokens) {
      int32_t index = arrays[Lengths][piece.sequence]++;
      arrays[TokenIds].push_back(token);
      arrays[Sequences].push_back(piece.sequence);
      for (BatchArray array : {Positions, Indices, Slots})
        arrays[array].push_back(index);
    }
  }

  SmallVector<Buffer> buffers;
  size_t nextCache = 0, nextWeight = 0;
  for (const Argument &argument : program->arguments()) {
    if (argument.kind == Argument::Batch)
      buffers.push_back({arrays[argument.index].data(), {static_cast<int64_t>(arrays[argument.index].size())}});
    else if (isCache(argument))
      buffers.push_back({cache.memory[nextCache++].data(), cacheShape(argument, cache)});
    else
      buffers.push_back(
          {const_cast<char *>(weights[nextWeight++].data()), llvm::to_vector<5>(argument.type.getShape())});
  }
  FloatMatrix logits;
  llvm::Error error = program->run(buffers, [&](const Output &output, const void *data, ArrayRef<int64_t> shape) {
    if (!output.type.getElementType().isFloat())
      return;
    if (output.op && record)
      record({output.op, output.result, output.type.getElementType(), widen(output.type, data, shape)});
    if (!output.op && output.result == 0)
      logits = widen(output.type, data, shape);
  });
  if (error)
    return error;
  cache.lengths = std::move(arrays[Lengths]);
  return logits;
}

llvm::Expected<FloatMatrix> reference::runTexts(func::FuncOp program, const TensorSource &tensors,
                                                ArrayRef<TokenSequence> sequences, RecordFn record) {
  auto model = Model::create(program, tensors, static_cast<bool>(record));
  if (!model)
    return model.takeError();
  size_t longest = 0, rows = 0;
  std::vector<Piece> pieces;
  for (const TokenSequence &sequence : sequences) {
    pieces.push_back({static_cast<int32_t>(pieces.size()), sequence});
    longest = std::max(longest, sequence.size());
    rows += sequence.size();
  }
  // All sequences are one step: that is what the ragged batch is for.
  std::vector<int32_t> logitRows(rows);
  std::iota(logitRows.begin(), logitRows.end(), 0);
  Cache cache = (*model)->createCache(sequences.size(), longest);
  return (*model)->step(cache, pieces, logitRows, record);
}
