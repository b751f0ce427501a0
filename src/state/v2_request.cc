#include "state/v2_request.h"

#include "base/wire.h"

namespace quoin::state {
namespace {

bool IsMethod(std::string_view text) {
  for (std::string_view method : {"PUT", "POST", "DELETE", "QGET", "GET", "SYNC"}) {
    if (text == method) return true;
  }
  return false;
}

}  // namespace

bool IsBareV2Request(std::string_view entry_data) {
  wire::Reader reader(entry_data);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 2) return field.type == wire::Type::kBytes && IsMethod(field.bytes);
    if (field.number > 2) return false;
  }
  return false;
}

std::optional<V2Request> ParseV2Request(std::string_view payload) {
  V2Request request;
  wire::Reader reader(payload);
  for (wire::Field field; reader.Next(field);) {
    if (field.type != wire::Type::kBytes) continue;
    if (field.number == 2) request.method = field.bytes;
    if (field.number == 3) request.path = field.bytes;
    if (field.number == 4) request.value = field.bytes;
  }
  if (!reader.ok()) return std::nullopt;
  return request;
}

}  // namespace quoin::state
