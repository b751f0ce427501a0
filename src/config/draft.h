// Draft: a Config while flags, environment and file are still being read: texts that are checked
// only at the end stand beside it. Private to config/.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/config.h"

namespace quoin::config {

// Value type.
struct Draft {
  Config config;
  std::string initial_cluster_state = "new";
  std::string discovery_fallback = "exit";
  std::string v2_deprecation = "write-only";
  std::string logger = "zap";
  std::string log_level = "info";
  std::string log_format = "json";
  std::string metrics = "basic";
  std::string auto_compaction_mode = "periodic";
  std::string auto_compaction_retention = "0";
  std::string feature_gates;
  std::string config_file;
  bool version = false;

  std::set<std::string, std::less<>> given;  // names of the flags that somebody set, wherever
  std::vector<Notice> notices;
};

}  // namespace quoin::config
