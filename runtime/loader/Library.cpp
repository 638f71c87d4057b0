#include "runtime/loader/Library.h"

#include "kerf/names.h"
#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"
#include "runtime/support/Sha256.h"

#include <cstring>
#include <dlfcn.h>

namespace kerf::rt {
namespace {

constexpr const char *kCompileAgain = "; package and library must come from the same compilation";

// The first library of this ABI version; what was appended since is read where the struct size says that it is there.
constexpr size_t kLeastLibrary = offsetof(kerf_library, gpu_variant_count);

// What one block can have on any GPU of compute capability 8.0 to 9.0 ("CUDA C++ Programming Guide", compute
// capabilities).
constexpr uint32_t kMostThreads = 1024, kMostShared = 227 * 1024;

class LibraryChecker {
public:
  LibraryChecker(const Package &package, const kerf_library &library)
      : package(package), manifest(package.manifest()), library(library) {}

  void run() const {
    checkAbi();
    if (std::memcmp(library.build_id, manifest.build_id()->data(), sizeof library.build_id) != 0)
      refuse("build id of the library must be the package's ", hexDigits(manifest.build_id()->data(), 8), "…, got ",
             hexDigits(library.build_id, 8), "…", kCompileAgain);
    same("vocabulary", manifest.vocabulary(), library.vocabulary);
    same("context", manifest.context(), library.context);
    checkTable("programs", programsOf(library));
    checkTable("variants", variantsOf(library));
    checkTable("GPU variants", gpuVariantsOf(library));
    checkTable("KV groups", groupsOf(library));
    checkWeights();
    checkGroups();
    checkVariants();
    checkPrograms();
  }

private:
  template <typename... Parts> [[noreturn]] void refuse(const Parts &...parts) const {
    fail(KERF_BAD_ARTIFACT, "library of '", package.path(), "': ", parts...);
  }

  template <typename T, typename U> void same(const std::string &what, T expected, U got) const {
    if (uint64_t(expected) != uint64_t(got))
      refuse(what, " must be the package's ", uint64_t(expected), ", got ", uint64_t(got), kCompileAgain);
  }

  template <typename T> void checkTable(const std::string &what, const Table<T> &table) const {
    if (!table.valid())
      refuse("table of ", what, " must be there, aligned, with elements of at least ", sizeof(T), " bytes",
             kCompileAgain);
  }

  void checkAbi() const {
    if (library.abi_version != KERF_ABI_VERSION)
      refuse("ABI version must be ", KERF_ABI_VERSION, ", got ", library.abi_version, "; ",
             library.abi_version > KERF_ABI_VERSION ? "use a newer Kerf runtime" : "compile the model again");
    if (library.struct_size < kLeastLibrary)
      refuse("struct size must be at least ", kLeastLibrary, ", got ", library.struct_size,
             "; compile the model again");
    if (!library.model_name || std::strcmp(library.model_name, manifest.model_name()->c_str()) != 0)
      refuse("model name must be the package's '", manifest.model_name()->c_str(), "', got '",
             library.model_name ? library.model_name : "", "'", kCompileAgain);
  }

  void checkWeights() const {
    same("weight count", manifest.weights()->size(), library.weight_count);
    if (library.weight_count && !library.weight_bytes)
      refuse("sizes of weights must be there", kCompileAgain);
    for (uint32_t i = 0; i < library.weight_count; ++i)
      same(std::string("size of weight '") + manifest.weights()->Get(i)->name()->c_str() + "'",
           manifest.weights()->Get(i)->size(), library.weight_bytes[i]);
  }

  void checkGroups() const {
    same("KV group count", manifest.groups()->size(), library.group_count);
    for (uint32_t i = 0; i < library.group_count; ++i) {
      const schema::CacheGroup &group = *manifest.groups()->Get(i);
      const std::string of = std::string(" of KV group '") + group.name()->c_str() + "'";
      const kerf_cache_group &got = groupsOf(library)[i];
      same("plane count" + of, group.planes(), got.planes);
      same("page size" + of, group.page_size(), got.page_size);
      same("page bytes" + of, group.page_bytes(), got.page_bytes);
    }
  }

