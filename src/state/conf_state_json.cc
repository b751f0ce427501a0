#include "state/conf_state_json.h"

#include <boost/json.hpp>

namespace quoin::state {
namespace {

namespace json = boost::json;

void PutIds(json::object& object, std::string_view name, const std::vector<NodeId>& ids) {
  if (ids.empty()) return;
  json::array array;
  for (NodeId id : ids) array.emplace_back(id.value());
  object[name] = std::move(array);
}

bool GetIds(const json::object& object, std::string_view name, std::vector<NodeId>& ids) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return true;
  if (!value->is_array()) return false;
  for (const json::value& item : value->get_array()) {
    boost::system::error_code error;
    uint64_t id = item.to_number<uint64_t>(error);
    if (error) return false;
    ids.emplace_back(id);
  }
  return true;
}

}  // namespace

std::string ConfStateJson(const raft::ConfState& state) {
  json::object object;
  PutIds(object, "voters", state.voters);
  PutIds(object, "learners", state.learners);
  PutIds(object, "voters_outgoing", state.voters_outgoing);
  PutIds(object, "learners_next", state.learners_next);
  object["auto_leave"] = state.auto_leave;
  return json::serialize(object);
}

StatusOr<raft::ConfState> ParseConfStateJson(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object())
    return absl::DataLossError("bucket meta: confState is not a JSON object");
  const json::object& object = value.get_object();
  raft::ConfState state;
  if (!GetIds(object, "voters", state.voters) || !GetIds(object, "learners", state.learners) ||
      !GetIds(object, "voters_outgoing", state.voters_outgoing) ||
      !GetIds(object, "learners_next", state.learners_next)) {
    return absl::DataLossError("bucket meta: confState holds an id that is no number");
  }
  const json::value* auto_leave = object.if_contains("auto_leave");
  state.auto_leave = auto_leave != nullptr && auto_leave->is_bool() && auto_leave->get_bool();
  return state;
}

}  // namespace quoin::state
