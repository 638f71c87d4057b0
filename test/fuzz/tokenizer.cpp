// tokenizer.json: refused with reasons by the reader or by the runtime's check, or a table whose ids are in the
// vocabulary and decode to the same text in one piece and one by one.
#include "runtime/tokenizer/Tokenizer.h"
#include "codegen/package/TokenizerCheck.h"
#include "codegen/package/TokenizerJson.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/fuzz/Fuzz.h"

using namespace kerf;
using kerf::fuzz::must;
using rt::TokenizerError;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<IgnoredKey> ignored;
  auto table = buildTokenizerFromText(builder, "tokenizer.json", {reinterpret_cast<const char *>(data), size}, ignored);
  if (!table) {
    must(!llvm::toString(table.takeError()).empty(), "a refusal says why");
    return 0;
  }
  builder.Finish(*table);
  flatbuffers::Verifier verifier(builder.GetBufferPointer(), builder.GetSize());
  must(verifier.VerifyBuffer<schema::Tokenizer>(), "the table is a valid flatbuffer");

  const auto &root = *flatbuffers::GetRoot<schema::Tokenizer>(builder.GetBufferPointer());
  if (!checkTokenizer(root).empty())
    return 0;
  const rt::Tokenizer tokenizer(root);
  for (std::string_view text :
       {"", " a  b", "The 12 <x> caf\xc3\xa9\n\n don't \xe4\xbd\xa0\xe5\xa5\xbd \xff\xe2\x82"}) {
    std::vector<int32_t> ids;
    try {
      ids = tokenizer.encode(text, /*addSpecial=*/true, /*parseSpecial=*/true);
    } catch (const TokenizerError &error) {
      must(error.cause() != TokenizerError::Cause::BadTable || std::string_view(error.what()).ends_with("forwards"),
           "what is wrong with a table is found when it is opened");
      continue;
    }
    for (int32_t id : ids)
      must(id >= 0 && id < tokenizer.size(), "an id is in the vocabulary");
    for (bool skip : {false, true}) {
      std::string whole = tokenizer.decode(ids, skip), streamed;
      must(rt::validUtf8Prefix(whole) == whole.size(), "decoded text is valid UTF-8");
      rt::StreamingDecoder decoder(tokenizer, skip);
      for (int32_t id : ids)
        streamed += decoder.put(id);
      must(streamed + decoder.flush() == whole, "text decoded id by id is the text decoded at once");
    }
  }
  return 0;
}
