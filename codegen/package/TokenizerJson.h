//===- TokenizerJson.h - tokenizer.json into the package ---------*- C++ -*-===//
#ifndef KERF_CODEGEN_PACKAGE_TOKENIZERJSON_H
#define KERF_CODEGEN_PACKAGE_TOKENIZERJSON_H

#include "dialects/import/Json.h"
#include "runtime/schema/tokenizer_generated.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <vector>

namespace kerf {

/// Reads the Hugging Face tokenizer.json at `path` and writes it to `builder` in the form that the runtime maps. Keys
/// without effect are appended to `ignored`, each with the reason; everything else that is not understood is refused,
/// all of it in one error. The same file gives the same bytes.
llvm::Expected<flatbuffers::Offset<schema::Tokenizer>>
buildTokenizer(flatbuffers::FlatBufferBuilder &builder, llvm::StringRef path, std::vector<IgnoredKey> &ignored);

/// The same for a text in memory; `name` stands for it in messages.
llvm::Expected<flatbuffers::Offset<schema::Tokenizer>> buildTokenizerFromText(flatbuffers::FlatBufferBuilder &builder,
                                                                              llvm::StringRef name,
                                                                              llvm::StringRef text,
                                                                              std::vector<IgnoredKey> &ignored);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_TOKENIZERJSON_H
