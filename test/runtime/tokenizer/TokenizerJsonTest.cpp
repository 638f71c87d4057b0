//===- TokenizerJsonTest.cpp - what tokenizer.json may say ----------------===//
#include "test/runtime/tokenizer/Build.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace kerf::test;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

TEST(TokenizerJson, names_what_it_refuses) {
  const std::pair<const char *, const char *> cases[] = {
      {R"({"extra": 1})", "key 'extra' is not understood"},
      {R"({"version": "2.0"})", "key 'version' must be \"1.0\", got \"2.0\""},
      {R"({"model": null})",
       "model: key 'type' must be \"BPE\" or \"WordPiece\", the models that Kerf has, got \"none\""},
      {R"({"model.type": "Unigram"})", "got \"Unigram\""},
      {R"({"model.dropout": 0.1})", "key 'dropout' must be 0"},
      {R"({"model.byte_fallback": true})", "key 'byte_fallback' must be false"},
      {R"({"model.end_of_word_suffix": "</w>"})", "key 'end_of_word_suffix' must be null or empty"},
      {R"({"model.novel": 1})", "model: key 'novel' is not understood"},
      {R"({"model.vocab.zz": -1})", "the id of 'zz' must be an integer from 0 to 4194303, got -1"},
      {R"({"model.vocab.zz": 4194304})", "the id of 'zz' must be an integer from 0 to 4194303, got 4194304"},
      {R"({"model.vocab.zz": 1.5})", "the id of 'zz' must be an integer"},
      {R"({"model.vocab.zz": 4000000})", "ids must be dense, got 4097 tokens with ids up to 4000000"},
      {R"({"model.vocab.zz": 9})", "id 9 must be one token, got"},
      {R"({"model.vocab": {"a": 0}})",
       "must have a token for each byte, as byte-level vocabularies do, got none for byte 0"},
      {R"({"model.merges": 3})", "key 'merges' must be an array, got 3"},
      {R"({"model.merges": ["a  b"]})", "merge 0 must be two tokens and one space, got 'a  b'"},
      {R"({"model.merges": ["ab"]})", "merge 0 must be two tokens and one space, got 'ab'"},
      {R"({"model.merges": [["a"]]})", "merge 0 must be a string or an array of two strings"},
      {R"({"model.merges": [["t", "h"], ["a", "\u4e00"]]})", "merge 1 must be of tokens in the vocabulary, got"},
      {R"({"model.merges": [["", "a"]]})", "merge 0 must be of tokens in the vocabulary, got ''"},
      {R"({"normalizer": {"type": "Nmt"}})", "normalizer must be one of NFC, NFD, NFKC, NFKD, Prepend, Replace, "
                                             "Lowercase, BertNormalizer, Sequence, got \"Nmt\""},
      {R"({"normalizer": {"type": "NFC", "x": 1}})", "normalizer: key 'x' is not understood"},
      {R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip"}]}})",
       "normalizers[0]: normalizer must be one of"},
      {R"({"pre_tokenizer": null})",
       "pre-tokenizer and decoder must both be ByteLevel or neither, got it in the decoder alone"},
      {R"({"pre_tokenizer": {"type": "Whitespace"}})", "pre-tokenizer must be one of Split, Digits, ByteLevel, "
                                                       "Metaspace, BertPreTokenizer, Sequence, got \"Whitespace\""},
      {R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]}})",
       "ByteLevel must be the last pre-tokenizer, got \"Digits\" after it"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "$"}, "behavior": "Isolated"}})",
       "the line anchor '$' at byte 0"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated"}})",
       "at least one character"},
      {R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Kept"}})",
       "key 'behavior' must be one of Isolated"},
      {R"({"added_tokens": [{"id": 5, "content": "<x>"}]})", "id 5 must be one token"},
      {R"({"added_tokens": [{"id": 4097, "content": "the"}]})",
       "'the' must have the id that the vocabulary gives it, 691, got 4097"},
      {R"({"added_tokens": [{"id": 4096, "content": ""}]})", "key 'content' must be a string of 1 to 4096 bytes"},
      {R"({"added_tokens": [{"id": 4096, "content": "<x>"}, {"id": 4097, "content": "<x>"}]})", "must be added once"},
      {R"({"added_tokens": [{"id": 4096, "content": "<x>", "color": 1}]})",
       "added_tokens[0]: key 'color' is not understood"},
      {R"({"post_processor": {"type": "Other"}})",
       "post-processor must be one of TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing, Sequence"},
      {R"({"post_processor": {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 4096]}})",
       "key 'cls' must be the content and the id of a token"},
      {R"({"post_processor": {"type": "RobertaProcessing", "cls": ["a", 1], "sep": 7}})",
       "key 'sep' must be the content and the id of a token, got 7"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}})",
       "must have the text once, got it 0 times"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {}}})",
       "must name one of the template's special tokens, got '<s>'"},
      {R"({"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [9999], "tokens": ["<s>"]}}}})",
       "must have the id of a token, got 9999"},
      {R"({"decoder": null})", "decoder: key 'type' must be a string, got none"},
      {R"({"decoder": {"type": "WordPiece", "prefix": "##"}})",
       "pre-tokenizer and decoder must both be ByteLevel or neither, got it in the pre-tokenizer alone"},
      {R"({"decoder": {"type": "CTC"}})",
       "decoder must be one of ByteLevel, Replace, Metaspace, WordPiece, ByteFallback, "
       "Fuse, Strip, Sequence, got \"CTC\""},
      {R"({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteLevel"}]}})", "too late"},
      {R"({"decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "ByteLevel"}]}})",
       "too late"},
      {R"({"decoder": {"type": "Sequence", "decoders": [{"type": "WordPiece", "prefix": ""}, {"type": "ByteLevel"}]}})",
       "decoder ByteLevel must be alone"},
  };
  for (auto [changes, message] : cases) {
    SCOPED_TRACE(changes);
    Built built = build(changed(changes));
    EXPECT_TRUE(has(built.error, message)) << built.error;
    EXPECT_TRUE(built.buffer.empty());
  }
}

