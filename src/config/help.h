// The texts of --help, --version and of the usage below flag errors. Private to config/.
#pragma once

#include <string>

namespace quoin::config {

std::string UsageText();    // stderr, below a flag error and beside --help
std::string HelpText();     // stdout: every flag with its default
std::string VersionText();  // stdout: etcd's four lines and quoin's own

}  // namespace quoin::config
