/// The control groups that bound this process.
#ifndef KERF_RUNTIME_SUPPORT_CGROUPS_H
#define KERF_RUNTIME_SUPPORT_CGROUPS_H

#include <functional>
#include <string>

namespace kerf::rt {

/// Calls `visit` for each cgroup that `controller` ("cpu", "memory") counts this process in, from its own up to the
/// mount: every ancestor limits too, and inside a container the mount itself is the group. `folder` holds the group's
/// files and ends in '/'; `unified` says whether they are those of version 2. `root` replaces "/" in tests.
void forEachCgroup(const std::string &root, const std::string &controller,
                   const std::function<void(const std::string &folder, bool unified)> &visit);

} // namespace kerf::rt

#endif
