#include "runtime/support/Cgroups.h"

#include <fstream>

void kerf::rt::forEachCgroup(const std::string &root, const std::string &controller,
                             const std::function<void(const std::string &folder, bool unified)> &visit) {
  // Each line is "id:controllers:path"; version 2 has no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && controllers.find("," + controller + ",") == std::string::npos)
      continue;
    std::string path = line.substr(second + 1);
    const std::string mount = root + "/sys/fs/cgroup" + (unified ? "" : "/" + controller);
    for (;;) {
      visit(mount + (path == "/" ? "" : path) + "/", unified);
      const size_t slash = path.rfind('/');
      if (path.empty() || path == "/" || slash == std::string::npos)
        break;
      path = path.substr(0, slash);
    }
  }
}
