#include "codegen/package/TokenizerCheck.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/TokenizerError.h"

std::string kerf::checkTokenizer(const schema::Tokenizer &table) {
  try {
    rt::Tokenizer tokenizer(table);
    return "";
  } catch (const rt::TokenizerError &error) {
    return error.what();
  }
}
