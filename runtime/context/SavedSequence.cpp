#include "runtime/context/SavedSequence.h"

#include "runtime/support/Error.h"
#include "runtime/support/Sha256.h"

#include <cstring>

namespace kerf::rt {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'K', 'S', 'E', 'Q', 0x0d, 0x0a, 0x1a};
// Raised when the layout changes; a reader refuses any other.
constexpr uint32_t kVersion = 1;

struct Header {
  uint8_t magic[8];
  uint32_t version;
  uint32_t groups;
  uint64_t bytes;
  uint32_t length;
  char variant[36];
  uint8_t buildId[32];
  uint8_t sha256[32];
};
static_assert(sizeof(Header) == 128, "the header is stored as it lies in memory");

struct GroupRecord {
  uint32_t planes, pageSize;
  uint64_t pageBytes;
};
static_assert(sizeof(GroupRecord) == 16, "the records are stored as they lie in memory");

GroupRecord recordOf(const kerf_cache_group &group) { return {group.planes, group.page_size, group.page_bytes}; }

void setVariant(Header &header, const char *name) {
  std::memset(header.variant, 0, sizeof header.variant);
  std::memcpy(header.variant, name, strnlen(name, sizeof header.variant - 1));
}

bool hasVariant(const kerf_library &library, const Header &header) {
  Header expected;
  for (uint32_t i = 0; i < variantCount(library); ++i) {
    setVariant(expected, variantName(library, i));
    if (std::memcmp(expected.variant, header.variant, sizeof header.variant) == 0)
      return true;
  }
  return false;
}

// Does not overflow for a length whose pages a pool could hold; of any other, restoreSequence finds too few pages.
uint64_t bytesFor(const Model &model, uint32_t length) {
  uint64_t bytes = sizeof(Header);
  for (const kerf_cache_group &group : model.terms().groups) {
    const uint64_t pages = (uint64_t(length) + group.page_size - 1) / group.page_size;
    bytes += sizeof(GroupRecord) + pages * group.planes * group.page_bytes;
  }
  return bytes;
}

Sha256Digest checksum(Header header, const uint8_t *rest, uint64_t restBytes) {
  std::memset(header.sha256, 0, sizeof header.sha256);
  Sha256 hash;
  hash.update(&header, sizeof header);
  hash.update(rest, restBytes);
  return hash.finish();
}

template <typename... Parts> [[noreturn]] void damaged(const Parts &...parts) {
  fail(KERF_BAD_ARTIFACT, "saved sequence: ", parts...);
}

// Whatever the bytes are, what is returned fits `model` and their number.
Header checkHeader(const Model &model, std::span<const uint8_t> bytes) {
  Header header;
  if (bytes.size() < sizeof header)
    damaged("must have at least the ", sizeof header, " bytes of its header, got ", bytes.size(), "; save it again");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    damaged("must begin with the magic of kerf_sequence_save, got ", hexDigits(header.magic, sizeof kMagic));
  if (header.version != kVersion)
    damaged("version must be ", kVersion, ", got ", header.version, "; ",
            header.version > kVersion ? "use a newer Kerf runtime" : "run its tokens again and save it");
  if (header.bytes != bytes.size())
    damaged("states ", header.bytes, " bytes, got ", bytes.size(), "; it was cut off or added to");
  const uint8_t *build = model.library().build_id;
  if (std::memcmp(header.buildId, build, sizeof header.buildId) != 0)
    damaged("must come from the model's build ", hexDigits(build, 8), ", got ", hexDigits(header.buildId, 8),
            "; open the model it was saved with, or run its tokens again");
  if (!hasVariant(model.library(), header))
    damaged("variant must be one of the model's, got '", std::string(header.variant, strnlen(header.variant, 35)), "'");
  const std::vector<kerf_cache_group> &groups = model.terms().groups;
  if (header.groups != groups.size())
    damaged("must have the model's ", groups.size(), " KV groups, got ", header.groups);
  if (header.length > model.terms().context)
    damaged("must be at most as long as the model's context, ", model.terms().context, " tokens, got ", header.length);
  // From here on the length is sound, and with it what is expected.
  if (const uint64_t expected = bytesFor(model, header.length); bytes.size() != expected)
    damaged("of ", header.length, " tokens must have ", expected, " bytes, got ", bytes.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    GroupRecord found;
    std::memcpy(&found, bytes.data() + sizeof header + g * sizeof found, sizeof found);
    const GroupRecord expected = recordOf(groups[g]);
    if (std::memcmp(&found, &expected, sizeof found) != 0)
      damaged("KV group ", g, " must have ", expected.planes, " planes of pages of ", expected.pageSize,
              " positions and ", expected.pageBytes, " bytes, got ", found.planes, ", ", found.pageSize, " and ",
              found.pageBytes);
  }
  if (const Sha256Digest found = checksum(header, bytes.data() + sizeof header, bytes.size() - sizeof header);
      std::memcmp(found.data(), header.sha256, found.size()) != 0)
    damaged("must have the SHA-256 ", hexDigits(header.sha256, 8), " that it states, got ", hexDigits(found.data(), 8),
            "; it was changed since it was saved");
  return header;
}

} // namespace

uint64_t savedBytes(const kerf_sequence &sequence) { return bytesFor(sequence.context->model(), sequence.length); }

void saveSequence(const kerf_sequence &sequence, uint8_t *out) {
  const Context &context = *sequence.context;
  const Model &model = context.model();
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.length = sequence.length;
  header.bytes = savedBytes(sequence);
  header.groups = uint32_t(model.terms().groups.size());
  std::memcpy(header.buildId, model.library().build_id, sizeof header.buildId);
  setVariant(header, model.device().variant());

  uint8_t *at = out + sizeof header;
  for (const kerf_cache_group &group : model.terms().groups) {
    const GroupRecord record = recordOf(group);
    std::memcpy(at, &record, sizeof record);
    at += sizeof record;
  }
  context.needPlan().pages.store(sequence.index, sequence.length, at);
  const Sha256Digest digest = checksum(header, out + sizeof header, header.bytes - sizeof header);
  std::memcpy(header.sha256, digest.data(), digest.size());
  std::memcpy(out, &header, sizeof header);
}

kerf_sequence *restoreSequence(Context &context, std::span<const uint8_t> bytes) {
  Plan &plan = context.needPlan();
  const Header header = checkHeader(context.model(), bytes);
  if (header.length > plan.ceilings.context)
    fail(KERF_BAD_ARGUMENT, "saved sequence: must fit the planned context of ", plan.ceilings.context, ", got ",
         header.length, " tokens; plan for a longer context");
  kerf_sequence *sequence = context.createSequence();
  const KvPages::Growth growth = {sequence->index, 0, header.length};
  if (const KvPages::Shortage shortage = plan.pages.shortage(&growth, 1); shortage.any) {
    context.closeSequence(*sequence);
    fail(KERF_OUT_OF_PAGES, "the saved sequence needs ", shortage.needed, " KV pages of group ", shortage.group,
         ", but only ", shortage.free, " are free; close or truncate a sequence, or plan for more kv_pages");
  }
  try {
    plan.pages.grow(growth);
    plan.pages.load(sequence->index, header.length, bytes.data() + sizeof header + header.groups * sizeof(GroupRecord));
  } catch (const Error &) { // of a GPU
    context.closeSequence(*sequence);
    throw;
  }
  sequence->length = header.length;
  return sequence;
}

} // namespace kerf::rt
