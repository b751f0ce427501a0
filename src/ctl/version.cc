// version.
#include <ostream>

#include "ctl/families.h"

namespace quoin::ctl {
namespace {

constexpr std::string_view kEtcdVersion = "3.7.1";  // whose commands and output this program keeps
constexpr std::string_view kApiVersion = "3.7";
constexpr std::string_view kQuoinVersion = "0.1.0";

}  // namespace

ExitCode RunVersion(Invocation& invocation) {
  invocation.out() << "etcdctl version: " << kEtcdVersion << "\nAPI version: " << kApiVersion
                   << "\nquoinctl version: " << kQuoinVersion << '\n';
  return ExitCode::kOk;
}

}  // namespace quoin::ctl
