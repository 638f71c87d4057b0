#include "test/codegen/kernels/GpuCase.h"

#include "runtime/support/Error.h"
#include "runtime/support/Sha256.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

using kerf::rt::fail;

namespace kerf::test {
namespace {

constexpr const char *kMagic = "kerf-case-1";
constexpr const char *kElements[] = {"bytes", "f32", "f16", "bf16"};
constexpr size_t kMostOperands = 64, kMostLaunches = 64, kMostName = 256;
constexpr uint64_t kMostBytes = uint64_t(1) << 30;
// What cases should have at most.
constexpr size_t kGoodSize = 48 * 1024;

size_t sizeOf(GpuElement element) { return element == GpuElement::F32 ? 4 : element == GpuElement::Bytes ? 1 : 2; }

double numberAt(GpuElement element, const char *address) {
  uint32_t bits = 0;
  std::memcpy(&bits, address, sizeOf(element));
  if (element == GpuElement::F16) {
    const uint16_t half = uint16_t(bits);
    _Float16 number;
    std::memcpy(&number, &half, 2);
    return double(number);
  }
  if (element == GpuElement::BF16)
    bits <<= 16;
  float number;
  std::memcpy(&number, &bits, 4);
  return number;
}

// A unit in the last place, relative to a normal number.
double unitOf(GpuElement element) {
  return element == GpuElement::F32 ? 0x1p-23 : element == GpuElement::F16 ? 0x1p-10 : 0x1p-7;
}

bool isName(const std::string &text) {
  return !text.empty() && text.size() <= kMostName && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::strchr("._-/$", c);
  });
}

bool isHex(const std::string &text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Reads the lines of a case.
class Reader {
public:
  explicit Reader(const std::filesystem::path &path) : path(path), file(path, std::ios::binary) {
    if (!file)
      fail(KERF_BAD_ARTIFACT, "case '", path.string(), "' must be a file that can be read");
  }
  /// Starts the next line, which must begin with `word`, and counts of which it must be one.
  void line(const char *word) {
    std::string text, first;
    if (!std::getline(file, text) || text.size() > 1024)
      refuse(std::string("must have a line '") + word + " …'");
    words = std::istringstream(text);
    words.imbue(std::locale::classic());
    words >> first;
    if (first != word)
      refuse(std::string("must have a line '") + word + " …', got '" + text.substr(0, 60) + "'");
  }
  std::string name() {
    std::string text;
    if (!(words >> text) || !isName(text))
      refuse("must have names of letters, digits and ._-/$, got '" + text.substr(0, 60) + "'");
    return text;
  }
  uint64_t number(uint64_t least, uint64_t most) {
    std::string text;
    words >> text;
    char *end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0])) || *end || errno || value < least ||
        value > most)
      refuse("must have whole numbers of " + std::to_string(least) + " to " + std::to_string(most) + " here, got '" +
             text.substr(0, 60) + "'");
    return value;
  }
  double fraction() {
    double value = -1;
    if (!(words >> value) || !(value >= 0 && value <= 1))
      refuse("must have a slack of 0 to 1");
    return value;
  }
  std::vector<char> bytes(uint64_t count) {
    std::vector<char> data(count);
    file.read(data.data(), std::streamsize(count));
    if (uint64_t(file.gcount()) != count)
      refuse("must have the bytes that its lines state, but ends early");
    return data;
  }
  void end() {
    if (file.peek() != std::char_traits<char>::eof())
      refuse("must end where its lines say, but goes on");
  }
  [[noreturn]] void refuse(const std::string &why) const {
    fail(KERF_BAD_ARTIFACT, "case '", path.string(), "' ", why);
  }

private:
  const std::filesystem::path path;
  std::ifstream file;
  std::istringstream words;
};

} // namespace

std::string GpuCase::describe() const {
  std::string text;
  for (const GpuLaunch &launch : launches)
    if (rows >= launch.leastRows && rows <= launch.mostRows)
      text += (text.empty() ? "" : " ") + launch.function;
  return text + ", " + std::to_string(rows) + " rows";
}

