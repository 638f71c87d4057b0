/// Runs the tools that need no compiler as programs, on a hand-written model.
#ifndef KERF_TEST_RUNTIME_TOOLSFIXTURE_H
#define KERF_TEST_RUNTIME_TOOLSFIXTURE_H

#include "test/runtime/fake/Fixture.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sys/wait.h>

namespace kerf::test {

/// What a program said.
struct Output {
  int status;
  std::string out, err;
};

class ToolsTest : public testing::Test {
protected:
  TempFolder folder;
  std::string package = folder.file("model.kerf");
  kerf_error error = {};

  /// model.kerf, which goes round in "abcdef", and its library.
  void SetUp() override {
    FakePackage fake;
    const std::string circle = "abcdef";
    for (size_t i = 0; i < circle.size(); ++i)
      fake.weights.next[uint8_t(circle[i])] = uint8_t(circle[(i + 1) % circle.size()]);
    auto source = std::make_unique<kerf::schema::KeyValueT>();
    source->key = "config.json";
    source->value = "00ff";
    fake.manifest.source_hashes.push_back(std::move(source));
    put(fake, "model");
  }

  /// Writes a package under a name, with the library beside it, and returns its path.
  std::string put(const FakePackage &fake, const std::string &name, const char *library = KERF_FAKE_MODULE) {
    fake.write(folder.file(name + ".kerf"));
    std::filesystem::copy_file(library, folder.file("lib" + name + ".so"));
    return folder.file(name + ".kerf");
  }

  /// Runs a command line of the shell; `before` stands before the program, e.g. variables or a pipe.
  Output run(const std::string &tool, const std::string &arguments, const std::string &before = "") {
    const std::string command = before + " " + tool + " " + arguments + " >" + folder.file("out") + " 2>" +
                                folder.file("err") + (before.find('|') == std::string::npos ? " </dev/null" : "");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, readFile(folder.file("out")), readFile(folder.file("err"))};
  }

  /// Expects that a program fails with `status` and says `message` on standard error.
  void expectRefused(const std::string &tool, const std::string &arguments, int status, const std::string &message) {
    const Output output = run(tool, arguments);
    EXPECT_EQ(output.status, status) << arguments;
    EXPECT_NE(output.err.find(message), std::string::npos) << arguments << "\n" << output.err;
  }
};

inline bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

/// The number after "key": in a JSON text; NaN when there is none.
inline double numberOf(const std::string &json, const std::string &key) {
  const size_t at = json.find("\"" + key + "\": ");
  return at == std::string::npos ? double(NAN) : std::strtod(json.c_str() + at + key.size() + 4, nullptr);
}

} // namespace kerf::test

#endif
