#include "client/requests.h"

namespace quoin::client {

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (end.empty()) return std::string(1, '\0');
  ++end.back();
  return end;
}

pb::RequestOp PutOp(std::string_view key, std::string_view value, int64_t lease) {
  pb::RequestOp op;
  op.mutable_request_put()->set_key(std::string(key));
  op.mutable_request_put()->set_value(std::string(value));
  op.mutable_request_put()->set_lease(lease);
  return op;
}

pb::RequestOp GetOp(std::string_view key) {
  pb::RequestOp op;
  op.mutable_request_range()->set_key(std::string(key));
  return op;
}

pb::RequestOp DeleteOp(std::string_view key) {
  pb::RequestOp op;
  op.mutable_request_delete_range()->set_key(std::string(key));
  return op;
}

pb::RequestOp FirstCreatedOp(std::string_view prefix) {
  pb::RequestOp op;
  pb::RangeRequest& range = *op.mutable_request_range();
  range.set_key(std::string(prefix));
  range.set_range_end(PrefixEnd(prefix));
  range.set_sort_target(pb::RangeRequest::CREATE);
  range.set_sort_order(pb::RangeRequest::ASCEND);
  range.set_limit(1);
  return op;
}

pb::Compare CreateRevisionIs(std::string_view key, int64_t revision) {
  pb::Compare compare;
  compare.set_key(std::string(key));
  compare.set_target(pb::Compare::CREATE);
  compare.set_result(pb::Compare::EQUAL);
  compare.set_create_revision(revision);
  return compare;
}

pb::Compare ModRevisionIs(std::string_view key, int64_t revision) {
  pb::Compare compare;
  compare.set_key(std::string(key));
  compare.set_target(pb::Compare::MOD);
  compare.set_result(pb::Compare::EQUAL);
  compare.set_mod_revision(revision);
  return compare;
}

}  // namespace quoin::client