double GpuCase::compare(const std::vector<std::vector<char>> &got, std::string &problem) const {
  problem.clear();
  double worst = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    const GpuOperand &operand = operands[i];
    if (operand.memory != i)
      continue;
    const std::vector<char> &expected = operand.after.empty() ? operand.before : operand.after;
    const size_t size = sizeOf(operand.element);
    double greatest = 0;
    for (size_t at = 0; at < expected.size(); at += size)
      if (const double number = std::fabs(numberAt(operand.element, &expected[at])); std::isfinite(number))
        greatest = std::max(greatest, number);
    for (size_t at = 0; at < expected.size(); at += size) {
      if (std::memcmp(&expected[at], &got[i][at], size) == 0)
        continue;
      double share = INFINITY;
      if (!exact && operand.element != GpuElement::Bytes && !operand.after.empty()) {
        const double a = numberAt(operand.element, &expected[at]), b = numberAt(operand.element, &got[i][at]);
        share = std::isnan(a) && std::isnan(b) ? 0
                : std::isfinite(a) && std::isfinite(b)
                    ? std::fabs(a - b) / (slack * greatest + unitOf(operand.element) * std::fabs(a) + 0x1p-126)
                    : INFINITY;
      }
      worst = std::max(worst, share);
      if (!(share <= 1) && problem.empty()) {
        char text[160];
        std::snprintf(text, sizeof text, "operand %zu, element %zu must be %.9g, got %.9g", i, at / size,
                      numberAt(operand.element, &expected[at]), numberAt(operand.element, &got[i][at]));
        problem = text;
      }
    }
  }
  return worst;
}

void GpuCase::write(const std::filesystem::path &path) const {
  std::ofstream file(path, std::ios::binary);
  file.imbue(std::locale::classic());
  file << kMagic << "\ntest " << test << "\nimage " << image << "\ncompare " << exact << ' ' << slack << "\nrows "
       << rows << "\nscratch " << scratch << "\nlaunches " << launches.size() << '\n';
  for (const GpuLaunch &l : launches)
    file << "launch " << l.function << ' ' << l.leastRows << ' ' << l.mostRows << ' ' << l.tile << ' ' << l.columns
         << ' ' << l.threads << ' ' << l.sharedBytes << '\n';
  file << "operands " << operands.size() << '\n';
  for (const GpuOperand &operand : operands)
    file << "operand " << kElements[int(operand.element)] << ' ' << operand.memory << ' ' << operand.before.size()
         << ' ' << !operand.after.empty() << '\n';
  for (const GpuOperand &operand : operands)
    file.write(operand.before.data(), std::streamsize(operand.before.size()));
  for (const GpuOperand &operand : operands)
    file.write(operand.after.data(), std::streamsize(operand.after.size()));
  file.close();
  if (!file)
    fail(KERF_BAD_ARGUMENT, "cannot write '", path.string(), "'");
}

