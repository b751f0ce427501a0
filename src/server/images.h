// Images: hands out frozen roots of the tree, each with its place in the log, and takes them back.
//
// A root is shared where nothing was applied since it was frozen. Clients wait while there are
// limits::kFrozenImagesMax of them; members have as many besides, so that a lagging member waits
// for no client.
//
// Thread: the apply loop; images are given back from anywhere.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "server/apply_context.h"
#include "server/frozen_image.h"
#include "server/wanted.h"

namespace quoin::server {

class Images {
 public:
  using OnImage = absl::AnyInvocable<void(std::shared_ptr<FrozenImage>)>;
  // `returned` runs after an image has come back.
  Images(ApplyContext& context, std::function<void()> returned)
      : context_(context), returned_(std::move(returned)) {}

  // Served by the next call of Serve, or a later one, as long as it is wanted. Null: too many wait.
  void Await(OnImage ready, Wanted wanted);
  // For a lagging member: an image that holds `at_least`.
  void AwaitFor(Index at_least, OnImage ready) {
    members_.emplace_back(at_least, std::move(ready));
  }
  // Gives to those that wait, as many as there may be. Index and configuration must agree.
  void Serve();
  // Those that wait are let go of without an answer.
  void Clear();
  void OnReplaced() { newest_.reset(); }
  size_t out() const { return out_; }

 private:
  void ServeMembers();
  void ServeClients();
  std::shared_ptr<FrozenImage> Freeze();
  bool IsPresent(const FrozenImage& image) const;
  void Thaw(std::shared_ptr<Data> data, std::unique_ptr<btree::Image> image);

  ApplyContext& context_;
  const std::function<void()> returned_;
  struct Client {
    OnImage ready;
    Wanted wanted;
  };
  void DropUnwanted();
  std::deque<Client> clients_;
  std::deque<std::pair<Index, OnImage>> members_;
  std::weak_ptr<FrozenImage> newest_;  // of the present generation
  size_t out_ = 0;                     // of any generation
};

}  // namespace quoin::server