  void checkVariants() const {
    const uint32_t cpu = library.variant_count, gpu = gpuVariantsOf(library).count();
    if (cpu == 0 && gpu == 0)
      refuse("there must be a variant, got none");
    if (cpu && gpu)
      refuse("variants must be for CPUs or for GPUs, got ", cpu, " and ", gpu);
    if (const bool stated = manifest.target()->str() == kGpuTarget; stated != (gpu != 0))
      refuse("variants must be for the package's target '", manifest.target()->c_str(), "', got those for ",
             gpu ? "GPUs" : "CPUs", kCompileAgain);
    same("variant count", manifest.variants()->size(), cpu + gpu);
    for (uint32_t i = 0; i < cpu; ++i)
      checkVariant(variantsOf(library)[i], variantsOf(library)[0], i);
    for (uint32_t i = 0; i < gpu; ++i) {
      checkVariant(gpuVariantsOf(library)[i], gpuVariantsOf(library)[0], i);
      checkImage(gpuVariantsOf(library)[i]);
    }
  }

  // What variants for CPUs and for GPUs have in common.
  template <typename Variant> void checkVariant(const Variant &variant, const Variant &first, uint32_t index) const {
    const char *name = manifest.variants()->Get(index)->c_str();
    if (!variant.name || std::strcmp(variant.name, name) != 0)
      refuse("variant ", index, " must be '", name, "', got '", variant.name ? variant.name : "", "'", kCompileAgain);
    if (variant.attention_tile == 0)
      refuse("attention tile of variant '", name, "' must be above 0");
    same(std::string("kernel count of variant '") + name + "'", first.kernel_count, variant.kernel_count);
    const auto kernels = kernelsOf(variant);
    checkTable(std::string("kernels of variant '") + name + "'", kernels);
    for (uint32_t k = 0; k < kernels.count(); ++k)
      checkKernel(kernels[k], "kernel " + std::to_string(k) + " of variant '" + name + "'");
  }

  void checkKernel(const kerf_kernel &kernel, const std::string &what) const {
    if (!kernel.run || !kernel.name || kernel.tile == 0)
      refuse(what, " must have a name, code and a tile");
  }

  void checkKernel(const kerf_gpu_kernel &kernel, const std::string &what) const {
    if (!kernel.name || kernel.launch_count == 0)
      refuse(what, " must have a name and launches");
    checkTable("launches of " + what, launchesOf(kernel));
    for (const kerf_gpu_launch &launch : launchesOf(kernel)) {
      if (!launch.function || launch.tile == 0 || launch.columns == 0 || launch.least_rows > launch.most_rows ||
          launch.when >= KERF_GPU_WHEN_COUNT || launch.reserved)
        refuse("launches of ", what, " must have a function, tile and columns above 0, bounds in order and a known ",
               "condition, got tile ", launch.tile, ", columns ", launch.columns, ", rows ", launch.least_rows, " to ",
               launch.most_rows, ", condition ", launch.when, ", reserved ", launch.reserved);
      if (launch.threads == 0 || launch.threads % 32 != 0 || launch.threads > kMostThreads)
        refuse("blocks of ", what, " must have a multiple of 32 threads, at most ", kMostThreads, ", got ",
               launch.threads);
      if (launch.shared_bytes > kMostShared)
        refuse("blocks of ", what, " must have at most ", kMostShared, " bytes of shared memory, got ",
               launch.shared_bytes);
    }
  }

  void checkImage(const kerf_gpu_variant &variant) const {
    const char *image = static_cast<const char *>(variant.image);
    const bool ptx = variant.image_kind == KERF_GPU_PTX;
    if (!image || variant.image_bytes == 0 || variant.architecture == 0 ||
        (!ptx && variant.image_kind != KERF_GPU_CUBIN))
      refuse("GPU variant '", variant.name, "' must have an image, cubin or PTX, and an architecture, got ",
             variant.image_bytes, " bytes of kind ", variant.image_kind, " for ", variant.architecture);
    if (ptx && image[variant.image_bytes - 1] != '\0')
      refuse("PTX of GPU variant '", variant.name, "' must end in a zero");
  }

