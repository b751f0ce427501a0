// Whatever bytes come on a stream, in whatever pieces: they end with the same messages or an error,
// what is kept of them is bounded, and what was decoded survives being sent again.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "peer/stream_codec.h"

namespace quoin::peer {
namespace {

constexpr size_t kMax = 4096;
const NodeId kFrom(7), kTo(8);

struct Result {
  bool ok = true;
  std::vector<raft::Message> messages;
};

Result Decode(StreamKind kind, std::string_view bytes, size_t piece) {
  StreamDecoder decoder(kind, kFrom, kTo, kMax);
  Result result;
  while (!bytes.empty() && result.ok) {
    const std::string_view fed = bytes.substr(0, piece);
    bytes.remove_prefix(fed.size());
    result.ok = decoder.Feed(fed, result.messages).ok();
    if (result.ok) CHECK_LE(decoder.undecoded_bytes(), kMax + 9);
  }
  return result;
}

// What a msgapp stream can carry of a message.
raft::Message AsAppend(const raft::Message& message) {
  raft::Message append;
  append.type = raft::MessageType::kApp;
  append.from = kFrom;
  append.to = kTo;
  append.term = message.term;
  append.log_term = message.log_term;
  append.index = message.index;
  append.entries = message.entries;
  append.commit = message.commit;
  return append;
}

void SendAgain(StreamKind kind, std::vector<raft::Message> messages) {
  StreamEncoder encoder(kind);
  std::string bytes;
  size_t largest = 0;
  for (raft::Message& message : messages) {
    if (kind == StreamKind::kMsgApp) message = AsAppend(message);
    if (message.snapshot.empty()) message.snapshot = raft::Snapshot();  // has one form only
    const size_t before = bytes.size();
    encoder.Encode(message, bytes);
    largest = std::max(largest, bytes.size() - before);
  }
  if (largest > kMax) return;  // zeros that were left out may be written
  const Result again = Decode(kind, bytes, bytes.size());
  CHECK(again.ok);
  CHECK(again.messages == messages);
}

}  // namespace
}  // namespace quoin::peer

// input := kind:1 piece:1 stream
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quoin::peer;
  if (size < 2) return 0;
  const StreamKind kind = data[0] % 2 == 0 ? StreamKind::kMessage : StreamKind::kMsgApp;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Result whole = Decode(kind, stream, std::max<size_t>(stream.size(), 1));
  const Result pieces = Decode(kind, stream, 1 + data[1] % 32);
  CHECK_EQ(whole.ok, pieces.ok);
  CHECK(whole.messages == pieces.messages);
  SendAgain(kind, whole.messages);
  return 0;
}
