#include "api/large_txn.h"

#include <algorithm>
#include <utility>

#include "base/wire.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

using etcdserverpb::RequestOp;

constexpr mvcc::ReadBudget kPerGuardsTurn{20'000, 4 << 20};
// Fields of TxnResponse, ResponseOp and RangeResponse.
constexpr uint32_t kSucceeded = 2, kResponses = 3, kResponseRange = 1;

// The oldest revision that any of the ranges names; 0: none does.
int64_t LowestRevision(const etcdserverpb::TxnRequest& request) {
  int64_t lowest = 0;
  for (const auto* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      const int64_t revision = op.request_range().revision();
      if (revision > 0 && (lowest == 0 || revision < lowest)) lowest = revision;
    }
  }
  return lowest;
}

std::string TailOf(const LargeRange::Size& size) {
  std::string tail;
  state::AppendRangeTail(size.more, size.count, tail);
  return tail;
}

std::string LengthPrefix(uint32_t field, uint64_t bytes) {
  std::string prefix;
  wire::PutTag(prefix, field, wire::Type::kBytes);
  wire::PutVarint(prefix, bytes);
  return prefix;
}

}  // namespace

LargeTxn::LargeTxn(server::Node& node, SliceTurns& turns,
                   std::shared_ptr<const etcdserverpb::TxnRequest> request)
    : turns_(turns),
      request_(std::move(request)),
      moment_(
          std::make_shared<Moment>(node, Moment::Hold::kCompactions, LowestRevision(*request_))),
      guards_(*request_) {}

LargeTxn::~LargeTxn() = default;

void LargeTxn::Cancel() {
  cancelled_.store(true);
  if (range_ != nullptr) std::exchange(range_, nullptr)->Cancel();
}

// --- guards ---

void LargeTxn::Measure(OnSize on_size) {
  on_size_ = std::move(on_size);
  RunGuards();
}

void LargeTxn::RunGuards() {
  turns_.Ask([self = shared_from_this()]() -> env::Task {
    if (self->cancelled_.load()) return [] {};
    mvcc::ReadBudget budget = kPerGuardsTurn;
    return [self, holds = self->moment_->Read(
                      [&](const mvcc::View& view) -> StatusOr<std::optional<bool>> {
                        return self->guards_.Slice(view, self->moment_->revision(), budget);
                      })] {
      if (self->cancelled_.load()) return;
      if (holds.ok() && !holds->has_value()) return self->RunGuards();
      self->OnGuards(holds.ok() ? StatusOr<bool>(**holds) : holds.status());
    };
  });
}

void LargeTxn::OnGuards(StatusOr<bool> succeeded) {
  Status status = succeeded.status();
  if (status.ok()) {
    succeeded_ = *succeeded;
    status = ChooseRanges();
  }
  if (!status.ok()) return on_size_(status);
  MeasureNext();
}

// What can fail fails before anything is measured, as in a small transaction.
Status LargeTxn::ChooseRanges() {
  for (const RequestOp& op : state::Chosen(*request_, succeeded_)) {
    RETURN_IF_ERROR(state::CheckRangeRevision(moment_->revision(), moment_->compact_revision(),
                                              op.request_range()));
    elements_.push_back({state::ToQuery(op.request_range()), {}});
  }
  return OkStatus();
}

// --- sizes ---

void LargeTxn::MeasureNext() {
  if (at_ == elements_.size()) return Measured();
  range_ = LargeRange::New(turns_, elements_[at_].query, moment_);
  range_->Measure([self = shared_from_this()](StatusOr<LargeRange::Size> size) {
    if (!size.ok()) return self->on_size_(size.status());
    self->elements_[self->at_++].size = *size;
    self->MeasureNext();
  });
}

void LargeTxn::Measured() {
  range_.reset();
  at_ = 0;
  Size size;
  size.revision = moment_->revision();
  size.body_bytes = succeeded_ ? 2 : 0;
  for (const Element& element : elements_) {
    size.body_bytes +=
        HeadOf(element).size() + element.size.elements_bytes + TailOf(element.size).size();
  }
  std::exchange(on_size_, nullptr)(size);
}

// What stands before the keys of a range: the lengths around them, and the inner header.
std::string LargeTxn::HeadOf(const Element& element) const {
  std::string header;
  state::AppendRevisionHeader(moment_->revision(), header);
  const uint64_t response_bytes =
      header.size() + element.size.elements_bytes + TailOf(element.size).size();
  const std::string op = LengthPrefix(kResponseRange, response_bytes);
  return LengthPrefix(kResponses, op.size() + response_bytes) + op + header;
}

// --- sending ---

void LargeTxn::ReadPart(OnPart on_part) {
  if (range_ != nullptr) return SendPartOf(std::make_shared<std::string>(), std::move(on_part));
  if (at_ < elements_.size()) return SendElement(std::move(on_part));
  // Guards alone.
  std::string body;
  wire::PutUintNonZero(body, kSucceeded, succeeded_ ? 1 : 0);
  turns_.loop().Post(
      [self = shared_from_this(), on_part = std::move(on_part), body = std::move(body)] {
        if (!self->cancelled_.load()) on_part(body, true);
      });
}

void LargeTxn::SendElement(OnPart on_part) {
  range_ = LargeRange::New(turns_, elements_[at_].query, moment_);
  range_->Measure([self = shared_from_this(),
                   on_part = std::move(on_part)](StatusOr<LargeRange::Size> size) {
    if (!size.ok()) return on_part(size.status(), false);
    const Element& element = self->elements_[self->at_];
    if (size->elements_bytes != element.size.elements_bytes || size->count != element.size.count)
      return on_part(absl::InternalError("a range changed under a pinned revision"), false);
    auto head = std::make_shared<std::string>();
    if (self->at_ == 0) wire::PutUintNonZero(*head, kSucceeded, self->succeeded_ ? 1 : 0);
    *head += self->HeadOf(element);
    self->SendPartOf(std::move(head), on_part);
  });
}

void LargeTxn::SendPartOf(std::shared_ptr<std::string> head, OnPart on_part) {
  range_->ReadPart([self = shared_from_this(), head = std::move(head),
                    on_part = std::move(on_part)](StatusOr<std::string> part, bool last) {
    if (!part.ok()) return on_part(part.status(), false);
    std::string bytes = std::move(*head) + *part;
    if (last) {
      bytes += TailOf(self->elements_[self->at_++].size);
      self->range_.reset();
    }
    const bool end = last && self->at_ == self->elements_.size();
    on_part(std::move(bytes), end);
  });
}

}  // namespace quoin::api
