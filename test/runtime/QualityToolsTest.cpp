// kerf-run perplexity, compare and tokenize, on hand-written models whose logits are known.
#include "test/runtime/ToolsFixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace kerf::test;

namespace {

class QualityToolsTest : public ToolsTest {
protected:
  // Logits of a usual size; 200 bytes of text in windows of the model's context, 64, or less.
  static FakePackage usual(uint64_t seed, bool begin = false) {
    FakePackage fake(seed);
    for (float &weight : fake.weights.output)
      weight *= 3e-2f;
    if (begin)
      fake.manifest.tokenizer->prefix_ids = {uint32_t(kSpecialToken)};
    return fake;
  }
  std::string text = "to be, or not to be, that is the question: whether 'tis nobler in the mind to suffer the slings "
                     "and arrows of outrageous fortune, or to take arms against a sea of troubles, and by opposing "
                     "end them: to die, to sleep, no more; and by a sleep to say we end the heart-ache";
  std::string file = folder.file("text");

  struct Expected {
    std::vector<double> nll[2], kl;
    double largest = 0, agreed = 0;
    double mean(const std::vector<double> &values) const {
      return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
    }
  };
  // The definitions of docs/quality.md, written out.
  Expected expected(const FakeWeights &a, const FakeWeights &b, uint32_t window, uint32_t stride, bool begin) const {
    Expected result;
    const size_t body = window - begin;
    size_t covered = 0;
    for (size_t start = 0; covered < text.size(); start += stride) {
      const size_t end = std::min(start + body, text.size());
      for (size_t i = std::max<size_t>(covered, start + !begin); i < end; ++i) {
        std::vector<int32_t> seen(begin, kSpecialToken);
        for (size_t j = start; j < i; ++j)
          seen.push_back(uint8_t(text[j]));
        std::vector<double> p[2];
        double kl = 0, largest = 0;
        for (int m = 0; m < 2; ++m) {
          const std::vector<float> logits = referenceLogits(m ? b : a, seen);
          p[m].assign(logits.begin(), logits.end());
        }
        result.agreed += std::max_element(p[0].begin(), p[0].end()) - p[0].begin() ==
                         std::max_element(p[1].begin(), p[1].end()) - p[1].begin();
        for (size_t v = 0; v < p[0].size(); ++v)
          largest = std::max(largest, std::abs(p[0][v] - p[1][v]));
        for (int m = 0; m < 2; ++m) {
          const double most = *std::max_element(p[m].begin(), p[m].end());
          double sum = 0;
          for (const double x : p[m])
            sum += std::exp(x - most);
          for (double &x : p[m])
            x -= most + std::log(sum);
          result.nll[m].push_back(-p[m][uint8_t(text[i])]);
        }
        for (size_t v = 0; v < p[0].size(); ++v)
          kl += std::exp(p[0][v]) * (p[0][v] - p[1][v]);
        result.kl.push_back(kl);
        result.largest = std::max(result.largest, largest);
      }
      covered = end;
    }
    return result;
  }

