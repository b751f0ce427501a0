// IntervalMap: what is attached to intervals of keys, found by a key that lies in them: a treap
// ordered by (begin, end) in which every node knows the farthest end below it. Keys are shared with
// whoever has them: nothing here copies one.
//
// Thread: one owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/prng.h"
#include "base/shared_bytes.h"

namespace quoin::watch {

template <typename Value>
class IntervalMap {
 public:
  // [begin, end); an empty end is beyond all keys.
  struct Interval {
    SharedBytes begin, end;
    friend bool operator==(const Interval&, const Interval&) = default;
  };

  // The values of an interval; made when there are none yet.
  std::vector<Value>& At(const Interval& interval) {
    if (Node* node = Find(interval)) return node->values;
    auto node = std::make_unique<Node>();
    node->interval = interval;
    node->priority = random_.Next();
    Node* made = node.get();
    auto [left, right] = Split(std::move(root_), interval);
    root_ = Join(Join(std::move(left), std::move(node)), std::move(right));
    return made->values;
  }
  // The interval has no values any more.
  void Erase(const Interval& interval) { root_ = Without(std::move(root_), interval); }
  bool empty() const { return root_ == nullptr; }

  // Calls `visit` with the values of each interval that holds `key`.
  void VisitHolding(std::string_view key,
                    absl::FunctionRef<void(const std::vector<Value>&)> visit) const {
    Visit(root_.get(), key, visit);
  }

 private:
  struct Node {
    Interval interval;
    std::vector<Value> values;
    uint64_t priority = 0;
    SharedBytes farthest;  // end at or below this node; empty = beyond all keys
    std::unique_ptr<Node> left, right;
  };
  using Tree = std::unique_ptr<Node>;

  static bool Less(const Interval& a, const Interval& b) {
    return std::pair(a.begin.view(), a.end.view()) < std::pair(b.begin.view(), b.end.view());
  }
  static const SharedBytes& Farther(const SharedBytes& a, const SharedBytes& b) {
    if (a.empty() || b.empty()) return a.empty() ? a : b;
    return a.view() < b.view() ? b : a;
  }
  static void Update(Node& node) {
    node.farthest = node.interval.end;
    for (const Node* child : {node.left.get(), node.right.get()}) {
      if (child != nullptr) node.farthest = Farther(node.farthest, child->farthest);
    }
  }

  Node* Find(const Interval& interval) const {
    Node* node = root_.get();
    while (node != nullptr && !(node->interval == interval))
      node = Less(interval, node->interval) ? node->left.get() : node->right.get();
    return node;
  }
  // Everything below `interval`, and the rest.
  static std::pair<Tree, Tree> Split(Tree tree, const Interval& interval) {
    if (tree == nullptr) return {};
    if (Less(tree->interval, interval)) {
      auto [left, right] = Split(std::move(tree->right), interval);
      tree->right = std::move(left);
      Update(*tree);
      return {std::move(tree), std::move(right)};
    }
    auto [left, right] = Split(std::move(tree->left), interval);
    tree->left = std::move(right);
    Update(*tree);
    return {std::move(left), std::move(tree)};
  }
  // REQUIRES: all of `left` is below all of `right`.
  static Tree Join(Tree left, Tree right) {
    if (left == nullptr || right == nullptr) {
      Tree one = left == nullptr ? std::move(right) : std::move(left);
      if (one != nullptr) Update(*one);
      return one;
    }
    if (left->priority > right->priority) {
      left->right = Join(std::move(left->right), std::move(right));
      Update(*left);
      return left;
    }
    right->left = Join(std::move(left), std::move(right->left));
    Update(*right);
    return right;
  }
  static Tree Without(Tree tree, const Interval& interval) {
    if (tree == nullptr) return tree;
    if (tree->interval == interval) return Join(std::move(tree->left), std::move(tree->right));
    Tree& child = Less(interval, tree->interval) ? tree->left : tree->right;
    child = Without(std::move(child), interval);
    Update(*tree);
    return tree;
  }
  static void Visit(const Node* node, std::string_view key,
                    absl::FunctionRef<void(const std::vector<Value>&)> visit) {
    if (node == nullptr || (!node->farthest.empty() && node->farthest.view() <= key)) return;
    Visit(node->left.get(), key, visit);
    if (node->interval.begin.view() > key) return;
    if (node->interval.end.empty() || key < node->interval.end.view()) visit(node->values);
    Visit(node->right.get(), key, visit);
  }

  Prng random_{1};  // shapes the tree, nothing else
  Tree root_;
};

}  // namespace quoin::watch
