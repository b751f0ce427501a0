#include "api/parts.h"

namespace quoin::api {

PartedCall::~PartedCall() {
  if (parts_ != nullptr) parts_->Cancel();
}

void PartedCall::OnCancel(const Status& why) {
  if (parts_ != nullptr) parts_->Cancel();
  UnaryCall::OnCancel(why);
}

void PartedCall::OnDrained() {
  if (wants_room_) SendNext();
}

void PartedCall::SendParts(std::string head, uint64_t parts_bytes, std::string tail) {
  const uint64_t bytes = head.size() + parts_bytes + tail.size();
  if (bytes > kGrpcMessageBytesMax) return Fail(MessageTooLarge(bytes));
  tail_ = std::move(tail);
  call_.StartMessage(bytes);
  call_.AppendMessage(std::move(head));
  SendNext();
}

void PartedCall::SendNext() {
  wants_room_ = !call_.has_room();
  if (wants_room_) return;  // OnDrained goes on
  parts_->ReadPart([this](StatusOr<std::string> part, bool last) {
    if (!part.ok()) return Fail(part.status());
    call_.AppendMessage(*std::move(part));
    if (!last) return SendNext();
    if (!tail_.empty()) call_.AppendMessage(std::move(tail_));
    call_.Finish(OkStatus());
  });
}

}  // namespace quoin::api
