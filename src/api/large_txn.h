// LargeTxn: a read-only transaction that looks at too much, or answers too much, for one turn of an
// I/O loop. Guards, then the size of each range, then the answer in parts at the client's pace; all
// of it in slices on the storage loop, and all of one moment.
//
// Nothing of the answer is kept: each range is measured for the answer's length, and once more when
// its turn to be sent has come. So memory is that of one LargeRange, whatever the transaction asks.
//
// Thread: one I/O loop, which gets every callback; none runs after Cancel.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/large_range.h"
#include "api/moment.h"
#include "api/parts.h"
#include "proto/rpc.pb.h"
#include "state/txn.h"

namespace quoin::api {

class LargeTxn : public Parts, public std::enable_shared_from_this<LargeTxn> {
 public:
  struct Size {
    int64_t revision = 0;     // of the header
    uint64_t body_bytes = 0;  // of TxnResponse behind the header
  };
  using OnSize = std::function<void(StatusOr<Size>)>;

  // REQUIRES: state::IsReadOnly(*request).
  LargeTxn(server::Node& node, SliceTurns& turns,
           std::shared_ptr<const etcdserverpb::TxnRequest> request);
  ~LargeTxn() override;

  void Measure(OnSize on_size);
  // The next bytes of the body.
  void ReadPart(OnPart on_part) override;
  void Cancel() override;

 private:
  struct Element {
    mvcc::RangeQuery query;
    LargeRange::Size size;
  };
  void RunGuards();
  void OnGuards(StatusOr<bool> succeeded);
  Status ChooseRanges();
  void MeasureNext();
  void Measured();
  std::string HeadOf(const Element& element) const;
  void SendElement(OnPart on_part);
  void SendPartOf(std::shared_ptr<std::string> head, OnPart on_part);

  SliceTurns& turns_;
  const std::shared_ptr<const etcdserverpb::TxnRequest> request_;
  const std::shared_ptr<Moment> moment_;
  std::atomic<bool> cancelled_{false};
  state::GuardsRun guards_;  // storage loop's

  OnSize on_size_;
  bool succeeded_ = false;
  std::vector<Element> elements_;  // of the chosen branch
  size_t at_ = 0;                  // the element being measured or sent
  std::shared_ptr<LargeRange> range_;
};

}  // namespace quoin::api
