#include "server/images.h"

#include "base/check.h"
#include "base/limits.h"

namespace quoin::server {
namespace {

constexpr size_t kWaitingMax = 64;  // clients

}  // namespace

void Images::Await(OnImage ready, Wanted wanted) {
  DropUnwanted();
  if (clients_.size() >= kWaitingMax) return ready(nullptr);
  clients_.push_back({std::move(ready), std::move(wanted)});
}

void Images::DropUnwanted() {
  std::erase_if(clients_, [](const Client& client) { return !IsWanted(client.wanted); });
}

void Images::Serve() {
  ServeMembers();
  DropUnwanted();
  ServeClients();
  context_.info.images_awaited.store(clients_.size(), std::memory_order_relaxed);
}

// A lagging member takes no image of before what it lacks.
void Images::ServeMembers() {
  while (!members_.empty()) {
    std::shared_ptr<FrozenImage> image = newest_.lock();
    if (image == nullptr || image->metadata.index < members_.front().first) {
      if (out_ >= 2 * limits::kFrozenImagesMax) return;
      image = Freeze();
    }
    OnImage ready = std::move(members_.front().second);
    members_.pop_front();
    ready(std::move(image));
  }
}

void Images::ServeClients() {
  while (!clients_.empty()) {
    std::shared_ptr<FrozenImage> image = newest_.lock();
    if (image == nullptr || !IsPresent(*image)) {
      if (out_ >= limits::kFrozenImagesMax) return;
      image = Freeze();
    }
    OnImage ready = std::move(clients_.front().ready);
    clients_.pop_front();
    ready(std::move(image));
  }
}

void Images::Clear() {
  clients_.clear();
  members_.clear();
}

// Not by the index: a compaction goes on without entries of the log.
bool Images::IsPresent(const FrozenImage& image) const {
  const btree::Tree& tree = *context_.data->tree;
  return tree.SnapshotOf(*image.image).version() == tree.Current().version();
}

std::shared_ptr<FrozenImage> Images::Freeze() {
  auto frozen = std::make_shared<FrozenImage>();
  frozen->data = context_.data;
  frozen->image = context_.tree().Freeze();
  frozen->metadata = context_.Place();
  frozen->membership_json = context_.machine().membership().LegacyStoreJson();
  frozen->give_back = [this, &apply = context_.loops.apply](std::shared_ptr<Data> data,
                                                            std::unique_ptr<btree::Image> image) {
    apply.Post([this, data = std::move(data), image = std::move(image)]() mutable {
      Thaw(std::move(data), std::move(image));
    });
  };
  newest_ = frozen;
  ++out_;
  return frozen;
}

void Images::Thaw(std::shared_ptr<Data> data, std::unique_ptr<btree::Image> image) {
  CHECK_GT(out_, 0u);
  --out_;
  data->tree->Thaw(std::move(image));
  // It may be the last of its generation, whose end takes long.
  if (data != context_.data) context_.loops.bulk.Post([data = std::move(data)] {});
  returned_();
}

}  // namespace quoin::server