  void checkOperand(const kerf_operand &operand, const kerf_program &program, const char *origin) const {
    uint64_t limit = 0, planes = 1;
    switch (operand.kind) {
    case KERF_OPERAND_SLOT:
      limit = program.slot_count;
      break;
    case KERF_OPERAND_WEIGHT:
      limit = library.weight_count;
      break;
    case KERF_OPERAND_STEP:
      limit = KERF_STEP_COUNT;
      planes = operand.index >= KERF_STEP_SLOTS && operand.index <= KERF_STEP_PAGES ? library.group_count
               : operand.index == KERF_STEP_WORK_ITEMS                              ? program.work_list_count
                                                                                    : 1;
      break;
    case KERF_OPERAND_CACHE:
      limit = library.group_count;
      planes = operand.index < limit ? groupsOf(library)[operand.index].planes : 0;
      break;
    case KERF_OPERAND_RESULT:
      limit = program.result_count;
      break;
    default:
      break;
    }
    if (operand.index >= limit || operand.plane >= planes || operand.reserved)
      refuse("operand of '", origin, "' must name something that exists, got kind ", operand.kind, ", index ",
             operand.index, ", plane ", operand.plane, ", reserved ", operand.reserved);
  }

  void checkForm(const kerf_linear_form &form, const std::string &what) const {
    for (uint32_t e = 0; e < KERF_EXTENT_COUNT; ++e)
      if (form.coefficient[e] < 0 || (e >= KERF_EXTENT_KNOWN && form.coefficient[e] != 0))
        refuse("coefficient ", e, " of ", what, " must be ", e < KERF_EXTENT_KNOWN ? "at least 0" : "0, as reserved",
               ", got ", form.coefficient[e]);
  }

  void checkDispatch(const kerf_dispatch &dispatch, uint32_t index, const kerf_program &program,
                     const std::string &of) const {
    const std::string what = "dispatch " + std::to_string(index) + of;
    const uint32_t kernels =
        library.variant_count ? variantsOf(library)[0].kernel_count : gpuVariantsOf(library)[0].kernel_count;
    if (dispatch.kernel >= kernels)
      refuse("kernel of ", what, " must be below ", kernels, ", got ", dispatch.kernel);
    if (dispatch.extent >= KERF_EXTENT_ATTENDED)
      refuse("rows of ", what, " must be counted by an extent below ", uint32_t(KERF_EXTENT_ATTENDED), ", got ",
             dispatch.extent);
    checkForm(dispatch.bytes, "the bytes of " + what);
    checkForm(dispatch.operations, "the operations of " + what);
    checkTable("operands of " + what, operandsOf(dispatch));
    for (const kerf_operand &operand : operandsOf(dispatch))
      checkOperand(operand, program, dispatch.origin ? dispatch.origin : "?");
  }

  void checkWorkLists(const schema::Program &stated, const kerf_program &program, const std::string &of) const {
    same("work list count" + of, stated.work_lists() ? stated.work_lists()->size() : 0, program.work_list_count);
    checkTable("work lists" + of, workListsOf(program));
    for (uint32_t i = 0; i < program.work_list_count; ++i) {
      const schema::WorkList &expected = *stated.work_lists()->Get(i);
      const kerf_work_list &list = workListsOf(program)[i];
      if (list.group != expected.group() || list.behind != expected.behind() || list.ahead != expected.ahead() ||
          list.reserved)
        refuse("work list ", i, of, " must be the package's over group ", expected.group(), ", behind ",
               expected.behind(), ", ahead ", expected.ahead(), ", got ", list.group, ", ", list.behind, ", ",
               list.ahead, ", reserved ", list.reserved, kCompileAgain);
    }
  }

  void checkResults(const schema::Program &stated, const kerf_program &program, const std::string &of) const {
    same("result count" + of, stated.results()->size(), program.result_count);
    checkTable("results" + of, resultsOf(program));
    for (uint32_t i = 0; i < program.result_count; ++i) {
      const schema::Result &expected = *stated.results()->Get(i);
      const kerf_result &result = resultsOf(program)[i];
      const uint32_t extent = resultExtent(uint32_t(expected.kind()));
      const uint32_t element = expected.kind() == schema::ResultKind::Tokens ? KERF_ELEMENT_I32 : KERF_ELEMENT_F32;
      if (result.kind != uint32_t(expected.kind()) || result.extent != extent || result.columns != expected.columns() ||
          result.element != element)
        refuse("result ", i, of, " must be the package's of kind ", uint32_t(expected.kind()), ", extent ", extent,
               ", ", expected.columns(), " columns, element ", element, ", got ", result.kind, ", ", result.extent,
               ", ", result.columns, ", ", result.element, kCompileAgain);
    }
  }