// A list of ids that a template names again and again.
TEST(TokenizerJson, templates_cannot_multiply) {
  std::string ids = "0", items;
  for (int i = 0; i < 99; ++i)
    ids += ",1";
  for (int i = 0; i < 3; ++i)
    items += R"({"SpecialToken": {"id": "x"}},)";
  const std::string json = R"({"post_processor": {"type": "TemplateProcessing", "single": [)" + items +
                           R"({"Sequence": {"id": "A"}}], "special_tokens": {"x": {"id": "x", "tokens": [], "ids": [)" +
                           ids + "]}}}}";
  EXPECT_TRUE(has(build(changed(json)).error, "single[2]: must make at most 256 tokens around a text, got more"))
      << build(changed(json)).error;
}

TEST(TokenizerJson, names_what_it_refuses_where_symbols_are_characters) {
  const std::string longText(4097, 'x');
  auto metaspace = [](const std::string &keys) {
    return R"({"base": "llama2", "pre_tokenizer": {"type": "Metaspace", )" + keys + "}}";
  };
  auto decoders = [](const std::string &list) {
    return R"({"base": "llama2", "decoder": {"type": "Sequence", "decoders": [)" + list + "]}}";
  };
  const std::pair<std::string, const char *> cases[] = {
      {R"({"base": "llama2", "model.unk_token": "nothing"})",
       "key 'unk_token' must be a token of the vocabulary, got \"nothing\""},
      {R"({"base": "llama2", "model.unk_token": 3})", "key 'unk_token' must be a string, got 3"},
      {R"({"base": "llama2", "model.vocab": {}, "model.merges": []})", "key 'vocab' must have at least one token"},
      {R"({"base": "llama2", "model.continuing_subword_prefix": "@"})", "must be null or empty"},
      {R"({"base": "llama2", "normalizer": {"type": "Prepend"}})", "key 'prepend' must be a string"},
      {R"({"base": "llama2", "normalizer": {"type": "Prepend", "prepend": ")" + longText + "\"}}",
       "key 'prepend' must have at most 4096 bytes"},
      {R"({"base": "llama2", "normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "x"}})",
       "key 'String' must have at least one character"},
      {R"({"base": "llama2", "normalizer": {"type": "Replace", "pattern": {"Regex": "^"}, "content": "x"}})",
       "the line anchor '^' at byte 0"},
      {R"({"base": "llama2", "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": ")" + longText +
           "\"}}",
       "key 'content' must be shorter: normalizers that replace must together make at most 256 bytes of one"},
      {metaspace(R"("replacement": "__")"), "key 'replacement' must be one character, got \"__\""},
      {metaspace(R"("replacement": "")"), "key 'replacement' must be one character"},
      {metaspace(R"("replacement": "_", "prepend_scheme": "last")"),
       "key 'prepend_scheme' must be one of always, first, never, got \"last\""},
      {metaspace(R"("replacement": "_", "add_prefix_space": false)"),
       "key 'add_prefix_space' must be true unless 'prepend_scheme' is \"never\""},
      {R"({"base": "llama2", "normalizer": {"type": "BertNormalizer"},
           "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}})",
       "after a normalizer that can drop text"},
      {R"({"base": "llama2", "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": ""},
           "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}})",
       "after a normalizer that can drop text"},
      {decoders(R"({"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "_"})"),
       "got \"Metaspace\" too late"},
      {decoders(R"({"type": "Fuse"}, {"type": "ByteFallback"})"), "got \"ByteFallback\" too late"},
      {decoders(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})"), "decoder Strip must come after Fuse"},
      {decoders(R"({"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1})"),
       "key 'stop' must be an integer from 0 to 0, got 1"},
      {decoders(R"({"type": "Fuse"}, {"type": "Strip", "content": "ab", "start": 1, "stop": 0})"),
       "key 'content' must be one character"},
      {decoders(R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})"),
       "pattern: key 'String' must be a string, got none"},
      {decoders(R"({"type": "Replace", "pattern": {"String": ")" + std::string(65, 'a') + R"("}, "content": ""})"),
       "key 'String' must have 1 to 64 bytes"},
      {decoders(R"({"type": "Replace", "pattern": {"String": "a"}, "content": ")" + std::string(65, 'a') + "\"}"),
       "key 'content' must have at most 64 bytes"},
      {decoders(R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaaaaaaaaa"},
                   {"type": "Replace", "pattern": {"String": "b"}, "content": "bbbbbbbbbbbbbbbbb"})"),
       "decoders that replace must together make at most 256 bytes of one"},
      {decoders(R"({"type": "ByteLevel"})"), "got it in the decoder alone"},
      {R"({"base": "bert", "model.unk_token": null})", "key 'unk_token' must be a string, got none"},
      {R"({"base": "bert", "model.unk_token": "[NONE]"})", "key 'unk_token' must be a token of the vocabulary"},
      {R"({"base": "bert", "model.continuing_subword_prefix": null})",
       "key 'continuing_subword_prefix' must be a string, got none"},
      {R"({"base": "bert", "model.continuing_subword_prefix": ")" + std::string(65, '#') + "\"}",
       "key 'continuing_subword_prefix' must have at most 64 bytes"},
      {R"({"base": "bert", "model.max_input_chars_per_word": -1})", "key 'max_input_chars_per_word' must be"},
      {R"({"base": "bert", "model.type": null, "model.max_input_chars_per_word": null})", "got \"none\""},
      {R"({"base": "bert", "model.merges": []})", "model: key 'merges' is not understood"},
      {R"({"base": "bert", "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"}})",
       "must have no ByteLevel step before a WordPiece model"},
      {R"({"base": "bert", "normalizer": {"type": "BertNormalizer", "lowercase": 1}})", "key 'lowercase' must be"},
      {R"({"base": "bert", "decoder": {"type": "WordPiece", "prefix": ")" + std::string(65, '#') + "\"}}",
       "key 'prefix' must have at most 64 bytes"},
  };
  for (const auto &[changes, message] : cases) {
    SCOPED_TRACE(changes.substr(0, 200));
    Built built = build(changed(changes));
    EXPECT_TRUE(has(built.error, message)) << built.error;
    EXPECT_TRUE(built.buffer.empty());
  }
}

