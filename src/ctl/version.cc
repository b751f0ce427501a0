// version.
#include <ostream>

#include "base/release.h"
#include "ctl/families.h"

namespace quoin::ctl {

ExitCode RunVersion(Invocation& invocation) {
  invocation.out() << "etcdctl version: " << kEtcdVersion << "\nAPI version: " << kApiVersion
                   << "\nquoinctl version: " << kQuoinVersion << '\n';
  return ExitCode::kOk;
}

}  // namespace quoin::ctl