  void SetUp() override {
    ToolsTest::SetUp();
    writeFile(file, text);
  }
};

TEST_F(QualityToolsTest, PerplexityIsThatOfTheDefinition) {
  for (const bool begin : {false, true}) {
    const FakePackage fake = usual(3, begin);
    const std::string path = put(fake, begin ? "begun" : "plain");
    for (const auto &[window, stride] : {std::pair(64u, 0u), {64u, 20u}, {7u, 0u}, {9u, 1u}}) {
      const Expected e = expected(fake.weights, fake.weights, window, stride ? stride : window - begin, begin);
      const std::string arguments = "perplexity " + path + " --variant narrow --text " + file + " --json --window " +
                                    std::to_string(window) + " --stride " + std::to_string(stride);
      const Output output = run(KERF_RUN, arguments);
      ASSERT_EQ(output.status, 0) << output.err;
      EXPECT_NEAR(numberOf(output.out, "nats_per_token"), e.mean(e.nll[0]), 1e-7) << arguments;
      EXPECT_NEAR(numberOf(output.out, "perplexity"), std::exp(e.mean(e.nll[0])), 1e-5) << arguments;
      EXPECT_NEAR(numberOf(output.out, "bits_per_byte"), e.mean(e.nll[0]) / std::log(2), 1e-7); // a token a byte
      EXPECT_EQ(numberOf(output.out, "scored_tokens"), double(e.nll[0].size()));
      EXPECT_EQ(numberOf(output.out, "tokens"), double(text.size()));
      EXPECT_EQ(numberOf(output.out, "bytes"), double(text.size()));
      if (begin || stride) {
        EXPECT_EQ(e.nll[0].size(), text.size() - !begin) << "every token is scored once";
      }
      // The same bits whatever runs together, on any number of threads, and from a pipe.
      for (const char *other : {" --max-batch 1 --threads 1", " --max-batch 300 --threads 2"}) {
        Output again = run(KERF_RUN, arguments + other);
        EXPECT_EQ(numberOf(again.out, "nats_per_token"), numberOf(output.out, "nats_per_token")) << other;
        EXPECT_EQ(again.out.substr(again.out.find("\"text\"")), output.out.substr(output.out.find("\"text\"")));
      }
      const Output piped = run(KERF_RUN,
                               "perplexity " + path + " --variant narrow --text - --json --window " +
                                   std::to_string(window) + " --stride " + std::to_string(stride),
                               "cat " + file + " |");
      EXPECT_EQ(numberOf(piped.out, "nats_per_token"), numberOf(output.out, "nats_per_token")) << piped.err;
    }
  }
  const Output table = run(KERF_RUN, "perplexity " + folder.file("begun.kerf") + " -n 100 --text " + file);
  for (const char *part :
       {"sliding windows of 64 tokens, each begun with <mark>, stride 63; every token is scored once",
        "100 bytes, 100 tokens, 100 scored in 2 windows; errors from 1 blocks", "perplexity ",
        "(too little text for an error)", "bits per byte"})
    EXPECT_TRUE(contains(table.out, part)) << part << "\n" << table.out;
}

TEST_F(QualityToolsTest, CompareIsThatOfTheDefinition) {
  const FakePackage a = usual(3), b = usual(4);
  const std::string first = put(a, "first"), second = put(b, "second");
  const Expected e = expected(a.weights, b.weights, 30, 11, false);
  const std::string arguments =
      "compare " + first + " " + second + " --variant narrow --window 30 --stride 11 --text " + file;
  const Output output = run(KERF_RUN, arguments + " --json");
  ASSERT_EQ(output.status, 0) << output.err;
  EXPECT_NEAR(numberOf(output.out, "kl_mean"), e.mean(e.kl), 1e-8);
  std::vector<double> sorted = e.kl;
  std::sort(sorted.begin(), sorted.end());
  const auto rank = [&](double q) { return sorted[size_t(q * double(sorted.size() - 1))]; };
  EXPECT_NEAR(numberOf(output.out, "kl_median"), rank(0.5), 1.01e-3 * rank(0.5));
  EXPECT_NEAR(numberOf(output.out, "kl_p99"), rank(0.99), 1.01e-3 * rank(0.99));
  EXPECT_NEAR(numberOf(output.out, "kl_max"), sorted.back(), 1e-7 * sorted.back());
  EXPECT_NEAR(numberOf(output.out, "top1_agreement"), e.agreed / double(e.kl.size()), 1e-8);
  EXPECT_NEAR(numberOf(output.out, "max_logit_error"), e.largest, 1e-6 * e.largest);
  EXPECT_NEAR(numberOf(output.out, "perplexity_ratio"), std::exp(e.mean(e.nll[1]) - e.mean(e.nll[0])), 1e-6);
  EXPECT_GT(e.mean(e.kl), 1e-4) << "the models must differ";
  EXPECT_LT(e.agreed, double(e.kl.size()));
  const Output other = run(KERF_RUN, arguments + " --json --max-batch 3 --threads 1");
  EXPECT_EQ(other.out, output.out);
  const Output table = run(KERF_RUN, arguments);
  for (const char *part : {"KL(A||B), nats", "median", "99th percentile", "same best token", "perplexity B / A"})
    EXPECT_TRUE(contains(table.out, part)) << part << "\n" << table.out;

  // A model against itself, in two variants: no difference.
  const Output same = run(KERF_RUN, "compare " + first + " " + first +
                                        " --variant narrow --variant-b narrow --json "
                                        "--text " +
                                        file);
  EXPECT_EQ(numberOf(same.out, "kl_max"), 0) << same.out << same.err;
  EXPECT_EQ(numberOf(same.out, "max_logit_error"), 0);
  EXPECT_EQ(numberOf(same.out, "top1_agreement"), 1);
  EXPECT_EQ(numberOf(same.out, "perplexity_ratio"), 1);
}

TEST_F(QualityToolsTest, CompareRefusesOtherTokens) {
  const std::string first = put(usual(3), "first");
  FakePackage renamed = usual(4);
  renamed.manifest.tokenizer->token_bytes.back() = ']';
  FakePackage ordinary = usual(4);
  for (auto &token : ordinary.manifest.tokenizer->added_tokens)
    token->special = false;
  const auto expect = [&](const std::string &second, const std::string &message) {
    expectRefused(KERF_RUN, "compare " + first + " " + second + " --text " + file, 1, message);
  };
  expect(put(renamed, "renamed"),
         "token 257 of both models must be the same, got \"<mark>\" (special) and \"<mark]\" (special); only models");
  expect(put(ordinary, "ordinary"), "got \"<end>\" (special) and \"<end>\"; only models with");
  expect(put(usual(4, true), "begun"), "begin tokens of both models must be the same, got \"\" and \"<mark>\"");
  // The same tokens, used otherwise: found in the text.
  FakePackage spaced = usual(4);
  auto step = std::make_unique<kerf::schema::PreTokenizerStepT>();
  step->kind = kerf::schema::PreTokenizerKind::PrefixSpace;
  spaced.manifest.tokenizer->pre_tokenizers.push_back(std::move(step));
  expect(put(spaced, "spaced"), "make the same tokens of a text, but do not of bytes 0 to");
}

TEST_F(QualityToolsTest, RefusesBadTextsAndWindows) {
  const auto expect = [&](const std::string &arguments, int status, const std::string &message) {
    expectRefused(KERF_RUN, "perplexity " + package + " " + arguments, status, message);
  };
  expect("", 106, "--text is required");
  expect("--text " + folder.file("none"), 1, "cannot open '" + folder.file("none") + "': No such file");
  expect("--text " + folder.file(""), 1, "must be a text file, got a directory");
  expect("--text /dev/null", 1, "'/dev/null' must have a token to score, got none; give more text");
  expect("--text " + file + " --window 65", 1, "--window must be 2 to the model's context of 64, got 65");
  expect("--text " + file + " --window 1", 1, "--window must be 2 to the model's context of 64, got 1");
  expect("--text " + file + " --window 10 --stride 11", 1, "--stride must be at most the 10 tokens of text in a");
  expect("--text " + file + " --memory-limit 10kb", 1, "the memory limit allows 10.00 KiB");
  FakePackage infinite = usual(3);
  for (float &weight : infinite.weights.output)
    weight *= INFINITY;
  expectRefused(KERF_RUN, "perplexity " + put(infinite, "infinite") + " --text " + file, 1,
                "logits must be finite, got an infinite one or NaN in window 0");
}

TEST_F(QualityToolsTest, Tokenize) {
  const std::string begun = put(usual(3, true), "begun");
  const auto out = [&](const std::string &arguments, const std::string &before = "") {
    const Output output = run(KERF_RUN, "tokenize " + begun + " " + arguments, before);
    EXPECT_EQ(output.status, 0) << output.err;
    return output.out;
  };
  EXPECT_EQ(out("'a\"\n'"), "257\t\"<mark>\"\tspecial\n97\t\"a\"\n34\t\"\\\"\"\n10\t\"\\n\"\n");
  EXPECT_EQ(out("--no-frame é"), "195\t\"\\xc3\"\n169\t\"\\xa9\"\n");
  EXPECT_EQ(out("--ids --no-frame 'a<end>'"), "97 256\n");
  EXPECT_EQ(out("--ids --no-frame --plain '<end'"), "60 101 110 100\n");
  EXPECT_EQ(out("--ids --no-frame --plain '<end>'"), "60 101 110 100 62\n");
  EXPECT_EQ(out("--count --no-frame -f " + file), std::to_string(text.size()) + "\n");
  EXPECT_EQ(out("--count --no-frame", "printf abc |"), "3\n");
  EXPECT_EQ(out("--decode '257, 97 [98]'"), "<mark>ab\n");
  EXPECT_EQ(out("--decode --skip-special -f -", "echo 257 97 98 |"), "ab\n");
  const std::string json = out("--json --no-frame é");
  for (const char *part : {"\"count\": 2", "\"id\": 195", "\"hex\": \"c3\"", "\"special\": false"})
    EXPECT_TRUE(contains(json, part)) << json;
  EXPECT_TRUE(contains(out("--decode --json 97"), "\"text\": \"a\""));

  const auto refuse = [&](const std::string &arguments, int status, const std::string &message) {
    expectRefused(KERF_RUN, "tokenize " + begun + " " + arguments, status, message);
  };
  refuse("--decode '1 b2'", 1, "ids must be whole numbers, got 'b2'");
  refuse("--decode 99999999999", 1, "ids must be whole numbers, got '99999999999'");
  refuse("--decode 258", 1, "token id must be in 0 to 257, got 258");
  refuse("-f " + folder.file("none"), 1, "cannot open '" + folder.file("none") + "': No such file");
  refuse("abc -f " + file, 108, "excludes");
  refuse("--count --json abc", 108, "excludes");
  refuse("--skip-special abc", 107, "requires --decode");
}

} // namespace
