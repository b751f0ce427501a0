// Events as they go to clients: encoded once per shape, shared by all watchers.
//
// Thread: an EncodedEvents belongs to one loop; a Batch is immutable once shared.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mvcc/store.h"

namespace quoin::watch {

// The events of one applied batch: those of revisions `after` + 1 to `revision`. Value type.
struct Batch {
  int64_t after = 0;
  int64_t revision = 0;
  std::vector<mvcc::Event> events;  // ascending
};

// WatchResponse.events, one element (tag and length included), without prev_kv or with it.
std::string EncodeElement(const mvcc::Event& event, std::string_view previous_record);
std::string_view KeyOf(const mvcc::Event& event);

// One event that a watcher gets.
struct Delivery {
  int64_t revision = 0;
  std::string_view element;  // valid during the call
};

}  // namespace quoin::watch
