// The dialects and passes that Kerf's tools know.
#ifndef KERF_TOOLS_REGISTERALL_H
#define KERF_TOOLS_REGISTERALL_H

namespace mlir {
class DialectRegistry;
}

namespace kerf {

/// Adds the `kerf` dialect, the upstream dialects that its phases use and their external interface models.
void registerDialects(mlir::DialectRegistry &registry);

/// Registers Kerf's passes and pipelines and the upstream passes that go with them.
void registerPasses();

} // namespace kerf
#endif // KERF_TOOLS_REGISTERALL_H
