// Any bytes through the bundled tokenizer: what was encoded decodes to itself, with U+FFFD for what is not UTF-8, in
// one piece and streamed; and any ids decode.
#include "codegen/package/TokenizerJson.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/fuzz/Fuzz.h"

using namespace kerf;
using kerf::fuzz::must;

static const rt::Tokenizer &tokenizer() {
  static auto *builder = new flatbuffers::FlatBufferBuilder;
  static const rt::Tokenizer *made = [] {
    std::vector<IgnoredKey> ignored;
    auto table = buildTokenizer(*builder, KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama/tokenizer.json", ignored);
    builder->Finish(llvm::cantFail(std::move(table)));
    return new rt::Tokenizer(*flatbuffers::GetRoot<schema::Tokenizer>(builder->GetBufferPointer()));
  }();
  return *made;
}

static std::string streamed(const std::vector<int32_t> &ids, bool skipSpecial) {
  rt::StreamingDecoder decoder(tokenizer(), skipSpecial);
  std::string text;
  for (int32_t id : ids) {
    text += decoder.put(id);
    must(rt::validUtf8Prefix(text) == text.size(), "streamed text consists of whole characters");
  }
  return text + decoder.flush();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char *>(data), size);
  std::string expected;
  rt::appendReplaced(bytes, /*last=*/true, expected);
  for (bool special : {false, true}) {
    const std::vector<int32_t> ids = tokenizer().encode(bytes, /*addSpecial=*/false, special);
    for (int32_t id : ids) {
      must(id >= 0 && id < tokenizer().size(), "an id is in the vocabulary");
      must(special || !tokenizer().isSpecial(id), "text does not make special tokens unless that is asked for");
    }
    must(tokenizer().decode(ids, /*skipSpecial=*/false) == expected, "text decodes to itself");
    must(streamed(ids, false) == expected, "text decodes to itself id by id");
    must(tokenizer().encode(expected, false, special) == ids, "what replaces broken bytes is encoded like them");
  }
  // The same bytes as ids, two for each; some lie outside the vocabulary.
  std::vector<int32_t> ids;
  for (size_t i = 0; i + 1 < size; i += 2)
    ids.push_back(int32_t(data[i] | data[i + 1] << 8) - 8);
  for (bool skip : {false, true})
    try {
      must(tokenizer().decode(ids, skip) == streamed(ids, skip), "ids decode to the same text one by one");
    } catch (const rt::TokenizerError &error) {
      must(error.cause() == rt::TokenizerError::Cause::BadArgument, "an id outside the vocabulary is the caller's");
    }
  return 0;
}
