#include "watch/events.h"

#include "base/wire.h"

namespace quoin::watch {
namespace {

constexpr uint32_t kEventsField = 11;                // of WatchResponse
constexpr uint32_t kType = 1, kKv = 2, kPrevKv = 3;  // of Event

size_t BytesFieldSize(size_t bytes) { return 1 + wire::VarintSize(bytes) + bytes; }

}  // namespace

std::string EncodeElement(const mvcc::Event& event, std::string_view previous_record) {
  const bool deleted = event.type == mvcc::Event::Type::kDelete;
  const size_t size = (deleted ? 2 : 0) + BytesFieldSize(event.record.size()) +
                      (previous_record.empty() ? 0 : BytesFieldSize(previous_record.size()));
  std::string out;
  out.reserve(size + 1 + wire::VarintSize(size));
  wire::PutTag(out, kEventsField, wire::Type::kBytes);
  wire::PutVarint(out, size);
  if (deleted) wire::PutUint(out, kType, 1);
  wire::PutBytes(out, kKv, event.record);
  wire::PutBytesNonEmpty(out, kPrevKv, previous_record);
  return out;
}

std::string_view KeyOf(const mvcc::Event& event) {
  wire::Reader reader(event.record);
  wire::Field field;
  // Records begin with the key, unless it is empty.
  return reader.Next(field) && field.number == 1 ? field.bytes : std::string_view();
}

}  // namespace quoin::watch