  void checkPrograms() const {
    same("program count", manifest.programs()->size(), library.program_count);
    for (uint32_t i = 0; i < library.program_count; ++i) {
      const kerf_program &program = programsOf(library)[i];
      const schema::Program &stated = *manifest.programs()->Get(i);
      const std::string of = std::string(" of program '") + stated.name()->c_str() + "'";
      if (!program.name || std::strcmp(program.name, stated.name()->c_str()) != 0)
        refuse("program ", i, " must be '", stated.name()->c_str(), "', got '", program.name ? program.name : "", "'",
               kCompileAgain);
      same("dispatch count" + of, stated.dispatches(), program.dispatch_count);
      same("slot count" + of, stated.slots() ? stated.slots()->size() : 0, program.slot_count);
      checkTable("dispatches" + of, dispatchesOf(program));
      checkTable("slots" + of, slotsOf(program));
      for (uint32_t s = 0; s < program.slot_count; ++s)
        checkSlot(*stated.slots()->Get(s), slotsOf(program)[s], s, of);
      checkWorkLists(stated, program, of);
      checkResults(stated, program, of);
      for (uint32_t d = 0; d < program.dispatch_count; ++d)
        checkDispatch(dispatchesOf(program)[d], d, program, of);
    }
  }

  // The certificate in the package must be the one of this code.
  void checkSlot(const schema::Slot &stated, const kerf_slot &slot, uint32_t index, const std::string &of) const {
    const auto *coefficients = stated.bytes()->coefficients();
    for (uint32_t e = 0; e < KERF_EXTENT_COUNT; ++e) {
      const int64_t expected = coefficients && e < coefficients->size() ? coefficients->Get(e) : 0;
      if (expected != slot.bytes.coefficient[e])
        refuse("coefficient ", e, " of slot ", index, of, " must be the package's ", expected, ", got ",
               slot.bytes.coefficient[e], kCompileAgain);
    }
  }

  const Package &package;
  const schema::Manifest &manifest;
  const kerf_library &library;
};

} // namespace

LoadedLibrary loadSibling(const Package &package, const kerf_library *&library) {
  const std::string &path = package.path();
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "./" : path.substr(0, slash + 1);
  std::string stem = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string suffix = KERF_PACKAGE_SUFFIX;
  if (stem.size() <= suffix.size() || stem.compare(stem.size() - suffix.size(), suffix.size(), suffix) != 0)
    fail(KERF_BAD_ARGUMENT, "path must end in NAME", suffix, ", so that the library beside it can be found, got '",
         path, "'");
  stem.resize(stem.size() - suffix.size());
  const std::string file = folder + KERF_LIBRARY_PREFIX + stem + KERF_LIBRARY_SUFFIX;

  // Local, so that two models may even export the same names; now, so that a missing symbol shows here.
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    fail(KERF_IO, "cannot load the library of '", path, "', which must lie beside it as '", file, "': ", dlerror());
  LoadedLibrary loaded(handle, [](void *h) { dlclose(h); });

  char symbol[KERF_SYMBOL_MAX];
  kerf_library_symbol(package.manifest().model_name()->c_str(), symbol);
  library = static_cast<const kerf_library *>(dlsym(handle, symbol));
  if (!library)
    fail(KERF_BAD_ARTIFACT, "'", file, "' must export '", symbol, "'; it is not the library of '", path,
         "', copy both files of one compilation");
  return loaded;
}

void checkLibrary(const Package &package, const kerf_library &library) { LibraryChecker(package, library).run(); }

std::optional<uint32_t> findProgram(const kerf_library &library, std::string_view name) {
  for (uint32_t i = 0; i < library.program_count; ++i)
    if (name == programsOf(library)[i].name)
      return i;
  return std::nullopt;
}

} // namespace kerf::rt
