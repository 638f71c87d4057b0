//===- Tables.h - tokenizer tables for tests, as built and changed *- C++ -*-===//
#ifndef KERF_TEST_RUNTIME_TOKENIZER_TABLES_H
#define KERF_TEST_RUNTIME_TOKENIZER_TABLES_H

#include "test/runtime/tokenizer/Build.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace kerf::test {

/// The bundled model's table, or a variant of it.
inline std::vector<uint8_t> table(const std::string &changes = "{}") {
  Built built = build(changed(changes));
  EXPECT_EQ(built.error, "");
  return built.buffer;
}

inline const schema::Tokenizer &root(const std::vector<uint8_t> &buffer) {
  return *flatbuffers::GetRoot<schema::Tokenizer>(buffer.data());
}

inline bool verifies(const uint8_t *data, size_t size) {
  return flatbuffers::Verifier(data, size).VerifyBuffer<schema::Tokenizer>();
}

/// The table after `change`.
inline std::vector<uint8_t> edited(const std::vector<uint8_t> &buffer,
                                   const std::function<void(schema::TokenizerT &)> &change) {
  std::unique_ptr<schema::TokenizerT> object(root(buffer).UnPack());
  change(*object);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Tokenizer::Pack(builder, object.get()));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

} // namespace kerf::test

#endif // KERF_TEST_RUNTIME_TOKENIZER_TABLES_H
