//===- TokenizerReader.h - the reader of tokenizer.json ----------*- C++ -*-===//
//
// One class, whose parts stand where the file's do: TokenizerSteps.cpp (normalizer, pre-tokenizer), TokenizerModel.cpp,
// TokenizerDecoder.cpp (post-processor, decoder), TokenizerJson.cpp (the rest).
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_PACKAGE_TOKENIZERREADER_H
#define KERF_CODEGEN_PACKAGE_TOKENIZERREADER_H

#include "dialects/import/Json.h"
#include "runtime/schema/TokenizerHash.h"
#include "runtime/schema/tokenizer_generated.h"

#include <optional>
#include <string>
#include <vector>

namespace kerf {

/// Reads one tokenizer.json and writes the table of it; used once.
class TokenizerReader {
public:
  /// References everything it is given.
  TokenizerReader(flatbuffers::FlatBufferBuilder &builder, const JsonDocument &document,
                  std::vector<IgnoredKey> &ignored)
      : builder(builder), document(document), ignored(ignored) {}

  /// The table, or all that is wrong with the file.
  llvm::Expected<flatbuffers::Offset<schema::Tokenizer>> run();

private:
  struct Merge {
    uint32_t left, right, rank, result;
  };
  // The runtime refuses more.
  static constexpr int64_t kMaxId = (1 << 22) - 1;
  static constexpr size_t kMaxGrowth = 256;
  static constexpr llvm::StringRef kNotUnderstood = "this Kerf cannot tell what it would change";

  // TokenizerSteps.cpp
  void readNormalizer(ObjectReader step);
  void readBertNormalizer(ObjectReader &step);
  void readPreTokenizer(ObjectReader step);
  void readSplit(ObjectReader &step);
  void readByteLevel(ObjectReader &step);
  void readMetaspace(ObjectReader &step);
  std::string readPattern(ObjectReader &step);
  void addNormalizer(schema::NormalizerKind kind, schema::NormalForm form = schema::NormalForm::NFC,
                     llvm::StringRef pattern = {}, llvm::StringRef content = {});
  void addSplit(llvm::StringRef pattern, schema::SplitBehavior behavior, bool invert);

  // TokenizerModel.cpp
  void readModel(ObjectReader model);
  void readBpe(ObjectReader &model);
  void readWordPiece(ObjectReader &model);
  void readUnknown(ObjectReader &model);
  void readVocabulary(ObjectReader vocabulary);
  void readMerges(ObjectReader &model);
  void readMerge(ObjectReader &model, llvm::StringRef left, llvm::StringRef right, uint32_t rank);
  void setContent(ObjectReader &where, uint32_t id, llvm::StringRef content);
  std::string written(llvm::StringRef content) const;
  std::vector<uint32_t> byteTokens() const;
  template <typename IsEmpty> size_t emptySlot(size_t slots, uint64_t hash, IsEmpty isEmpty);
  std::vector<uint32_t> pieceSlots();
  flatbuffers::Offset<schema::BpeModel> writeBpe();
  flatbuffers::Offset<schema::WordPieceModel> writeWordPiece();

  // TokenizerDecoder.cpp
  void readPostProcessor(ObjectReader step);
  void readTemplate(ObjectReader &step);
  void readFrame(ObjectReader &step);
  std::optional<uint32_t> readFrameToken(ObjectReader &step, llvm::StringRef key);
  void readDecoder(ObjectReader step);
  void addDecoderStep(schema::DecoderStepKind kind, llvm::StringRef pattern = {}, llvm::StringRef content = {},
                      bool flag = false, uint32_t count = 0);

  // TokenizerJson.cpp
  void readAddedTokens(ObjectReader &top);
  // Calls `visit` with a reader of each object of the array at `key`.
  void forEachObject(ObjectReader &reader, llvm::StringRef key, llvm::function_ref<void(ObjectReader)> visit);
  // The string at `key`, which must be one character; "?" if it is not.
  std::string character(ObjectReader &reader, llvm::StringRef key);
  // "first" (or `all`, `none`) at `key`: which pieces Metaspace puts a space before.
  schema::Prefix readPrefix(ObjectReader &step);
  flatbuffers::Offset<schema::Tokenizer> write();

  flatbuffers::FlatBufferBuilder &builder;
  const JsonDocument &document;
  std::vector<IgnoredKey> &ignored;
  Problems problems;

  // The model's own tokens, and what each id is (added tokens included; null where there is a gap).
  llvm::StringMap<uint32_t> idOf;
  std::vector<std::optional<llvm::StringRef>> contents;
  size_t contentCount = 0;
  std::vector<Merge> merges;
  // More entries of a hash table collide than the runtime accepts.
  bool crowded = false;
  bool ignoreMerges = false, byteFallback = false, fuseUnknown = false;
  uint32_t unknown = schema::kNoToken;
  // A WordPiece model, and what it says.
  bool wordPiece = false;
  std::string continuation;
  uint32_t longestWord = 0;
  // The pre-tokenizer spells bytes as characters, and so does the vocabulary.
  bool byteLevel = false;
  // How often the steps that replace can multiply a text, and a token.
  size_t normalizerGrowth = 1, decoderGrowth = 1;
  // Steps that can take away the head of a text, and one that must know where that was.
  bool dropsText = false, prefixesFirst = false;
  std::vector<flatbuffers::Offset<schema::NormalizerStep>> normalizers;
  std::vector<flatbuffers::Offset<schema::PreTokenizerStep>> preTokenizers;
  std::vector<flatbuffers::Offset<schema::AddedToken>> addedTokens;
  std::vector<uint32_t> prefix, suffix;
  // The decoders that have been read.
  bool byteLevelDecoder = false, decodesBytes = false, fused = false, stripped = false;
  std::vector<flatbuffers::Offset<schema::DecoderStep>> decoderSteps;
};

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_TOKENIZERREADER_H