TEST(TokenizerJson, refuses_broken_json) {
  EXPECT_TRUE(has(build("{\"a\": 1, \"a\": 2}").error, "key 'a' must be given once"));
  EXPECT_TRUE(has(build("{").error, "must be valid JSON"));
  EXPECT_TRUE(has(build("[]").error, "must be an object, got an array"));
  EXPECT_TRUE(has(build(std::string(5000, '[') + std::string(5000, ']')).error, "deep"));
  EXPECT_NE(build("{\"\xff\": 1}").error, "");
}

TEST(TokenizerJson, says_why_it_ignores) {
  Built built = build(changed(R"({"truncation": {"max_length": 4}, "model.unk_token": "<|pad|>"})"));
  ASSERT_EQ(built.error, "");
  auto ignored = [&](const std::string &line) {
    return std::find(built.ignored.begin(), built.ignored.end(), line) != built.ignored.end();
  };
  EXPECT_TRUE(ignored("tokenizer.json: truncation: the caller bounds its prompts"));
  EXPECT_TRUE(
      ignored("tokenizer.json: model: unk_token: a byte-level vocabulary has every byte, so nothing is unknown"));
}

TEST(TokenizerJson, both_forms_of_merges_give_the_same_bytes) {
  Built pairs = build(changed(R"({"model.merges": [["t", "h"], ["th", "e"]]})"));
  Built lines = build(changed(R"({"model.merges": ["#version: 0.2", "t h", "th e"]})"));
  EXPECT_EQ(pairs.error, "");
  EXPECT_EQ(lines.error, "");
  EXPECT_EQ(pairs.buffer, lines.buffer);
  EXPECT_EQ(build(changed("{}")).buffer, build(changed("{}")).buffer);
}

TEST(RegexDialect, rewrites_what_differs) {
  const std::string space =
      "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
  const std::pair<std::string, std::string> cases[] = {
      {"\\s+", "[" + space + "]+"},
      {"[^\\s\\p{L}]", "[^" + space + "\\p{L}]"},
      {"\\p{Han}\\p{^L}\\P{^N}", "\\p{sc:Han}\\P{L}\\p{N}"},
      {"\\w\\h", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe][0-9a-fA-F]"},
      {"\\v\\t\\u00e9\\x{41}", "\\x0b\\t\\x{e9}\\x{41}"},
      {"a{,3}b{2,}c{4}d{1,2}?", "a{0,3}b{2,}c{4}d{1,2}?"},
      {"(?i:'s|'t)x+?y*+", "(?i:'s|'t)x+?y*+"},
      {"(?i)ab", "(?i)ab"},
      {"[-a-z\\]^-]", "[\\-a-z\\]\\^\\-]"},
      {"a]b}", "a\\]b\\}"},
  };
  for (const auto &[pattern, expected] : cases)
    EXPECT_EQ(translated(pattern), expected) << pattern;
}

TEST(RegexDialect, refuses_what_has_no_equivalent) {
  const std::pair<const char *, const char *> cases[] = {
      {"^a", "the line anchor '^' at byte 0"},
      {"a$", "the line anchor '$'"},
      {"(?m:a)", "the group '(?m:'"},
      {"a(?i)b", "the group '(?i)'"},
      {"(?<n>a)", "the group '(?<n'"},
      {"(*UTF)a", "the group '(*UT'"},
      {"\\bx", "'\\b'"},
      {"(a)\\1", "'\\1'"},
      {"\\Kx", "'\\K'"},
      {"\\R", "'\\R'"},
      {"a{2}+", "possessive in PCRE2 alone"},
      {"a{2}?", "lazy in PCRE2"},
      {"a**", "a quantifier of a quantifier"},
      {"*a", "a quantifier without anything before it"},
      {"a{x", "begins no interval"},
      {"[a[b]]", "a class in a class"},
      {"[a&&b]", "an intersection"},
      {"[[:alpha:]]", "a class in a class"},
      {"[a", "a class without its end"},
      {"(a", "a group without its end"},
      {"a)", "a ')' without a group"},
      {"\\p{Foo}", "the property 'Foo'"},
      {"\\pL", "without braces"},
      {"(?i:ss)", "caseless 'ss', which one character can fold to"},
      {"(?i:é)", "outside ASCII in caseless"},
      {"(?i:\\p{L})", "the caseless property 'L'"},
      {"(?i:[^a])", "a caseless negated class"},
      {"[\\s-z]", "a '-' after what is no single character"},
      {"[a-\\d]", "a range without its end"},
      {"\\x{110000}", "a bad hexadecimal"},
      {"\\xff", "a byte that is no character"},
      {"a\\", "a '\\' at the end"},
      {"(?i:\\w)", "caseless \\w"},
  };
  for (auto [pattern, message] : cases) {
    std::string result = translated(pattern);
    EXPECT_TRUE(has(result, "error: split pattern '") && has(result, message)) << pattern << ": " << result;
  }
}

} // namespace
