// Lifeline: an object's right to be called back. What an object hands out for later is tied to its
// lifeline, and runs only while that lives:
//
//   door.List(lifeline_.Tie([this](std::vector<int64_t> ids) { Answer(ids); }));
//
// The object owns its lifeline as its last member, so that it ends before all that the callbacks
// use. A function that calls back once may return a lifeline instead: destroying that is giving up.
//
// Thread: one executor owns the lifeline, and runs what is tied to it. What is tied may pass
// through other threads, and may be destroyed there unrun.
#pragma once

#include <memory>
#include <utility>

namespace quoin {

class [[nodiscard]] Lifeline {
 public:
  // Whether a lifeline still lives. Value type.
  class Sign {
   public:
    Sign() = default;
    bool alive() const { return alive_ != nullptr && *alive_; }

   private:
    friend class Lifeline;
    explicit Sign(std::shared_ptr<const bool> alive) : alive_(std::move(alive)) {}
    std::shared_ptr<const bool> alive_;
  };

  Lifeline() = default;
  ~Lifeline() { Cut(); }
  Lifeline(Lifeline&& other) noexcept
      : alive_(std::exchange(other.alive_, nullptr)), cut_(other.cut_) {}
  Lifeline& operator=(Lifeline&& other) noexcept {
    if (this != &other) {
      Cut();
      alive_ = std::exchange(other.alive_, nullptr);
      cut_ = other.cut_;
    }
    return *this;
  }

  // For good: nothing that is or will be tied to it runs any more.
  void Cut() {
    cut_ = true;
    if (alive_ != nullptr) *alive_ = false;
  }

  // For code that asks by itself, above all after a call that may destroy the owner.
  Sign sign() {
    if (alive_ == nullptr && !cut_) alive_ = std::make_shared<bool>(true);
    return Sign(alive_);
  }

  // `callback` (which returns nothing), as long as this lifeline lives.
  template <typename Callback>
  auto Tie(Callback callback) {
    return [sign = sign(), callback = std::move(callback)](auto&&... arguments) mutable {
      if (sign.alive()) callback(std::forward<decltype(arguments)>(arguments)...);
    };
  }

 private:
  std::shared_ptr<bool> alive_;  // null until something is tied
  bool cut_ = false;
};

}  // namespace quoin