GpuCase GpuCase::read(const std::filesystem::path &path) {
  Reader reader(path);
  GpuCase result;
  reader.line(kMagic);
  reader.line("test");
  result.test = reader.name();
  reader.line("image");
  result.image = reader.name();
  if (!isHex(result.image))
    reader.refuse("must name its image by hexadecimal digits, got '" + result.image + "'");
  reader.line("compare");
  result.exact = reader.number(0, 1);
  result.slack = reader.fraction();
  reader.line("rows");
  result.rows = int64_t(reader.number(0, INT32_MAX));
  reader.line("scratch");
  result.scratch = reader.number(0, kMostBytes);
  reader.line("launches");
  for (size_t left = reader.number(1, kMostLaunches); left > 0; --left) {
    reader.line("launch");
    GpuLaunch &launch = result.launches.emplace_back();
    launch.function = reader.name();
    launch.leastRows = int64_t(reader.number(0, UINT32_MAX));
    launch.mostRows = int64_t(reader.number(0, UINT32_MAX));
    launch.when = 0;
    launch.tile = int64_t(reader.number(1, INT32_MAX));
    launch.columns = int64_t(reader.number(1, 1 << 20));
    launch.threads = unsigned(reader.number(1, 1024));
    launch.sharedBytes = unsigned(reader.number(0, 1 << 20));
    if ((result.rows + launch.tile - 1) / launch.tile > (INT32_MAX - 1) / launch.columns)
      reader.refuse("must have launches of fewer than 2^31 blocks, got more for " + launch.function);
  }
  reader.line("operands");
  std::vector<std::pair<uint64_t, bool>> sizes;
  for (size_t left = reader.number(1, kMostOperands); left > 0; --left) {
    reader.line("operand");
    const std::string element = reader.name();
    const auto *at = std::find(std::begin(kElements), std::end(kElements), element);
    if (at == std::end(kElements))
      reader.refuse("must have operands of bytes, f32, f16 or bf16, got " + element);
    result.operands.emplace_back().element = GpuElement(at - std::begin(kElements));
    const size_t index = result.operands.size() - 1;
    GpuOperand &operand = result.operands.back();
    operand.memory = reader.number(0, index);
    const uint64_t bytes = reader.number(0, operand.memory == index ? kMostBytes : 0);
    if (bytes % sizeOf(result.operands.back().element))
      reader.refuse("must have operands of whole elements, got " + std::to_string(bytes) + " bytes of " + element);
    sizes.push_back({bytes, reader.number(0, 1)});
  }
  for (size_t i = 0; i < sizes.size(); ++i)
    result.operands[i].before = reader.bytes(sizes[i].first);
  for (size_t i = 0; i < sizes.size(); ++i)
    if (sizes[i].second)
      result.operands[i].after = reader.bytes(sizes[i].first);
  reader.end();
  return result;
}

bool isExact(const std::string &ptx) {
  for (const char *word : {".approx", ".full", "mma.sync", "fma.rn.f16", "fma.rn.bf16", "fma.rn.ftz.f16"})
    if (ptx.find(word) != std::string::npos)
      return false;
  return true;
}

CaseRecorder::CaseRecorder(std::filesystem::path folder) : folder(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(this->folder, error);
  if (!std::filesystem::is_directory(this->folder, error)) {
    std::fprintf(stderr, "cannot make the folder '%s'\n", this->folder.c_str());
    std::exit(1);
  }
}

CaseRecorder *CaseRecorder::get() {
  static CaseRecorder *recorder = [] {
    const char *folder = std::getenv("KERF_RECORD_CASES");
    return folder && *folder ? new CaseRecorder(folder) : nullptr;
  }();
  return recorder;
}

void CaseRecorder::add(GpuCase run, const std::string &ptx) {
  const rt::Sha256Digest digest = rt::sha256(ptx.data(), ptx.size());
  run.image = rt::hexDigits(digest.data(), 8);
  size_t size = 0;
  uint64_t chosen = 0;
  for (size_t i = 0; i < run.launches.size(); ++i)
    if (run.rows >= run.launches[i].leastRows && run.rows <= run.launches[i].mostRows)
      chosen |= uint64_t(1) << i;
  for (const GpuOperand &operand : run.operands)
    size += operand.before.size() + operand.after.size();
  if (!chosen)
    return;
  const std::string name = run.image + "-" + std::to_string(chosen) + ".case";
  const auto [at, isNew] = known.try_emplace(name, size, run.rows);
  auto &[knownSize, knownRows] = at->second;
  const bool better = size > kGoodSize ? size < knownSize : knownSize > kGoodSize || run.rows >= knownRows;
  if (!isNew && !better)
    return;
  at->second = {size, run.rows};
  try {
    run.exact = isExact(ptx);
    run.write(folder / name);
    std::ofstream image(folder / (run.image + ".ptx"), std::ios::binary);
    image << ptx;
    image.close();
    if (!image)
      fail(KERF_BAD_ARGUMENT, "cannot write '", run.image, ".ptx'");
  } catch (const rt::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(1);
  }
}

} // namespace kerf::test
