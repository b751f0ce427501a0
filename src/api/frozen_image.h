// A frozen root of the tree on loan from the apply loop.
//
// Thread: any; the image is read on the storage loop.
#pragma once

#include <memory>
#include <utility>

#include "server/node.h"

namespace quoin::api {

// Whoever drops the last reference, on whatever loop, gives the image back.
struct FrozenImage {
  FrozenImage(server::Node& n, std::unique_ptr<btree::Image> i) : node(n), image(std::move(i)) {}
  ~FrozenImage() {
    node.apply_executor().Post([&node = node, image = std::move(image)]() mutable {
      node.apply_loop().Thaw(std::move(image));
    });
  }
  server::Node& node;
  std::unique_ptr<btree::Image> image;
};

// `use(std::shared_ptr<FrozenImage>)` runs on the apply loop when it is this caller's turn.
template <typename Use>
void WithFrozenImage(server::Node& node, Use use) {
  node.apply_executor().Post([&node, use = std::move(use)]() mutable {
    node.apply_loop().Freeze(
        [&node, use = std::move(use)](std::unique_ptr<btree::Image> image) mutable {
          use(std::make_shared<FrozenImage>(node, std::move(image)));
        });
  });
}

}  // namespace quoin::api
