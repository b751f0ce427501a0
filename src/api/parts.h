// Parts: an answer too large to hold, read piece by piece. PartedCall: a unary call that sends such
// an answer at its client's pace.
//
// Thread: an I/O loop, which gets every callback; none runs after Cancel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/context.h"
#include "base/status.h"

namespace quoin::api {

class Parts {
 public:
  // The next bytes, perhaps none; `last`: there are no more.
  using OnPart = std::function<void(StatusOr<std::string>, bool last)>;

  virtual ~Parts() = default;
  // One part per call; the next call after the part has come.
  virtual void ReadPart(OnPart on_part) = 0;
  virtual void Cancel() = 0;
};

class PartedCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;
  ~PartedCall() override;
  void OnCancel(const Status& why) override;
  void OnDrained() override;

 protected:
  // What is read for this call ends with it.
  void Keep(std::shared_ptr<Parts> parts) { parts_ = std::move(parts); }
  // Answers with head . parts . tail; `parts_bytes` is what the parts are together.
  void SendParts(std::string head, uint64_t parts_bytes, std::string tail);

 private:
  void SendNext();

  std::shared_ptr<Parts> parts_;
  std::string tail_;
  bool wants_room_ = false;
};

}  // namespace quoin::api
