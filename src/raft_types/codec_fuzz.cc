// Whatever bytes come: every decoder ends with a value or an error, and a value that was decoded is
// the value of its own encoding.

#include <cstdint>

#include "base/check.h"
#include "raft_types/codec.h"

namespace quoin::raft {
namespace {

template <typename T>
void Try(std::string_view data, void (*encode)(const T&, std::string&),
         StatusOr<T> (*decode)(std::string_view)) {
  const StatusOr<T> value = decode(data);
  if (!value.ok()) return;
  std::string bytes;
  encode(*value, bytes);
  const StatusOr<T> again = decode(bytes);
  CHECK(again.ok()) << again.status();
  CHECK(*again == *value);
}

void TryMessage(std::string_view data) {
  StatusOr<Message> value = DecodeMessage(data);
  if (!value.ok()) return;
  // "No snapshot" has one form only.
  if (value->snapshot.empty()) value->snapshot = Snapshot();
  std::string bytes;
  EncodeMessage(*value, bytes);
  const StatusOr<Message> again = DecodeMessage(bytes);
  CHECK(again.ok()) << again.status();
  CHECK(*again == *value);
}

}  // namespace
}  // namespace quoin::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace quoin::raft;
  const std::string_view data(reinterpret_cast<const char*>(bytes), size);
  Try<Entry>(data, EncodeEntry, DecodeEntry);
  Try<HardState>(data, EncodeHardState, DecodeHardState);
  Try<ConfState>(data, EncodeConfState, DecodeConfState);
  Try<ConfChange>(data, EncodeConfChange, DecodeConfChange);
  Try<ConfChangeV2>(data, EncodeConfChangeV2, DecodeConfChangeV2);
  Try<Snapshot>(data, EncodeSnapshot, DecodeSnapshot);
  TryMessage(data);
  return 0;
}
