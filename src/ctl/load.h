// Load: many clients that put keys, and how long each request took: what `check` measures.
//
// Thread: the main one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "client/client.h"
#include "ctl/command.h"

namespace quoin::ctl {

// Value type. Keys are `prefix` and random bytes.
struct LoadPlan {
  size_t clients = 1;  // each with one request under way at most
  std::string prefix;
  size_t key_bytes = 0, value_bytes = 0;
  // Either so many requests, as fast as they are answered; or so many a second, for so long.
  std::optional<uint64_t> requests;
  double requests_per_second = 0;
  env::Duration duration{};
};

// Value type.
struct LoadResult {
  std::vector<double> seconds;           // of each request that succeeded, ascending
  std::map<std::string, size_t> errors;  // text → how many
  double total_seconds = 0;

  double RequestsPerSecond() const;
  double Slowest() const { return seconds.empty() ? 0 : seconds.back(); }
  double StandardDeviation() const;
};

// Shows how far a long command is: a line that is drawn over itself, on a terminal only.
class ProgressLine {
 public:
  explicit ProgressLine(World& world) : world_(world) {}
  ~ProgressLine();
  // At most ten times a second.
  void Show(std::string_view text);

 private:
  World& world_;
  bool shown_ = false;
  env::Duration last_{};
};

// Runs the plan and waits for its end. `clients` are plan.clients ones. `progress` is told now and
// then how many requests have been answered, and how long it has run.
LoadResult RunLoad(Invocation& invocation,
                   const std::vector<std::unique_ptr<client::Client>>& clients,
                   const LoadPlan& plan,
                   absl::FunctionRef<void(uint64_t answered, env::Duration elapsed)> progress);

}  // namespace quoin::ctl
